import { describe, expect, test } from "vitest";
import { Bbr } from "../../../core/flow/bbr/bbr.ts";
import { bdpMultiple, inflightAtLoss, inflightWithHeadroom, isInflightTooHigh } from "../../../core/flow/bbr/model.ts";
import { BBR_MODES, type BbrMode, type BbrState, freshBbrState, GAINS } from "../../../core/flow/bbr/state.ts";
import type { FlowController } from "../../../core/flow/index.ts";
import { Sampler } from "../../../core/flow/sampler.ts";
import type { BottleneckSettings } from "../../sim/bottleneck.ts";
import type { Experiment, Result } from "../../sim/run.ts";
import { runTraced } from "../../sim/traced.ts";

const LIMITS = { initialWindow: 10, minWindow: 4, maxWindow: 10_000 };
const PATH: BottleneckSettings = { kind: "bottleneck", ratePerSecond: 1_000, baseRttMs: 50, queue: 50 };

/** What a test looks at after an ack. */
interface Sight {
  readonly nowMs: number;
  readonly mode: BbrMode;
  readonly bw: number;
  readonly window: number;
  readonly pace: number;
  readonly inFlight: number;
}

function sight(controller: FlowController, nowMs: number): Sight {
  const { state } = controller.snapshot();
  const mode = BBR_MODES.find((name) => name === state["mode"]) ?? "startup";
  const { window, pacingRatePerSecond: pace, inFlight } = controller;
  return { nowMs, mode, bw: Number(state["bw"]), window, pace, inFlight };
}

function watch(path: BottleneckSettings, durationMs: number): { sights: Sight[]; result: Result } {
  const experiment: Experiment = { seed: 1, path, flows: [{ startMs: 0 }], durationMs, countFromMs: 0 };
  const sights: Sight[] = [];
  const result = runTraced(experiment, { algorithm: "bbr" }, (controller, nowMs) =>
    sights.push(sight(controller, nowMs)),
  );
  return { sights, result };
}

/** Modes in the order they were entered. */
function modes(sights: readonly Sight[]): BbrMode[] {
  return sights.map(({ mode }) => mode).filter((mode, index, all) => mode !== all[index - 1]);
}

describe("figures of s2n-quic (bbr/tests.rs), there in bytes", () => {
  test("in flight at loss", () => {
    expect(Math.floor(inflightAtLoss(3_000, 1_210, 1_200))).toBe(1_800 + 26);
    expect(inflightAtLoss(3_000, 3_000, 1_200)).toBe(1_800);
    expect(inflightAtLoss(0, 1_200, 1_200)).toBe(0);
  });

  test("in flight with headroom", () => {
    expect(inflightWithHeadroom(null)).toBe(Infinity);
    expect(inflightWithHeadroom(10_000, 4_800)).toBe(8_500);
    expect(inflightWithHeadroom(1_000, 4_800)).toBe(4_800);
  });

  test("more than 2 % lost is too much", () => {
    expect(isInflightTooHigh(3, 100)).toBe(true);
    expect(isInflightTooHigh(2, 100)).toBe(false);
  });

  test("a multiple of the bandwidth-delay product, the initial window while no round trip is known", () => {
    const state = freshBbrState(LIMITS);
    expect(bdpMultiple(state, LIMITS, 0, 1)).toBe(10);
    const known = { ...state, minRttMs: 100 };
    expect(bdpMultiple(known, LIMITS, 1_000_000, 2)).toBe(200_000);
    expect(bdpMultiple(known, LIMITS, 0, 1)).toBe(0);
  });
});

describe("the state machine (draft-ietf-ccwg-bbr-06 section 5.3)", () => {
  const { sights, result } = watch(PATH, 15_000);
  const settled = sights.filter(({ nowMs }) => nowMs > 5_000);

  test("goes from startup over drain into the cycle down, cruise, refill, up", () => {
    // The first down ends with the ack that begins it: drain has left nothing to drain.
    const entered = modes(sights).slice(0, 7);
    expect(entered).toEqual(["startup", "drain", "cruise", "refill", "up", "down", "cruise"]);
    expect(modes(settled).length).toBeGreaterThan(10);
  });

  test("paces at its gain times the bandwidth, less 1 %", () => {
    for (const { mode, pace, bw } of settled) expect(pace / bw).toBeCloseTo(GAINS[mode].pacing * 0.99, 6);
  });

  test("estimates the bandwidth within 1 %: a rate taken over now − sent would be 2 % too high", () => {
    for (const { bw } of settled) expect(Math.abs(bw / 1_000 - 1)).toBeLessThan(0.01);
    expect(result.meter.servedBetween(5_000, 15_000) / 10_000).toBeGreaterThan(0.98);
  });

  test("probes again after at most three seconds", () => {
    const ups = settled.filter(({ mode }, index) => mode === "up" && settled[index - 1]?.mode !== "up");
    expect(ups.length).toBeGreaterThanOrEqual(3);
    for (const [index, { nowMs }] of ups.entries()) {
      const before = ups[index - 1];
      if (before !== undefined) expect(nowMs - before.nowMs).toBeLessThan(3_500);
    }
  });

  test("never probes the round trip of a path it sees empty in every cycle", () => {
    expect(modes(sights)).not.toContain("probe_rtt");
  });
});

