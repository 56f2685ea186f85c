import { describe, expect, test } from "vitest";
import { EventBatch } from "../../core/events/event-batch.ts";
import type { PublishedFrame } from "../../core/live/protocol.ts";
import { FRAME_INTERVAL_MS, TopicLog } from "../../core/live/topic-log.ts";
import { ShardMachine } from "../../core/windows/shard-machine.ts";
import { planOf } from "../../core/windows/plan.ts";
import { LiveFeed } from "../../durable-objects/aggregator/live-feed.ts";
import { event, T0 } from "./event-messages.ts";

const definition = {
  name: "mine",
  window: { type: "tumbling" as const, size: "1h" },
  measures: { n: { fn: "count" as const } },
};

interface Sent {
  readonly at: number;
  readonly frames: readonly PublishedFrame[];
}

/** A shard that gets an event each millisecond, and its feed. */
class World {
  now = T0;
  readonly sent: Sent[] = [];
  /** How long the next frames are on their way to the hub, ms. */
  delayMs = 0;
  readonly #machine: ShardMachine;
  readonly #feed: LiveFeed;
  #due: { readonly at: number; readonly work: () => void }[] = [];
  #arrived: (sent: Sent) => void;

  constructor(arrived: (sent: Sent) => void = () => {}) {
    const planned = planOf(definition);
    if (!planned.ok) throw new Error("the definition does not compile");
    this.#arrived = arrived;
    this.#machine = new ShardMachine(
      undefined,
      [{ id: 1, plan: planned.plan }],
      () => new Map(),
      () => {},
    );
    this.#feed = new LiveFeed(
      this.#machine,
      {
        publish: (frames) => this.#publish(frames),
        later: (work, delayMs) => this.#later(work, delayMs),
        now: () => this.now,
        report: () => {},
      },
      { topics: ["aggregation:mine", "events"], untilMs: T0 + 1_000_000 },
    );
  }

  async run(ms: number): Promise<void> {
    for (const end = this.now + ms; this.now < end; this.now++) {
      const batch = EventBatch.fromEvents([event(`e-${this.now}`, this.now)]);
      const rows = Uint32Array.of(0);
      const effects = this.#machine.fold(batch, rows);
      this.#feed.note(batch, rows);
      this.#feed.noteEffects(effects);
      this.#feed.schedule();
      await this.runDue();
    }
  }

  async runDue(): Promise<void> {
    const ready = this.#due.filter(({ at }) => at <= this.now);
    this.#due = this.#due.filter(({ at }) => at > this.now);
    for (const { work } of ready) work();
    // Answers arrive within the same millisecond.
    for (let turns = 0; turns < 5; turns++) await Promise.resolve();
  }

  #later(work: () => void, delayMs: number): void {
    this.#due.push({ at: this.now + delayMs, work });
  }

  #publish(frames: readonly PublishedFrame[]): Promise<void> {
    this.sent.push({ at: this.now, frames });
    return new Promise((answered) => {
      const arrive = (): void => {
        this.#arrived({ at: this.now, frames });
        answered();
      };
      if (this.delayMs === 0) arrive();
      else this.#later(arrive, this.delayMs);
    });
  }
}

const pausesOf = (times: readonly number[]): number[] => times.slice(1).map((at, k) => at - (times[k] ?? 0));

describe("an event each millisecond", () => {
  test("makes at most four frames a second, and the last says all", async () => {
    const world = new World();
    await world.run(2000);
    world.now += 1000;
    await world.runDue();
    expect(Math.min(...pausesOf(world.sent.map(({ at }) => at)))).toBeGreaterThanOrEqual(FRAME_INTERVAL_MS);
    expect(world.sent.length).toBeGreaterThanOrEqual(8);
    const frames = world.sent.flatMap((one) => one.frames);
    expect(frames.findLast(({ topic }) => topic === "aggregation:mine")).toMatchObject({
      data: { windows: [{ values: { n: 2000 } }] },
    });
    const told = frames.map(({ data }) =>
      "events" in data && "skipped" in data ? data.events.length + data.skipped : 0,
    );
    expect(told.reduce((sum, count) => sum + count, 0)).toBe(2000);
  });

  test("waits nowhere else: a frame that was long on its way makes none after it wait at the hub", async () => {
    const log = new TopicLog("events", "epoch", 0);
    const waited: number[] = [];
    const world = new World(({ at, frames }) => {
      const frame = frames.find(({ topic }) => topic === "events");
      if (frame === undefined) return;
      log.publish(frame);
      waited.push(Math.max(0, (log.dueAtMs ?? 0) - at));
      log.issue(log.dueAtMs === null ? at : Math.max(at, log.dueAtMs));
    });
    for (const delayMs of [2, 150, 2, 240, 2]) {
      world.delayMs = delayMs;
      await world.run(1000);
    }
    expect(waited.length).toBeGreaterThanOrEqual(15);
    expect(Math.max(...waited)).toBe(0);
  });
});
