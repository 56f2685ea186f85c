import { expect, test } from "vitest";
import { EventBatch } from "../../core/events/event-batch.ts";
import type { PublishedFrame } from "../../core/live/protocol.ts";
import { ShardMachine } from "../../core/windows/shard-machine.ts";
import { planOf } from "../../core/windows/plan.ts";
import { LiveFeed } from "../../durable-objects/aggregator/live-feed.ts";
import { event, T0 } from "./event-messages.ts";

const definition = {
  name: "mine",
  window: { type: "tumbling" as const, size: "1h" },
  measures: { n: { fn: "count" as const } },
};

test("two thousand calls with an event each, a millisecond apart, make at most four frames a second, and the last says all", () => {
  const planned = planOf(definition);
  if (!planned.ok) throw new Error("the definition does not compile");
  const machine = new ShardMachine(
    undefined,
    [{ id: 1, plan: planned.plan }],
    () => new Map(),
    () => {},
  );
  let now = T0;
  let due: { readonly at: number; readonly work: () => void }[] = [];
  const published: { readonly at: number; readonly frames: readonly PublishedFrame[] }[] = [];
  const feed = new LiveFeed(
    machine,
    {
      publish: async (frames) => void published.push({ at: now, frames }),
      later: (work, delayMs) => void due.push({ at: now + delayMs, work }),
      now: () => now,
      report: () => {},
    },
    { topics: ["aggregation:mine", "events"], untilMs: T0 + 1_000_000 },
  );
  const runDue = (): void => {
    const ready = due.filter(({ at }) => at <= now);
    due = due.filter(({ at }) => at > now);
    for (const { work } of ready) work();
  };
  for (let k = 0; k < 2000; k++, now++) {
    const batch = EventBatch.fromEvents([event(`e-${k}`, now)]);
    const rows = Uint32Array.of(0);
    const effects = machine.fold(batch, rows);
    feed.note(batch, rows);
    feed.noteEffects(effects);
    feed.schedule();
    runDue();
  }
  now += 1000;
  runDue();
  const pauses = published.slice(1).map(({ at }, k) => at - (published[k]?.at ?? 0));
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(250);
  expect(published.length).toBeGreaterThanOrEqual(8);
  const frames = published.flatMap((one) => one.frames);
  expect(frames.findLast(({ topic }) => topic === "aggregation:mine")).toMatchObject({
    data: { windows: [{ values: { n: 2000 } }] },
  });
  const told = frames.map(({ data }) =>
    "events" in data && "skipped" in data ? data.events.length + data.skipped : 0,
  );
  expect(told.reduce((sum, count) => sum + count, 0)).toBe(2000);
});
