import { expect, test } from "vitest";
import type { RuleWatch } from "../../../core/alerts/watch.ts";
import { EventBatch } from "../../../core/events/event-batch.ts";
import { planOf } from "../../../core/windows/plan.ts";
import { NOTHING_LOADED } from "../../../core/windows/aggregation.ts";
import { ShardMachine } from "../../../core/windows/shard-machine.ts";
import { EarlyWatch } from "../../../durable-objects/aggregator/early-watch.ts";

const MINUTE = 60_000;
const T0 = Date.UTC(2026, 10, 22);

/** An aggregator with one aggregation, one rule and a clock of its own. */
class Bench {
  readonly told: { at: number; groups: unknown[] }[] = [];
  readonly reports: string[] = [];
  now = 0;
  isAway = false;
  readonly #machine: ShardMachine;
  readonly #watch: EarlyWatch;
  readonly #timers: { at: number; work: () => void }[] = [];
  #sent = 0;

  constructor(condition: string) {
    const planned = planOf({
      name: "a",
      window: { type: "tumbling", size: "1m" },
      group_by: ["data.host"],
      measures: { n: { fn: "count" }, mean: { fn: "avg", field: "data.ms" } },
      out_of_orderness: "0s",
    });
    if (!planned.ok) throw new Error("bad plan");
    this.#machine = new ShardMachine(undefined, [{ id: 1, plan: planned.plan }], NOTHING_LOADED, () => {});
    this.#watch = new EarlyWatch({
      deliverEarly: async (windows) => {
        if (this.isAway) throw new Error("away");
        for (const { window } of windows)
          this.told.push({ at: this.now, groups: window.groups.map(({ group }) => group["data.host"]) });
      },
      later: (work, delayMs) => void this.#timers.push({ at: this.now + delayMs, work }),
      now: () => this.now,
      report: (what) => void this.reports.push(what),
    });
    const watch: RuleWatch = {
      aggregation: "a",
      lookBacks: [],
      early: [{ id: "r", version: 1, condition, threshold: 2 }],
    };
    this.#watch.watch([watch], this.#machine.aggregations.values());
  }

  /** Counts one event in the nth minute. */
  send(host: string, nth = 0): void {
    const at = T0 + nth * MINUTE;
    const event = { type: "t", source: "s", timestamp: at, receivedAt: at, severity: "low" as const };
    const batch = EventBatch.fromEvents([{ id: `e${this.#sent++}`, ...event, data: { host, ms: 1 }, metadata: {} }]);
    this.#watch.note(this.#machine.fold(batch, Uint32Array.of(0)));
    this.#watch.schedule();
  }

  /** Lets time pass, timers included. */
  async pass(ms: number): Promise<void> {
    const to = this.now + ms;
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= to).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers.splice(this.#timers.indexOf(next), 1);
      this.now = Math.max(this.now, next.at);
      next.work();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.now = to;
  }
}

test("a group is told as soon as its condition holds, and once per window", async () => {
  const bench = new Bench("n > threshold");
  for (let k = 0; k < 3; k++) bench.send("a");
  await bench.pass(0);
  bench.send("a");
  await bench.pass(1_000);
  expect(bench.told).toEqual([{ at: 0, groups: ["a"] }]);
});

test("looks are at least 250 ms apart, whatever comes", async () => {
  const bench = new Bench("n > threshold");
  for (let k = 0; k < 100; k++) {
    for (let n = 0; n < 3; n++) bench.send(`host-${k}`);
    await bench.pass(10);
  }
  await bench.pass(1_000);
  expect(bench.told.map(({ at }) => at)).toEqual([0, 250, 500, 750, 1_000]);
  expect(bench.told.flatMap(({ groups }) => groups)).toHaveLength(100);
});

test("a window that closes makes open ones be tried again", async () => {
  const bench = new Bench("n > threshold");
  for (let k = 0; k < 3; k++) bench.send("a", 1);
  await bench.pass(300);
  bench.send("b", 2);
  bench.send("a", 2);
  await bench.pass(300);
  expect(bench.told).toEqual([{ at: 0, groups: ["a"] }]);
  for (let k = 0; k < 3; k++) bench.send("a", 2);
  await bench.pass(300);
  expect(bench.told).toHaveLength(2);
});

test("what could not be told is told later", async () => {
  const bench = new Bench("n > threshold");
  bench.isAway = true;
  for (let k = 0; k < 3; k++) bench.send("a");
  await bench.pass(100);
  expect(bench.reports).toEqual(["tell alerts early"]);
  bench.isAway = false;
  await bench.pass(2_000);
  expect(bench.told).toEqual([{ at: 2_000, groups: ["a"] }]);
});

test("a condition that may become false again is not tried at all", async () => {
  const bench = new Bench("n > threshold && mean < 5");
  for (let k = 0; k < 9; k++) bench.send("a");
  await bench.pass(1_000);
  expect(bench.told).toEqual([]);
});