describe("ProbeRTT", () => {
  test("comes 5 s after the round trips stayed longer, with half the window for at least 200 ms, and ends in cruise", () => {
    const { sights } = watch({ ...PATH, steps: [{ atMs: 10_000, baseRttMs: 100 }] }, 20_000);
    const probes = sights.filter(({ mode }) => mode === "probe_rtt");
    const [first] = probes;
    expect(first?.nowMs).toBeGreaterThan(14_500);
    expect(first?.nowMs).toBeLessThan(15_500);
    const run = probes.filter(({ nowMs }) => nowMs < (first?.nowMs ?? 0) + 1_000);
    expect((run.at(-1)?.nowMs ?? 0) - (run[0]?.nowMs ?? 0)).toBeGreaterThan(200);
    expect(Math.min(...run.map(({ inFlight }) => inFlight))).toBeLessThan(60);
    const after = sights.find(({ nowMs }) => nowMs > (run.at(-1)?.nowMs ?? Infinity));
    expect(after?.mode).toBe("cruise");
  });

  test("is skipped after an idle time (section 5.4.1)", () => {
    const sampler = new Sampler();
    const bbr = new Bbr(LIMITS, () => 0.5);
    const exchange = (nowMs: number): void => {
      bbr.onSend(nowMs, sampler);
      const token = sampler.sent(nowMs, bbr.window, bbr.pacingRatePerSecond);
      bbr.onAck(sampler.acked(token, nowMs + 50), sampler);
    };
    for (let item = 0; item < 20; item++) exchange(item * 50);
    exchange(20_000);
    expect(bbr.state.mode).not.toBe("probe_rtt");
  });

  test("returns to startup when the pipe was never full", () => {
    const state: BbrState = { ...freshBbrState(LIMITS), mode: "probe_rtt", probeRttDoneAtMs: 100, minRttMs: 50 };
    const sampler = new Sampler();
    const bbr = new Bbr(LIMITS, () => 0.5, { ...state, isProbeRttRoundDone: true, probeRttMinAtMs: 1_000, bw: 100 });
    const token = sampler.sent(1_000, 10, Infinity);
    bbr.onAck(sampler.acked(token, 1_050), sampler);
    expect(bbr.state.mode).toBe("startup");
  });
});

describe("refusals", () => {
  test("more than 2 % of a probe's items bound what is in flight, and end the probe", () => {
    const sampler = new Sampler();
    const state: BbrState = { ...freshBbrState(LIMITS), mode: "up", isFullBwReached: true, isBwProbeSample: true };
    const bbr = new Bbr(LIMITS, () => 0.5, { ...state, maxBwFilter: [0, 1_000], bw: 1_000, minRttMs: 50, window: 112 });
    const tokens = Array.from({ length: 100 }, () => sampler.sent(0, 112, Infinity));
    const [first, second] = tokens.slice(97);
    if (first !== undefined) bbr.onReject(sampler.rejected(first, 60), sampler);
    expect(bbr.state.mode).toBe("up");
    // In flight with it were 99; two lost are more than 2 % of them.
    if (second !== undefined) bbr.onReject(sampler.rejected(second, 60), sampler);
    expect(bbr.state.mode).toBe("down");
    expect(bbr.state.inflightLongterm).toBeCloseTo(inflightAtLoss(99, 2), 9);
  });

  test("while cruising lower the short-term model to what was delivered, by at most 0.7 a round (section 5.5.10.3)", () => {
    const sampler = new Sampler();
    const state: BbrState = { ...freshBbrState(LIMITS), mode: "cruise", isFullBwReached: true, bwProbeWaitMs: 1e9 };
    const bbr = new Bbr(LIMITS, () => 0.5, { ...state, maxBwFilter: [1_000, 0], bw: 1_000, minRttMs: 50, window: 100 });
    const [lost, first, second] = [0, 1, 2].map((at) => sampler.sent(at, 100, 1_000));
    if (lost !== undefined) bbr.onReject(sampler.rejected(lost, 50), sampler);
    if (first !== undefined) bbr.onAck(sampler.acked(first, 51), sampler);
    if (second !== undefined) bbr.onAck(sampler.acked(second, 52), sampler);
    expect(bbr.state.bwShortterm).toBeCloseTo(700, 9);
    expect(bbr.state.inflightShortterm).toBeCloseTo(70, 0);
  });

  test("of everything for a round trip leave the least window", () => {
    const sampler = new Sampler();
    const bbr = new Bbr(LIMITS, () => 0.5, { ...freshBbrState(LIMITS), window: 50 });
    const tokens = Array.from({ length: 50 }, () => sampler.sent(0, 50, Infinity));
    for (const token of tokens) bbr.onReject(sampler.rejected(token, 50), sampler);
    expect(bbr.window).toBe(4);
  });
});

function tenfold(before: number, after: number): { result: Result; last: Sight | undefined } {
  const path = { ...PATH, ratePerSecond: before, steps: [{ atMs: 20_000, ratePerSecond: after }] };
  const { sights, result } = watch(path, 40_000);
  return { result, last: sights.at(-1) };
}

describe("a path that changes tenfold", () => {
  test("upwards is used within 10 s", () => {
    const { result } = tenfold(100, 1_000);
    expect(result.meter.reaches(900, 20_000)).toBeLessThan(10_000);
  });

  test("downwards is known within 10 s, and refusals end", () => {
    const { result, last } = tenfold(1_000, 100);
    expect(last?.bw).toBeLessThan(110);
    expect(result.meter.rejectsBetween(30_000, 40_000)).toBeLessThan(0.05);
  });
});

test("on a path that holds less than an item the least window keeps it busy", () => {
  const path = { ...PATH, ratePerSecond: 10, queue: 10 };
  const experiment: Experiment = { seed: 1, path, flows: [{ startMs: 0 }], durationMs: 60_000, countFromMs: 10_000 };
  const result = runTraced(experiment, { algorithm: "bbr" }, (controller) => {
    expect(controller.window).toBeGreaterThanOrEqual(4);
  });
  expect(result.utilisation).toBeGreaterThan(0.99);
});
