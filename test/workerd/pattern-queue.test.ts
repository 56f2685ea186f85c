import { describe, expect, test } from "vitest";
import { ColumnarBuilder } from "../../core/events/columnar-builder.ts";
import { EventBatch } from "../../core/events/event-batch.ts";
import type { StreamEvent } from "../../core/events/event.ts";
import { patternSchema } from "../../core/patterns/definition.ts";
import { KEEPERS } from "../../core/patterns/forward.ts";
import type { ForwardedRows } from "../../core/patterns/forwarded-rows.ts";
import { planPattern } from "../../core/patterns/plan.ts";
import type { BookedPattern } from "../../durable-objects/aggregator/pattern-book.ts";
import { type Chunk, PatternQueue } from "../../durable-objects/aggregator/pattern-queue.ts";
import type { LogEntry, ShardTables } from "../../durable-objects/aggregator/tables.ts";
import type { ForwardedRun } from "../../durable-objects/patterns/messages.ts";
import { joinChunks, packChunk } from "../../storage/chunk.ts";
import { randomFrom } from "../pure/aggregates/samples.ts";

function pattern(): BookedPattern {
  const definition = patternSchema.parse({
    name: "p",
    kind: "count",
    within: "1m",
    times: 3,
    key: "data.key",
    event: { filter: "event.type == 'wanted'" },
  });
  const planned = planPattern({ id: 1, version: 1, definition });
  if (!planned.ok) throw new Error("does not compile");
  return { ...planned.plan, since: 0 };
}

const PATTERNS = [pattern()];

const event = (id: string, type: string, key: string): StreamEvent => ({
  id,
  type,
  source: "s",
  timestamp: 1000,
  receivedAt: 1000,
  severity: "low",
  data: { key },
  metadata: {},
});

const idsOf = (runs: Iterable<ForwardedRun>): string[] =>
  [...runs].flatMap(({ rows }) => rows.flatMap((text) => (JSON.parse(text) as ForwardedRows).id));
const idsIn = ({ byKeeper }: Chunk): string[] => [...byKeeper.values()].flatMap(idsOf).sort();

/** A shard's log, and the queue that forwards from it. */
class World {
  readonly #entries: LogEntry[] = [];
  readonly #tables = {
    logAfter: (after: number) => this.#entries.filter(({ entry }) => entry > after).values(),
  } satisfies Pick<ShardTables, "logAfter">;
  /** Ids of all wanted events so far. */
  readonly wanted: string[] = [];
  queue = this.restarted(0);

  get lastEntry(): number {
    return this.#entries.length;
  }

  /** The queue of an object that starts again. @param forwarded as of its last checkpoint */
  restarted(forwarded: number): PatternQueue {
    return new PatternQueue(this.#tables as unknown as ShardTables, forwarded, this.lastEntry);
  }

  count(events: readonly StreamEvent[]): void {
    const builder = new ColumnarBuilder();
    for (const one of events) builder.add(one);
    const text = builder.toText();
    const batch = EventBatch.fromText(text);
    this.queue.note(PATTERNS, batch, Uint32Array.from(events.keys()));
    const entry = this.lastEntry + 1;
    const body = joinChunks([packChunk(text)]);
    this.#entries.push({ entry, kind: "events", seq: entry, events: events.length, at: 0, chunks: undefined, body });
    this.queue.commit(entry);
    this.wanted.push(...events.filter(({ type }) => type === "wanted").map(({ id }) => id));
  }

  next(): Chunk {
    return this.queue.next(PATTERNS, this.lastEntry);
  }
}

describe("events that wait to be forwarded", () => {
  test("and come one commit after the other are one run; what was told stays as it is, whatever comes meanwhile", () => {
    const world = new World();
    world.count([event("1", "wanted", "k")]);
    world.count([event("2", "wanted", "k"), event("3", "other", "k")]);
    const told = world.next();
    expect([...told.byKeeper.values()]).toEqual([[expect.objectContaining({ through: 2 })]]);
    expect(idsIn(told)).toEqual(["1", "2"]);
    world.count([event("4", "wanted", "k")]);
    const again = world.next();
    expect(again).toMatchObject({ through: 2, byKeeper: told.byKeeper });
    world.queue.forwardedThrough(again.through);
    expect(idsIn(world.next())).toEqual(["4"]);
    world.queue.forwardedThrough(3);
    expect(world.queue.isBehind).toBe(false);
  });

  test("hold no entry of the log that has none of them", () => {
    const world = new World();
    for (const id of ["1", "2", "3"]) world.count([event(id, "other", "k")]);
    expect(world.queue).toMatchObject({ isBehind: false, forwarded: 3 });
  });

  const seeds = Array.from({ length: 200 }, (_, seed) => seed + 1);
  test.each(seeds)(
    "reach each keeper once, though calls fail, the object restarts and all is told again (seed %i)",
    (seed) => {
      const random = randomFrom(seed);
      const world = new World();
      // As keepers do: a run is known by its last entry, and those up to the last one are passed over.
      const known = Array.from({ length: KEEPERS }, () => 0);
      const heard: string[] = [];
      let [checkpoint, sent] = [0, 0];
      const tell = (failing: number): void => {
        const chunk = world.next();
        let isWhole = true;
        for (const [keeper, runs] of chunk.byKeeper) {
          if (random() < failing) isWhole = false;
          else
            for (const run of runs.filter(({ through }) => through > (known[keeper] ?? 0))) {
              heard.push(...idsOf([run]));
              known[keeper] = run.through;
            }
        }
        if (isWhole) world.queue.forwardedThrough(chunk.through);
      };
      for (let step = 0; step < 60; step++) {
        const what = random();
        if (what < 0.5) {
          const events = Array.from({ length: Math.floor(random() * 4) + 1 }, () =>
            event(`id-${sent++}`, random() < 0.5 ? "wanted" : "other", `key ${Math.floor(random() * 20)}`),
          );
          world.count(events);
        } else if (what < 0.8) tell(0.3);
        else if (what < 0.88) checkpoint = world.queue.forwarded;
        else if (what < 0.94) world.queue = world.restarted(checkpoint);
        else world.queue.rewind(Math.floor(random() * (world.lastEntry + 1)), world.lastEntry);
      }
      while (world.queue.isBehind) tell(0);
      expect(heard.sort()).toEqual(world.wanted.sort());
    },
  );
});
