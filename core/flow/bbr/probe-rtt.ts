// The shortest round trip, and ProbeRTT, which sends half as much for a moment to see it again. Section 5.3.4.

import type { AckSample, Sampler } from "../sampler.ts";
import { bdpMultiple, resetShortTermModel } from "./model.ts";
import { type ProbeContext, startDown } from "./probe-bw.ts";
import { type BbrState, GAINS, startRound } from "./state.ts";

/** ProbeRTTInterval, ProbeRTTDuration, MinRTTFilterLen, ms */
const INTERVAL_MS = 5_000;
const DURATION_MS = 200;
const FILTER_MS = 10_000;
/**
 * A round trip this near to the shortest, as a part of it, shows the path empty as well, so no probe is due. The draft wants
 * a shorter one, which on a path of constant delay never comes: every 5 s a probe would cost 2 to 3 % of the capacity.
 */
const AS_GOOD_AS_SHORTEST = 1 / 16;

/** UpdateMinRTT, CheckProbeRTT. @param rttMs of the last round trip, null when there is nothing new */
export function updateMinRtt(
  state: BbrState,
  sample: AckSample,
  rttMs: number | null,
  sampler: Sampler,
  context: ProbeContext,
): void {
  const { nowMs } = sample;
  if (rttMs !== null) confirmMinRtt(state, rttMs, nowMs);
  const isExpired = nowMs > state.probeRttMinAtMs + INTERVAL_MS;
  if (rttMs !== null && (rttMs < (state.probeRttMinMs ?? Infinity) || isExpired)) {
    state.probeRttMinMs = rttMs;
    state.probeRttMinAtMs = nowMs;
  }
  const isFilterExpired = nowMs > state.minRttAtMs + FILTER_MS;
  if (state.probeRttMinMs !== null && (state.probeRttMinMs < (state.minRttMs ?? Infinity) || isFilterExpired)) {
    state.minRttMs = state.probeRttMinMs;
    state.minRttAtMs = state.probeRttMinAtMs;
  }
  if (state.mode !== "probe_rtt" && isExpired && !state.isIdleRestart) enter(state, context);
  if (state.mode === "probe_rtt") handle(state, sample, sampler, context);
  state.isIdleRestart = false;
}

function confirmMinRtt(state: BbrState, rttMs: number, nowMs: number): void {
  const isAsGood = (minMs: number | null): boolean => minMs !== null && rttMs <= minMs * (1 + AS_GOOD_AS_SHORTEST);
  if (isAsGood(state.probeRttMinMs)) state.probeRttMinAtMs = nowMs;
  if (isAsGood(state.minRttMs)) state.minRttAtMs = nowMs;
}

function enter(state: BbrState, { delivered }: ProbeContext): void {
  state.mode = "probe_rtt";
  state.priorWindow = state.isLossInRound ? Math.max(state.priorWindow, state.window) : state.window;
  state.probeRttDoneAtMs = null;
  state.ackPhase = "stopping";
  startRound(state, delivered);
}

function handle(state: BbrState, { nowMs, inFlight }: AckSample, sampler: Sampler, context: ProbeContext): void {
  sampler.markAppLimited();
  if (state.probeRttDoneAtMs === null) {
    if (inFlight > probeRttWindow(state, context)) return;
    state.probeRttDoneAtMs = nowMs + DURATION_MS;
    state.isProbeRttRoundDone = false;
    startRound(state, context.delivered);
    return;
  }
  if (state.isRoundStart) state.isProbeRttRoundDone = true;
  if (state.isProbeRttRoundDone) checkDone(state, nowMs, context);
}

/** CheckProbeRTTDone, ExitProbeRTT */
export function checkDone(state: BbrState, nowMs: number, context: ProbeContext): void {
  if (state.probeRttDoneAtMs === null || nowMs <= state.probeRttDoneAtMs) return;
  state.probeRttMinAtMs = nowMs;
  state.window = Math.max(state.window, state.priorWindow);
  resetShortTermModel(state);
  if (!state.isFullBwReached) {
    state.mode = "startup";
    return;
  }
  startDown(state, nowMs, context);
  state.mode = "cruise";
}

/** ProbeRTTCwnd */
export function probeRttWindow(state: BbrState, { limits }: Pick<ProbeContext, "limits">): number {
  return Math.max(bdpMultiple(state, limits, state.bw, GAINS.probe_rtt.window), limits.minWindow);
}
