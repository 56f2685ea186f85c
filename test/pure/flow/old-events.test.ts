import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AdmissionLimit } from "../../../core/flow/admission.ts";
import { FIRST_OLD_RATE, OldEventsRate } from "../../../core/flow/old-events.ts";

const REPORT_EVERY_MS = 100;

/** What the rest of the platform is like: only these two matter here. */
function limit(longestWaitMs: number, isPressed = false): AdmissionLimit {
  return {
    isPressed,
    ratePerSecond: null,
    window: 10_000,
    inFlight: 0,
    oldestAgeMs: 0,
    waitMs: 0,
    longestWaitMs,
    lagMs: 0,
    capacityPerSecond: 10_000,
  };
}

/** A queue that takes so many old events per second, and whose wait is heard of half a second later. */
function run(capacity: number, seconds: number) {
  const rate = new OldEventsRate();
  const waits: number[] = [];
  const applied: number[] = [];
  let [queued, taken] = [0, 0];
  for (let nowMs = 0; nowMs < seconds * 1_000; nowMs += REPORT_EVERY_MS) {
    const came = (rate.perIsolate * REPORT_EVERY_MS) / 1_000;
    const done = Math.min(queued + came, (capacity * REPORT_EVERY_MS) / 1_000);
    queued += came - done;
    taken += done;
    applied.push(done);
    waits.push((queued / capacity) * 1_000);
    const lastSecond = applied.slice(-10).reduce((sum, events) => sum + events, 0);
    rate.report("one", { events: came, heldBack: 1 }, limit(Math.max(0, ...waits.slice(-15, -5))), lastSecond, nowMs);
  }
  return { taken, waits };
}

/** The rate after eight seconds of old events, while one shard writes so many windows and another a tenth of that. */
function after(windowsPerSecond: number): number {
  const rate = new OldEventsRate();
  for (let nowMs = 0; nowMs < 8_000; nowMs += REPORT_EVERY_MS) {
    rate.wrote(0, windowsPerSecond / 100, nowMs);
    rate.wrote(1, windowsPerSecond / 10, nowMs);
    if (nowMs > 2_000) rate.report("one", { events: 100, heldBack: 1 }, limit(0), 1_000_000, nowMs);
  }
  return rate.perSecond;
}

describe("the rate of old events", () => {
  test("finds what the queue takes, whatever that is, and keeps its wait below a second", () => {
    for (const capacity of [4_000, 10_000, 60_000, 300_000]) {
      const { taken, waits } = run(capacity, 60);
      expect(taken / (capacity * 60), `${capacity}/s`).toBeGreaterThan(0.7);
      expect(Math.max(...waits.slice(100)), `${capacity}/s`).toBeLessThan(1_000);
    }
  });

  test("grows while the busiest shard writes few windows, holds while it writes more, and falls while it writes many", () => {
    expect(after(11_000)).toBeGreaterThan(2 * FIRST_OLD_RATE);
    expect(after(14_000)).toBeLessThan(2 * FIRST_OLD_RATE);
    expect(after(14_000)).toBeGreaterThanOrEqual(FIRST_OLD_RATE);
    expect(after(20_000)).toBe(2_000);
  });

  test("grows only while somebody is held back", () => {
    const rate = new OldEventsRate();
    for (let nowMs = 0; nowMs < 10_000; nowMs += 100)
      rate.report("one", { events: 10, heldBack: 0 }, limit(0), 100, nowMs);
    expect(rate.perIsolate).toBe(FIRST_OLD_RATE);
  });

  test("falls when messages wait and under pressure, but never to nothing", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5_000), fc.boolean()), { maxLength: 200 }), (steps) => {
        const rate = new OldEventsRate();
        for (const [k, [waitMs, isPressed]] of steps.entries()) {
          const before = rate.perIsolate;
          rate.report("one", { events: 1, heldBack: 1 }, limit(waitMs, isPressed), 100, k * 100);
          if (isPressed || waitMs > 300) expect(rate.perIsolate).toBeLessThanOrEqual(before);
          expect(rate.perIsolate).toBeGreaterThanOrEqual(2_000);
        }
      }),
    );
  });

  test("is divided among the isolates that send old events, and whole again once the others have gone quiet", () => {
    const rate = new OldEventsRate();
    rate.report("one", { events: 1, heldBack: 0 }, limit(0), 100, 0);
    rate.report("two", { events: 1, heldBack: 0 }, limit(0), 100, 0);
    expect(rate.perIsolate).toBe(FIRST_OLD_RATE / 2);
    rate.report("one", { events: 1, heldBack: 0 }, limit(0), 100, 3_001);
    expect(rate.perIsolate).toBe(FIRST_OLD_RATE);
    expect([rate.isUsed(3_001), rate.isUsed(6_002)]).toEqual([true, false]);
  });
});
