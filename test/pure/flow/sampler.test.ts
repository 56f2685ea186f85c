import { describe, expect, test } from "vitest";
import { Sampler } from "../../../core/flow/sampler.ts";

describe("the delivery rate", () => {
  test("is what was done since the item before, over the time that took", () => {
    const sampler = new Sampler();
    const tokens = Array.from({ length: 10 }, (_, index) => sampler.sent(index, 100, 1_000));
    const rates = tokens.map((token, index) => sampler.acked(token, 50 + 10 * index).deliveryRate);
    // The first was done after 50 ms; the tenth, sent when none was done, after 140 ms.
    expect(rates[0]).toBeCloseTo(1_000 / 50, 9);
    expect(rates[9]).toBeCloseTo(10_000 / 140, 9);
  });

  test("does not take the wait for the sender's pace for speed of the path, as now − sent would", () => {
    const sampler = new Sampler();
    let nowMs = 0;
    let rate: number | null = null;
    // One item each 2 ms, done 50 ms later: 500 items per second, while 26 are done per 50 ms from send to ack.
    const flight = Array.from({ length: 25 }, () => sampler.sent((nowMs += 2), 100, 500));
    for (let step = 0; step < 200; step++) {
      nowMs += 2;
      const done = flight.shift();
      if (done !== undefined) rate = sampler.acked(done, nowMs).deliveryRate;
      flight.push(sampler.sent(nowMs, 100, 500));
    }
    expect(rate).toBeCloseTo(500, 6);
  });

  test("is no faster than the items were sent, when answers come in a bunch", () => {
    const sampler = new Sampler();
    const first = sampler.sent(0, 100, 1_000);
    sampler.acked(first, 50);
    const slow = Array.from({ length: 10 }, (_, index) => sampler.sent(100 + 10 * index, 100, 1_000));
    const rates = slow.map((token) => sampler.acked(token, 250).deliveryRate);
    // Ten items in 150 ms; the bunch itself took no time at all.
    expect(rates.at(-1)).toBeCloseTo(10_000 / 150, 6);
  });
});

describe("a round trip", () => {
  test("below a millisecond is a clock that stands still, and says nothing", () => {
    const sampler = new Sampler();
    for (const [rttMs, expected] of [
      [0, null],
      [0.99, null],
      [1, 1],
      [20, 20],
    ] as const) {
      expect(sampler.acked(sampler.sent(0, 10, Infinity), rttMs).rttMs).toBe(expected);
    }
  });

  test("is smoothed with an eighth (RFC 6298)", () => {
    const sampler = new Sampler();
    sampler.acked(sampler.sent(0, 10, Infinity), 100);
    sampler.acked(sampler.sent(100, 10, Infinity), 300);
    expect(sampler.state.smoothedRttMs).toBeCloseTo(100 + 100 / 8, 9);
  });
});

describe("app-limited samples", () => {
  test("begin when a sender comes late though window and pace let it send, and end when those in flight are done", () => {
    const sampler = new Sampler();
    sampler.acked(sampler.sent(0, 1_000, 1_000), 40);
    const flight = [];
    // Late at 100 ms, then one item per ms as allowed, each done after 40 ms.
    for (let nowMs = 100; nowMs < 160; nowMs++) {
      const [oldest] = flight;
      if (oldest !== undefined && nowMs - oldest.sentAtMs === 40) sampler.acked(oldest, nowMs);
      if (oldest !== undefined && nowMs - oldest.sentAtMs === 40) flight.shift();
      flight.push(sampler.sent(nowMs, 1_000, 1_000));
    }
    const limited = flight.map(({ sentAtMs, isAppLimited }) => [sentAtMs, isAppLimited]);
    expect(limited.filter(([sentAtMs]) => Number(sentAtMs) < 140).every(([, isLimited]) => isLimited)).toBe(true);
    expect(limited.filter(([sentAtMs]) => Number(sentAtMs) > 141).some(([, isLimited]) => isLimited)).toBe(false);
  });

  test("do not come from a full window", () => {
    const sampler = new Sampler();
    const flight = [sampler.sent(0, 2, Infinity), sampler.sent(0, 2, Infinity)];
    const [first] = flight;
    if (first !== undefined) sampler.acked(first, 100);
    expect(sampler.sent(100, 2, Infinity).isAppLimited).toBe(false);
  });

  test("come from half the pace kept up, item by item, too", () => {
    const sampler = new Sampler();
    let limited = 0;
    const flight = [];
    for (let nowMs = 0; nowMs < 400; nowMs += 2) {
      flight.push(sampler.sent(nowMs, 1_000, 1_000));
      const [oldest] = flight;
      if (oldest !== undefined && nowMs - oldest.sentAtMs >= 50) {
        limited += Number(sampler.acked(oldest, nowMs).token.isAppLimited);
        flight.shift();
      }
    }
    expect(limited).toBeGreaterThan(100);
  });
});
