import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Pace } from "../../../core/flow/pace.ts";

/** Offers a request of `events` each millisecond for `seconds`. @returns events let in */
function offer(pace: Pace, events: number, seconds: number, fromMs = 0): number {
  let admitted = 0;
  for (let nowMs = fromMs; nowMs < fromMs + seconds * 1_000; nowMs++) {
    if (!pace.enter(nowMs)) continue;
    pace.settle(events);
    admitted += events;
  }
  return admitted;
}

describe("a pace", () => {
  test("without a rate lets everything in", () => {
    expect(offer(new Pace(), 500, 1)).toBe(500_000);
  });

  test("lets no more in than the rate, half a second of burst and a few requests", () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 50_000 }), fc.integer({ min: 1, max: 2_000 }), (rate, events) => {
        const pace = new Pace();
        pace.set(rate, 0);
        const admitted = offer(pace, events, 20);
        // What a request holds is only believed after some have come.
        expect(admitted).toBeLessThanOrEqual(rate * 20.5 + 6 * events);
        if (rate * 0.5 > events)
          expect(admitted).toBeGreaterThanOrEqual(Math.min(rate, events * 1_000) * 20 * 0.95 - events);
      }),
      { numRuns: 50 },
    );
  });

  test("books requests whose events nobody has read yet", () => {
    const pace = new Pace();
    pace.set(1_000, 0);
    offer(pace, 100, 10);
    // None of these is settled: together they hold what one second brings, and no more come in.
    const entered = Array.from({ length: 100 }, () => pace.enter(11_000)).filter(Boolean);
    expect(entered.length).toBeLessThanOrEqual(11);
  });

  test("with a rate of 0 lets nothing in until it is told another", () => {
    const pace = new Pace();
    pace.set(0, 0);
    expect(offer(pace, 1, 5)).toBe(0);
    pace.set(100, 5_000);
    expect(offer(pace, 1, 1, 5_000)).toBeGreaterThan(90);
  });

  test("says in whole seconds when the debt is paid, at most 5: by then the rate is another", () => {
    const pace = new Pace();
    pace.set(100, 0);
    expect(pace.enter(100)).toBe(true);
    pace.settle(300);
    expect(pace.retryAfterSeconds()).toBe(3);
    pace.settle(1e9);
    expect(pace.retryAfterSeconds()).toBe(5);
    expect(new Pace().retryAfterSeconds()).toBe(1);
  });
});
