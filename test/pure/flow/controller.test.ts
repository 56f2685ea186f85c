import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CorruptSnapshotError,
  createFlowController,
  type FlowAlgorithm,
  type FlowController,
  type FlowToken,
  restoreFlowController,
} from "../../../core/flow/index.ts";
import { seededRandom } from "../../sim/random.ts";

const ALGORITHMS: readonly FlowAlgorithm[] = ["aimd", "cubic", "bbr", "adaptive"];

/** What happens to a controller: an item leaves, or one in flight (by its place) is settled, some ms later each. */
interface Step {
  readonly what: "send" | "ack" | "reject" | "ignore";
  readonly which: number;
  readonly afterMs: number;
}

function stepAfter(afterMs: fc.Arbitrary<number>): fc.Arbitrary<Step> {
  const what = fc.constantFrom("send", "send", "send", "ack", "ack", "reject", "ignore");
  return fc.record({ what, which: fc.nat(1_000), afterMs });
}

const shortMs = fc.integer({ min: 0, max: 30 });
const anyStep = stepAfter(fc.oneof(fc.constant(0), shortMs, fc.double({ min: 0, max: 3_000, noNaN: true })));
/** Whole milliseconds, so that two clocks that differ by whole milliseconds give the same to the bit. */
const wholeStep = stepAfter(fc.oneof(fc.constant(0), shortMs, fc.integer({ min: 0, max: 3_000 })));

/** Does the steps. @returns the time after them, and what is in flight then */
function play(
  controller: FlowController,
  steps: readonly Step[],
  startMs: number,
  each: () => void,
): { nowMs: number; flight: FlowToken[] } {
  let nowMs = startMs;
  const flight: FlowToken[] = [];
  for (const { what, which, afterMs } of steps) {
    nowMs += afterMs;
    if (what === "send") {
      if (flight.length + 1 <= controller.window) flight.push(controller.sent(nowMs));
    } else {
      const [token] = flight.splice(which % Math.max(1, flight.length), 1);
      if (token !== undefined) settle(controller, what, token, nowMs);
    }
    each();
  }
  return { nowMs, flight };
}

function settle(controller: FlowController, what: "ack" | "reject" | "ignore", token: FlowToken, nowMs: number): void {
  if (what === "ack") controller.acked(token, nowMs);
  else if (what === "reject") controller.rejected(token, nowMs);
  else controller.ignored(token, nowMs);
}

