import { describe, expect, test } from "vitest";
import {
  addRtt,
  closeRound,
  forgetSamples,
  freshLatency,
  read,
  type Reading,
} from "../../../core/flow/adaptive/latency.ts";
import {
  allowedStep,
  countRound,
  earnCredit,
  freshWall,
  isForgiven,
  noteRefusal,
  type WallState,
} from "../../../core/flow/adaptive/wall.ts";
import { createFlowController, type FlowController } from "../../../core/flow/index.ts";
import { seededRandom } from "../../sim/random.ts";
import type { Experiment } from "../../sim/run.ts";
import { runTraced } from "../../sim/traced.ts";

/** Sends whole windows; each round trip takes what the path says, given the items in flight. */
function rounds(controller: FlowController, count: number, rttOf: (items: number) => number, startMs = 0): number {
  let nowMs = startMs;
  for (let round = 0; round < count; round++) {
    const tokens = Array.from({ length: Math.floor(controller.window) }, () => controller.sent(nowMs));
    nowMs += rttOf(tokens.length);
    for (const token of tokens) controller.acked(token, nowMs);
  }
  return nowMs;
}

/** A path that holds fifty items in 50 ms. */
const fifty = (items: number): number => 50 * Math.max(1, items / 50);

/** Reads samples against a base of one round. */
function readingOf(samples: readonly number[], base: readonly number[]): Reading {
  const state = freshLatency();
  for (const rttMs of base) addRtt(state, rttMs);
  closeRound(state, 0);
  forgetSamples(state);
  for (const rttMs of samples) addRtt(state, rttMs);
  return read(state, 50);
}

/** A refusal at a level, after some rounds without one and a step just taken. */
function meet(state: WallState, level: number, calmRounds: number): void {
  for (let round = 0; round < calmRounds; round++) countRound(state);
  state.roundsSinceGrowth = 0;
  noteRefusal(state, level);
}

describe("latency", () => {
  const flat = Array.from({ length: 50 }, () => 50);

  test("a mean 2 ms above a steady base is still no queue, 3 ms above is", () => {
    expect(
      readingOf(
        flat.map(() => 52),
        flat,
      ),
    ).toMatchObject({ meanMs: 52, limitMs: 52 });
    const queue = readingOf(
      flat.map(() => 53),
      flat,
    );
    expect(queue.meanMs).toBeGreaterThan(queue.limitMs);
  });

  test("the more the answers vary, the more a mean must exceed the base", () => {
    const random = seededRandom(5);
    const spread = (part: number): number[] => flat.map((rttMs) => rttMs * (1 + part * (2 * random() - 1)));
    const calm = readingOf(spread(0.1), spread(0.1));
    const wild = readingOf(spread(0.8), spread(0.8));
    expect(calm.limitMs - calm.floorMs).toBeLessThan(wild.limitMs - wild.floorMs);
    expect(wild.limitMs).toBeGreaterThan(55);
  });

  test("one answer a hundred times too late counts as twice too late", () => {
    const samples = [...flat.slice(1), 5_000];
    expect(readingOf(samples, flat).meanMs).toBe(51);
  });

  test("the base is forgotten after ten seconds without a word", () => {
    const state = freshLatency();
    const round = (rttMs: number, nowMs: number): void => {
      forgetSamples(state);
      for (let item = 0; item < 10; item++) addRtt(state, rttMs);
      closeRound(state, nowMs);
    };
    round(50, 0);
    round(80, 11_000);
    expect(read(state, 50).floorMs).toBe(80);
  });
});

describe("the wall", () => {
  test("one refusal in a hundred items is chance", () => {
    const state = freshWall();
    expect(isForgiven(state)).toBe(true);
    for (let item = 0; item < 99; item++) earnCredit(state);
    expect(isForgiven(state)).toBe(false);
    earnCredit(state);
    earnCredit(state);
    expect(isForgiven(state)).toBe(true);
  });

  test("is one once it is met at the same level a second time, and then is approached in steps far apart", () => {
    const state = freshWall();
    meet(state, 100, 5);
    expect(allowedStep(state, 95, 1)).toBe(1);
    meet(state, 99, 20);
    expect(allowedStep(state, 80, 1)).toBe(1);
    const steps = Array.from({ length: 32 }, () => allowedStep(state, 95, 1));
    expect(steps.filter((step) => step > 0).length).toBe(2);
  });

  test("is forgotten once the window is above it", () => {
    const state = freshWall();
    meet(state, 100, 5);
    meet(state, 100, 20);
    expect(allowedStep(state, 102, 5)).toBe(1);
    expect(allowedStep(state, 103, 5)).toBe(5);
  });

  test("is none when the refusal came without a step of ours: others met it, and waiting would leave them what they have", () => {
    const state = freshWall();
    meet(state, 100, 5);
    for (let round = 0; round < 5; round++) countRound(state);
    state.roundsSinceGrowth = 2;
    noteRefusal(state, 100);
    expect(state.wallHits).toBe(0);
    expect(allowedStep(state, 99, 1)).toBe(1);
  });

  test("lies lower when refusals go on after a cut, but not below 0.7", () => {
    const state = freshWall();
    meet(state, 100, 5);
    meet(state, 85, 1);
    expect(state.wall).toBe(85);
    meet(state, 40, 1);
    expect(state.wall).toBe(70);
  });
});

