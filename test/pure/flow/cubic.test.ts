import { describe, expect, test } from "vitest";
import { Cubic, cubicK, cubicWindow, freshCubicState } from "../../../core/flow/cubic.ts";
import { createFlowController } from "../../../core/flow/index.ts";
import { type AckSample, Sampler } from "../../../core/flow/sampler.ts";
import { averageWindow } from "../../sim/periodic-loss.ts";

const LIMITS = { initialWindow: 10, minWindow: 2, maxWindow: 1e6 };
const BETA = 0.7;
const C = 0.4;

/** A controller in congestion avoidance with a full window, and the sampler that feeds it. */
function cubicAt(window: number): {
  cubic: Cubic;
  sampler: Sampler;
  ack(nowMs: number): void;
  refuse(nowMs: number): void;
} {
  const cubic = new Cubic(LIMITS, { ...freshCubicState(LIMITS), window, slowStartBelow: window });
  const sampler = new Sampler();
  const leave = (nowMs: number) => sampler.sent(nowMs, Infinity, Infinity);
  for (let item = 0; item < window; item++) leave(0);
  return {
    cubic,
    sampler,
    ack(nowMs) {
      cubic.onAck(sampler.acked(leave(nowMs), nowMs), sampler);
    },
    refuse(nowMs) {
      cubic.onReject(sampler.rejected(leave(nowMs), nowMs), sampler);
    },
  };
}

describe("the cubic curve", () => {
  test("gives the figures of s2n-quic's test w_cubic (cubic/tests.rs)", () => {
    expect(cubicK(2304, 2304 * BETA)).toBeCloseTo(12, 9);
    expect(cubicWindow(0, 12, 2304)).toBeCloseTo(2304 * BETA, 3);
    expect(cubicWindow(15, 12, 2304)).toBeCloseTo(2314.8, 3);
    expect(cubicWindow(10, 12, 2304)).toBeCloseTo(2300.8, 3);
  });

  test("from a maximum of 100 passes through the points of RFC 9438, figures 1 and 2", () => {
    const k = cubicK(100, 70);
    expect(k).toBeCloseTo(4.217163, 6);
    const points = [
      [0, 70],
      [1, 86.6808],
      [2, 95.6403],
      [3, 99.2787],
      [4, 99.9959],
      [5, 100.1919],
      [6, 102.2667],
      [8, 121.6527],
      [10, 177.354],
    ] as const;
    for (const [seconds, window] of points) expect(cubicWindow(seconds, k, 100)).toBeCloseTo(window, 3);
  });

  test("is (3 + β)/4 of its maximum on average until it is back there", () => {
    const k = cubicK(100, 70);
    const steps = 10_000;
    let sum = 0;
    for (let step = 0; step < steps; step++) sum += cubicWindow((k * (step + 0.5)) / steps, k, 100);
    expect(sum / steps / 100).toBeCloseTo((3 + BETA) / 4, 6);
  });
});

describe("a refusal", () => {
  test("leaves 0.7 of the window, and of a lower maximum 0.85 as the level to return to (s2n-quic multiplicative_decrease)", () => {
    // 100,000 and 80,000 bytes there, a thousand a packet; fast convergence at the second.
    const { cubic, refuse } = cubicAt(99);
    cubic.state.window = 100;
    refuse(0);
    expect(cubic.window).toBeCloseTo(70, 9);
    expect(cubic.state.windowMax).toBe(100);
    cubic.state.window = 80;
    refuse(1);
    expect(cubic.window).toBeCloseTo(56, 9);
    expect(cubic.state.windowMax).toBeCloseTo(68, 9);
  });

  test("never leaves fewer than two items (RFC 9438 section 4.6)", () => {
    const { cubic, refuse } = cubicAt(2);
    for (let nowMs = 0; nowMs < 5; nowMs++) refuse(nowMs);
    expect(cubic.window).toBe(2);
  });

  test("of an item sent before the last decrease does not decrease again", () => {
    const c = createFlowController({ algorithm: "cubic", initialWindow: 100 }, 0);
    const tokens = Array.from({ length: 100 }, () => c.sent(0));
    for (const token of tokens) c.rejected(token, 50);
    expect(c.window).toBeCloseTo(70, 9);
  });
});