describe.for(ALGORITHMS)("%s", (algorithm) => {
  test("keeps its window within bounds and its pace above nothing, whatever happens", () => {
    const limits = { minWindow: 3, initialWindow: 5, maxWindow: 40 };
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 400 }), fc.integer(), (steps, seed) => {
        const controller = createFlowController({ algorithm, ...limits }, 1e12, seededRandom(seed));
        play(controller, steps, 1e12, () => {
          expect(controller.window).toBeGreaterThanOrEqual(3);
          expect(controller.window).toBeLessThanOrEqual(40);
          expect(controller.pacingRatePerSecond).toBeGreaterThan(0);
        });
      }),
      { numRuns: 150 },
    );
  });

  test("restored from a snapshot goes on as the original does", () => {
    fc.assert(
      fc.property(
        fc.array(wholeStep, { maxLength: 300 }),
        fc.array(wholeStep, { maxLength: 100 }),
        fc.integer({ min: -1e6, max: 1e9 }),
        (before, after, pauseMs) => {
          const original = createFlowController({ algorithm }, 5_000);
          const { nowMs, flight } = play(original, before, 5_000, () => undefined);
          for (const token of [...flight, original.sent(nowMs)]) original.ignored(token, nowMs);
          const stored: unknown = JSON.parse(JSON.stringify(original.snapshot()));
          const restored = restoreFlowController(stored, nowMs + pauseMs);
          expect(restored.window).toBe(original.window);
          for (const [controller, startMs] of [
            [original, nowMs],
            [restored, nowMs + pauseMs],
          ] as const) {
            const { nowMs: endMs, flight: left } = play(controller, after, startMs, () => undefined);
            for (const token of left) controller.ignored(token, endMs);
          }
          expect(restored.snapshot()).toEqual(original.snapshot());
        },
      ),
      { numRuns: 100 },
    );
  });

  test("a token settled twice, or of another controller, changes nothing", () => {
    const controller = createFlowController({ algorithm }, 0);
    const stranger = createFlowController({ algorithm }, 0);
    const token = controller.sent(0);
    controller.acked(token, 50);
    const snapshot = controller.snapshot();
    controller.acked(token, 60);
    controller.rejected(token, 60);
    controller.rejected(stranger.sent(0), 60);
    expect(controller.snapshot()).toEqual(snapshot);
    expect(controller.inFlight).toBe(0);
  });

  test("an ignored item changes neither window nor latency", () => {
    const controller = createFlowController({ algorithm }, 0);
    for (let round = 0; round < 20; round++) {
      const tokens = Array.from({ length: 10 }, () => controller.sent(round * 1_000));
      for (const token of tokens) controller.ignored(token, round * 1_000 + 900);
    }
    expect(controller.window).toBe(10);
    expect(controller.snapshot().sampler.smoothedRttMs).toBeNull();
  });

  test("does not take the wait before a retry for latency (Vector's retried-request-rtt: at most 0.3 s)", () => {
    const controller = createFlowController({ algorithm }, 0);
    let nowMs = 0;
    const attempt = (isRefused: boolean): void => {
      const token = controller.sent(nowMs);
      nowMs += 100;
      if (isRefused) controller.rejected(token, nowMs);
      else controller.acked(token, nowMs);
    };
    for (let item = 0; item < 20; item++) {
      const refusals = item === 2 ? 5 : 0;
      for (let retry = 0; retry < refusals; retry++) {
        attempt(true);
        nowMs += 1_000 * 2 ** retry;
      }
      attempt(false);
    }
    expect(controller.snapshot().sampler.smoothedRttMs).toBeCloseTo(100, 9);
  });

  test("does not grow while less than half of its window is used", () => {
    const controller = createFlowController({ algorithm, initialWindow: 40, minWindow: 4 }, 0);
    for (let round = 0; round < 100; round++) {
      const tokens = Array.from({ length: 10 }, () => controller.sent(round * 100));
      for (const token of tokens) controller.acked(token, round * 100 + 50);
    }
    expect(controller.window).toBeLessThanOrEqual(40);
  });

  test("works where the clock stands still while code runs: no latency, and refusals still shrink it", () => {
    const controller = createFlowController({ algorithm }, 1_000);
    for (let round = 0; round < 50; round++) {
      const tokens = Array.from({ length: Math.floor(controller.window) }, () => controller.sent(1_000));
      for (const token of tokens) controller.acked(token, 1_000);
    }
    const grown = controller.window;
    expect(controller.snapshot().sampler.smoothedRttMs).toBeNull();
    for (let round = 0; round < 50; round++) {
      const tokens = Array.from({ length: Math.floor(controller.window) }, () => controller.sent(1_000));
      for (const token of tokens) controller.rejected(token, 1_000);
    }
    expect(controller.window).toBeLessThan(Math.min(5, grown));
  });

  test("a clock that steps back does no harm", () => {
    const controller = createFlowController({ algorithm }, 10_000);
    const token = controller.sent(10_000);
    controller.acked(token, 9_000);
    const next = controller.sent(8_000);
    controller.acked(next, 10_050);
    expect(controller.window).toBeGreaterThanOrEqual(1);
    expect(controller.snapshot().clockMs).toBe(50);
  });

  test("falls to its least window when everything is refused, and returns when it is over", () => {
    const controller = createFlowController({ algorithm }, 0);
    let nowMs = 0;
    const round = (isDown: boolean): void => {
      const tokens = Array.from({ length: Math.floor(controller.window) }, () => controller.sent(nowMs));
      nowMs += 50;
      for (const token of tokens) {
        if (isDown) controller.rejected(token, nowMs);
        else controller.acked(token, nowMs);
      }
    };
    for (let index = 0; index < 5; index++) round(false);
    for (let index = 0; index < 40; index++) round(true);
    expect(controller.window).toBeLessThanOrEqual(4);
    for (let index = 0; index < 200; index++) round(false);
    expect(controller.window).toBeGreaterThan(50);
  });
});

describe("options", () => {
  test.for([
    { minWindow: 0 },
    { minWindow: 0.5 },
    { minWindow: Number.NaN },
    { initialWindow: 5, minWindow: 6 },
    { initialWindow: 50, maxWindow: 40 },
    { maxWindow: Infinity },
    { maxWindow: 0 },
    { initialWindow: -1 },
  ])("%o are a RangeError", (bounds) => {
    for (const algorithm of ALGORITHMS) {
      expect(() => createFlowController({ algorithm, ...bounds }, 0)).toThrow(RangeError);
    }
  });

  test("a single bound moves the others out of its way", () => {
    expect(createFlowController({ algorithm: "bbr", maxWindow: 2 }, 0).window).toBe(2);
    expect(createFlowController({ algorithm: "aimd", minWindow: 20 }, 0).window).toBe(20);
    expect(createFlowController({ algorithm: "cubic", initialWindow: 1_000 }, 0).window).toBe(1_000);
  });
});

describe("a snapshot that is none", () => {
  const good = createFlowController({ algorithm: "cubic" }, 0).snapshot();

  test.for([
    ["nothing", null],
    ["a list", []],
    ["another version", { ...good, version: 2 }],
    ["another algorithm", { ...good, algorithm: "vegas" }],
    ["the state of another algorithm", { ...good, algorithm: "bbr" }],
    ["a missing state", { ...good, state: undefined }],
    ["a number that is none", { ...good, state: { ...good.state, window: "12" } }],
    ["an endless number", { ...good, state: { ...good.state, window: Infinity } }],
    ["an unknown name", { ...good, state: { ...good.state, extra: 1 } }],
    ["limits out of order", { ...good, limits: { initialWindow: 1, minWindow: 5, maxWindow: 9 } }],
    ["an unknown mode", { ...createFlowController({ algorithm: "bbr" }, 0).snapshot(), state: { mode: "asleep" } }],
  ] as const)("is refused: %s", ([, snapshot]) => {
    expect(() => restoreFlowController(snapshot, 0)).toThrow(CorruptSnapshotError);
  });
});
