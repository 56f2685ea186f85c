import {
  type Arbitrary,
  array,
  assert,
  asyncProperty,
  boolean,
  constant,
  constantFrom,
  integer,
  oneof,
  record,
} from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { foldAggregation } from "../../../core/live/topics.ts";
import { deltaOf, snapshotOf, windowOf } from "../live-hub/client.ts";
import { type Fate, Tree } from "./tree.ts";

const TOPICS = ["aggregation:a", "aggregation:b"] as const;
const CLIENTS = ["c0", "c1", "c2", "c3", "c4", "c5"] as const;

type Name = (typeof TOPICS)[number];

const topic = constantFrom(...TOPICS);
const client = constantFrom(...CLIENTS);
const OFTEN = [
  { weight: 8, arbitrary: record({ do: constant("change" as const), topic, minute: integer({ min: 0, max: 5 }) }) },
  { weight: 4, arbitrary: record({ do: constant("subscribe" as const), client, topic, resume: boolean() }) },
  { weight: 6, arbitrary: record({ do: constant("ack" as const), client, topic }) },
  { weight: 8, arbitrary: record({ do: constant("pass" as const), ms: integer({ min: 1, max: 1_500 }) }) },
] as const;
const LOSS = {
  weight: 2,
  arbitrary: record({ do: constant("fate" as const), fate: constantFrom<Fate>("fine", "lost", "unanswered") }),
};
const CHECK = { weight: 1, arbitrary: record({ do: constant("check" as const) }) };
const CRASH = { weight: 1, arbitrary: record({ do: constant("restart" as const), at: integer({ min: 0, max: 2 }) }) };
const SLEEP = {
  weight: 2,
  arbitrary: record({ do: constant("sleep" as const), who: constantFrom([0], [1], [0, 1], [0, 1, 2], [1, 2]) }),
};

/** A tree with six clients, what they follow, and a source. */
class Story {
  readonly tree = new Tree();
  readonly #follows = new Map(CLIENTS.map((id) => [id, new Set<Name>()]));
  #changes = 0;

  constructor() {
    for (const name of TOPICS) this.tree.states.set(name, snapshotOf());
    for (const [index, id] of CLIENTS.entries()) this.tree.join(id, index % 3);
  }

  change(name: Name, minute: number): void {
    const data = deltaOf(windowOf(minute, ++this.#changes));
    this.tree.states.set(name, foldAggregation(this.tree.states.get(name) ?? snapshotOf(), data));
    this.tree.publish({ topic: name, data });
  }

  subscribe(id: (typeof CLIENTS)[number], name: Name, wantsResume: boolean): void {
    this.#follows.get(id)?.add(name);
    const known = this.tree.clients.get(id)?.client;
    const canResume = wantsResume && known !== undefined && !known.gaps.has(name);
    this.tree.subscribe(id, name, canResume ? known.seqs.get(name) : undefined);
  }

  /** Nothing is on its way any more, and everybody has acked: only then does the platform put objects to sleep. */
  async rest(): Promise<void> {
    for (let round = 0; round < 3; round++) {
      await vi.advanceTimersByTimeAsync(15_000);
      for (const name of TOPICS) for (const id of CLIENTS) this.tree.ack(id, name);
    }
    await vi.advanceTimersByTimeAsync(1_000);
  }

  async tell(one: ReturnType<typeof stepOf>): Promise<void> {
    if (one.do === "change") this.change(one.topic, one.minute);
    if (one.do === "ack") this.tree.ack(one.client, one.topic);
    if (one.do === "restart") this.tree.restart(one.at);
    if (one.do === "fate") this.tree.fate = one.fate;
    if (one.do === "check") this.tree.check();
    if (one.do === "pass") await vi.advanceTimersByTimeAsync(one.ms);
    if (one.do === "subscribe") this.subscribe(one.client, one.topic, one.resume);
    if (one.do === "sleep") {
      await this.rest();
      for (const at of one.who) this.tree.restart(at);
    }
  }

  expectRight(): void {
    for (const id of CLIENTS) {
      const known = this.tree.clients.get(id)?.client;
      expect(known?.faults).toEqual([]);
      for (const name of this.#follows.get(id) ?? []) {
        expect(known?.states.get(name)?.windows).toEqual(this.tree.states.get(name)?.windows);
      }
    }
  }
}

const STEP = oneof(...OFTEN, LOSS, CHECK, CRASH, SLEEP);

/** Only its type is wanted. */
function stepOf(): typeof STEP extends Arbitrary<infer Step> ? Step : never {
  throw new Error("not called");
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

test("whatever calls between objects are lost, every reader ends with the source's state, without anybody checking", async () => {
  await assert(
    asyncProperty(array(oneof(...OFTEN, LOSS), { maxLength: 120, size: "max" }), async (steps) => {
      const story = new Story();
      for (const one of steps) await story.tell(one);
      story.tree.fate = "fine";
      await story.rest();
      story.expectRight();
    }),
    { numRuns: 300 },
  );
});

test("whichever objects sleep, the change that wakes them reaches every reader", async () => {
  await assert(
    asyncProperty(array(oneof(...OFTEN, SLEEP), { maxLength: 60, size: "max" }), topic, async (steps, last) => {
      const story = new Story();
      for (const one of steps) await story.tell(one);
      await story.rest();
      for (const at of [0, 1, 2]) story.tree.restart(at);
      story.change(last, 0);
      // Nobody acks: an ack of an earlier life would wake its object.
      await vi.advanceTimersByTimeAsync(20_000);
      story.expectRight();
    }),
    { numRuns: 300 },
  );
});

test("whatever is lost and whichever objects die, checks and the next change make every reader right, led there without a jump", async () => {
  await assert(
    asyncProperty(array(STEP, { maxLength: 120, size: "max" }), async (steps) => {
      const story = new Story();
      for (const one of steps) await story.tell(one);
      story.tree.fate = "fine";
      await story.rest();
      story.tree.check();
      await story.rest();
      for (const name of TOPICS) story.change(name, 0);
      await story.rest();
      story.expectRight();
    }),
    { numRuns: 300 },
  );
});