describe("ADAPTIVE", () => {
  test("doubles until the round trips grow, then returns to what the path holds", () => {
    const controller = createFlowController({ algorithm: "adaptive" }, 0);
    rounds(controller, 8, fifty);
    expect(controller.window).toBeGreaterThan(45);
    expect(controller.window).toBeLessThan(60);
  });

  test("shrinks at most once per round trip", () => {
    const controller = createFlowController({ algorithm: "adaptive", initialWindow: 100 }, 0);
    const nowMs = rounds(controller, 3, () => 50);
    const before = controller.window;
    const tokens = Array.from({ length: Math.floor(before) }, () => controller.sent(nowMs));
    for (const token of tokens) controller.rejected(token, nowMs + 50);
    expect(controller.window).toBeCloseTo(Math.floor(before) / 2, 6);
  });

  test("looks for a lower base: a queue that stood from the start is found and left", () => {
    const experiment: Experiment = {
      seed: 1,
      path: {
        kind: "bottleneck",
        ratePerSecond: 1_000,
        baseRttMs: 100,
        queue: 100,
        steps: [{ atMs: 10_000, baseRttMs: 50 }],
      },
      flows: [{ startMs: 0 }],
      durationMs: 40_000,
      countFromMs: 30_000,
    };
    const result = runTraced(experiment, { algorithm: "adaptive" }, () => undefined);
    // The path got shorter at 10 s; a window that holds 100 ms of items now keeps 50 ms of queue.
    expect(result.meanQueue).toBeLessThan(5);
    expect(result.utilisation).toBeGreaterThan(0.98);
  });

  test("knows after a few cuts that a path became slower, and does not starve", () => {
    const controller = createFlowController({ algorithm: "adaptive" }, 0);
    const nowMs = rounds(controller, 100, fifty);
    rounds(controller, 30, (items) => 150 * Math.max(1, items / 150), nowMs);
    expect(controller.window).toBeGreaterThan(50);
  });

  test("does not grow while an eighth of its items has been silent for four round trips", () => {
    const controller = createFlowController({ algorithm: "adaptive", initialWindow: 40, maxWindow: 48 }, 0);
    let nowMs = rounds(controller, 4, () => 50);
    const lost = Array.from({ length: 8 }, () => controller.sent(nowMs));
    for (const token of Array.from({ length: 32 }, () => controller.sent(nowMs)))
      controller.rejected(token, nowMs + 50);
    const windows: number[] = [];
    for (let round = 0; round < 20; round++) {
      const tokens = Array.from({ length: Math.floor(controller.window) - 8 }, () => controller.sent(nowMs));
      nowMs += 50;
      for (const token of tokens) controller.acked(token, nowMs);
      windows.push(controller.window);
    }
    expect(Math.max(...windows.slice(6))).toBeLessThanOrEqual(windows[5] ?? 0);
    for (const token of lost) controller.acked(token, nowMs);
    rounds(controller, 10, () => 50, nowMs);
    expect(controller.window).toBeGreaterThan(windows.at(-1) ?? Infinity);
  });

  test("after an outage doubles up to half of what it had", () => {
    const controller = createFlowController({ algorithm: "adaptive" }, 0);
    let nowMs = rounds(controller, 40, fifty);
    for (let round = 0; round < 20; round++) {
      const tokens = Array.from({ length: Math.floor(controller.window) }, () => controller.sent(nowMs));
      nowMs += 50;
      for (const token of tokens) controller.rejected(token, nowMs);
    }
    expect(controller.window).toBe(1);
    rounds(controller, 7, fifty, nowMs);
    expect(controller.window).toBeGreaterThan(20);
  });
});