describe("growth", () => {
  test("in the Reno-friendly region is 9/17 of an item per round trip: 80.5882 after 20 (s2n-quic w_est, RFC 8312 section 4.6)", () => {
    const { cubic, ack } = cubicAt(100);
    Object.assign(cubic.state, {
      slowStartBelow: 70,
      windowMax: 100,
      windowPrior: 100,
      renoWindow: 70,
      epochAtMs: 0,
      usedAtMs: 0,
      k: 1e3,
    });
    // 6 s of round trips of 300 ms, a window's worth of acks each; the window is held, to see Reno's estimate alone.
    for (let round = 1; round <= 20; round++) {
      for (let item = 0; item < 70; item++) {
        cubic.state.window = 70;
        ack(round * 300);
      }
    }
    expect(cubic.state.renoWindow).toBeCloseTo(80.5882, 3);
  });

  test("asks for at most half as much again within a round trip (RFC 9438 section 4.2)", () => {
    const { cubic, ack } = cubicAt(10);
    Object.assign(cubic.state, { windowMax: 10, epochAtMs: -1e6, usedAtMs: 0, k: 0, renoWindow: 10, windowPrior: 100 });
    ack(1);
    expect(cubic.window).toBeCloseTo(10 + (15 - 10) / 10, 9);
  });

  test("does not count the time in which the window was not used (s2n-quic congestion_avoidance_after_idle_period)", () => {
    const sampler = new Sampler();
    const cubic = new Cubic(LIMITS, {
      ...freshCubicState(LIMITS),
      window: 6,
      slowStartBelow: 6,
      windowMax: 6,
      epochAtMs: 10_000,
      usedAtMs: 10_000,
      renoWindow: 6,
    });
    const send = (nowMs: number) => sampler.sent(nowMs, cubic.window, Infinity);
    const ack = (token: ReturnType<typeof send>, nowMs: number): AckSample => {
      const sample = sampler.acked(token, nowMs);
      cubic.onAck(sample, sampler);
      return sample;
    };
    const first = send(0);
    const second = send(15_000);
    ack(first, 16_000);
    expect(cubic.window).toBe(6);
    while (sampler.inFlight < 6) send(20_000);
    ack(second, 25_000);
    // The epoch began at 10 s; 6 s of it, until the ack at 16 s, do not count: t = 9 s.
    expect(cubic.state.epochAtMs).toBe(16_000);
    expect(cubic.window).toBeGreaterThan(6);
  });
});

/** RFC 9438, equation 5. */
function averageOf(rttSeconds: number, p: number): number {
  return ((C * (3 + BETA)) / (4 * (1 - BETA))) ** 0.25 * (rttSeconds / p) ** 0.75;
}

describe("the average window with one refusal in so many items (RFC 9438, tables 1 and 2)", () => {
  test("has the published formula", () => {
    expect(averageOf(0.1, 1e-4)).toBeCloseTo(187.4, 1);
    expect(averageOf(0.1, 1e-5)).toBeCloseTo(1053.8, 1);
    expect(averageOf(0.1, 1e-6)).toBeCloseTo(5926.1, 1);
    expect(averageOf(0.01, 1e-7)).toBeCloseTo(5926.1, 1);
  });

  test.for([
    { rttMs: 100, every: 100, published: 12 },
    { rttMs: 100, every: 1_000, published: 38 },
    { rttMs: 100, every: 10_000, published: 187 },
    { rttMs: 100, every: 100_000, published: 1054 },
    { rttMs: 100, every: 1_000_000, published: 5926 },
    { rttMs: 10, every: 1_000, published: 38 },
    { rttMs: 10, every: 10_000, published: 120 },
    { rttMs: 10, every: 100_000, published: 379 },
  ])("is $published at $rttMs ms and one in $every, within 5 %", ({ rttMs, every, published }) => {
    const controller = createFlowController({ algorithm: "cubic", maxWindow: 1e6 }, 0);
    const refusals = Math.max(6, Math.min(60, 2_000_000 / every));
    const average = averageWindow(controller, published, { every, refusals, rttMs });
    expect(Math.abs(average / published - 1)).toBeLessThan(0.05);
  });

  test("is a fifth more than the published 1,200 at most at 10 ms and one in 1,000,000, where both curves meet and the window follows the higher", () => {
    const controller = createFlowController({ algorithm: "cubic", maxWindow: 1e6 }, 0);
    const average = averageWindow(controller, 1_200, { every: 1_000_000, refusals: 6, rttMs: 10 });
    expect(average).toBeGreaterThan(1_200);
    expect(average).toBeLessThan(1.2 * 1_200);
  });
});
