import { expect, test } from "vitest";
import { Progress } from "../../durable-objects/aggregator/progress.ts";
import type { Tally } from "../../durable-objects/aggregator/tally.ts";
import type { ShardSigns } from "../../durable-objects/rate/downstream.ts";

const message = (acceptedAt: number) => ({ id: "m", acceptedAt, body: new Uint8Array() });

test("each report says what came since the last one: how long messages waited at most, and windows written", async () => {
  const tally = { applied: 0 };
  const told: [number, Pick<ShardSigns, "oldestAgeMs" | "windowsWritten">][] = [];
  let [now, windows] = [10_000, 0];
  const progress = new Progress(tally as Tally, {
    tellApplied: async (applied, { oldestAgeMs, windowsWritten }) => {
      told.push([applied, { oldestAgeMs, windowsWritten }]);
    },
    store: () => ({ storeMs: null, storeFailures: 0, storeCircuit: "closed" }),
    windowsWritten: () => windows,
    now: () => now,
    later: () => undefined,
    report: () => undefined,
  });
  progress.arrived([message(now - 40), message(now - 70)]);
  [tally.applied, windows] = [2, 400];
  await progress.tell();
  now += 5_000;
  [tally.applied, windows] = [3, 1_000];
  await progress.tell();
  expect(told).toEqual([
    [2, { oldestAgeMs: 70, windowsWritten: 400 }],
    [3, { oldestAgeMs: 0, windowsWritten: 600 }],
  ]);
});
