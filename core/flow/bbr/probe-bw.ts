// ProbeBW: down (drain), cruise, refill, up (probe), and how far up. draft-ietf-ccwg-bbr-06, section 5.3.3.

import type { Limits } from "../algorithm.ts";
import type { AckSample } from "../sampler.ts";
import {
  advanceMaxBwFilter,
  bdpMultiple,
  inflightFor,
  inflightWithHeadroom,
  isInflightTooHigh,
  resetCongestionSignals,
  resetShortTermModel,
} from "./model.ts";
import { BETA, type BbrState, isInProbeBw, maxBw, startRound } from "./state.ts";

/** Shortest wait between two probes, and what chance may add, ms. PickProbeWait */
const PROBE_WAIT_MS = 2_000;
const PROBE_WAIT_SPREAD_MS = 1_000;
/** Most rounds between two probes, so that Reno flows beside us keep their share. IsRenoCoexistenceProbeTime */
const MOST_ROUNDS = 63;
const MOST_UP_ROUNDS = 30;
/** A delivery rate must grow by this much in a round to count as growing, and may fail to for so many rounds. */
const FULL_BW_GROWTH = 1.25;
const FULL_BW_ROUNDS = 3;

/** Growth of the round trip, as a part of the shortest, that shows a queue of the probe's own making. */
const QUEUE_OF_PROBE = 1 / 8;
/** Items in flight, relative to the bandwidth-delay product, at which cruising gives way to draining. */
const OVERFULL = 1.1;

/** What the machine needs of its surroundings. */
export interface ProbeContext {
  readonly limits: Limits;
  readonly random: () => number;
  /** Smoothed round trip, 0 while none is known. */
  readonly rttMs: number;
  /** Items done so far. */
  readonly delivered: number;
}

function resetFullBw(state: BbrState): void {
  state.fullBw = 0;
  state.fullBwCount = 0;
  state.isFullBwNow = false;
}

/** Looks for a plateau of the delivery rate. CheckFullBWReached */
export function checkFullBwReached(state: BbrState, { token }: AckSample): void {
  if (state.isFullBwNow || !state.isRoundStart || token.isAppLimited || state.roundRate === 0) return;
  if (state.roundRate >= state.fullBw * FULL_BW_GROWTH) {
    resetFullBw(state);
    state.fullBw = state.roundRate;
    return;
  }
  state.fullBwCount++;
  state.isFullBwNow = state.fullBwCount >= FULL_BW_ROUNDS;
  if (state.isFullBwNow) state.isFullBwReached = true;
}

/** Begins a cycle: drains what the last probe queued, and draws when to probe next. StartProbeBW_DOWN */
export function startDown(state: BbrState, nowMs: number, { delivered, random }: ProbeContext): void {
  resetCongestionSignals(state);
  state.probeUpAckedPerInc = null;
  state.roundsSinceProbeUp = random() < 0.5 ? 0 : 1;
  state.bwProbeWaitMs = PROBE_WAIT_MS + PROBE_WAIT_SPREAD_MS * random();
  state.cycleAtMs = nowMs;
  state.ackPhase = "stopping";
  startRound(state, delivered);
  state.mode = "down";
}

function startRefill(state: BbrState, { delivered }: ProbeContext): void {
  resetShortTermModel(state);
  state.bwProbeUpRounds = 0;
  state.bwProbeUpAcked = 0;
  state.isPrevProbePrecautionary = false;
  state.ackPhase = "refilling";
  startRound(state, delivered);
  state.mode = "refill";
}

function startUp(state: BbrState, { delivered, rttMs }: ProbeContext): void {
  state.isBwProbeSample = true;
  state.ackPhase = "starting";
  startRound(state, delivered);
  resetFullBw(state);
  state.fullBw = state.roundRate;
  state.upRttMs = rttMs;
  state.mode = "up";
  raiseSlope(state);
}

/** One ack's part in the cycle. UpdateProbeBWCyclePhase */
export function updateCycle(state: BbrState, sample: AckSample, context: ProbeContext): void {
  if (!state.isFullBwReached || adaptLongTermModel(state, sample, context)) return;
  switch (state.mode) {
    case "down":
      if (isTimeToProbe(state, sample.nowMs, context)) startRefill(state, context);
      else if (isTimeToCruise(state, sample.inFlight, context.limits)) state.mode = "cruise";
      return;
    case "cruise":
      if (isTimeToProbe(state, sample.nowMs, context)) startRefill(state, context);
      else if (isOverfull(state, sample.inFlight, context.limits)) state.mode = "down";
      return;
    case "refill":
      if (state.isRoundStart) startUp(state, context);
      return;
    case "up":
      if (!isTimeToGoDown(state, sample) && !isQueueing(state, context)) return;
      state.isPrevProbeTooHigh = false;
      startDown(state, sample.nowMs, context);
      return;
    default:
  }
}

function isTimeToProbe(state: BbrState, nowMs: number, { limits }: ProbeContext): boolean {
  if (nowMs > state.cycleAtMs + state.bwProbeWaitMs) return true;
  return state.roundsSinceProbeUp >= Math.min(targetInflight(state, limits), MOST_ROUNDS);
}

function targetInflight(state: BbrState, limits: Limits): number {
  return Math.min(bdpMultiple(state, limits, state.bw, 1), state.window);
}

function isTimeToCruise(state: BbrState, inFlight: number, limits: Limits): boolean {
  if (inFlight > inflightWithHeadroom(state.inflightLongterm, limits.minWindow)) return false;
  return inFlight <= inflightFor(state, limits, maxBw(state), 1);
}

function isTimeToGoDown(state: BbrState, sample: AckSample): boolean {
  const longterm = state.inflightLongterm ?? Infinity;
  if (state.isPrevProbeTooHigh && sample.inFlightBefore >= longterm) {
    state.isPrevProbePrecautionary = true;
    return true;
  }
  if (isWindowLimited(state, sample) && state.window >= longterm) {
    resetFullBw(state);
    state.fullBw = state.roundRate;
    return false;
  }
  return state.isFullBwNow;
}

/**
 * Whether this probe has built a queue and won nothing: the rate stands still for a round while the round trip grows. The
 * draft probes on for three such rounds, which at a queue of one bandwidth-delay product fills it.
 */
function isQueueing(state: BbrState, { rttMs }: ProbeContext): boolean {
  return state.fullBwCount >= 1 && rttMs > state.upRttMs + (state.minRttMs ?? Infinity) * QUEUE_OF_PROBE;
}

/**
 * Whether more is in flight than cruising explains. The bandwidth is a maximum of noisy samples, hence a little too large;
 * cruising at it for seconds would fill the queue, and the draft has no answer before something is refused.
 */
function isOverfull(state: BbrState, inFlight: number, limits: Limits): boolean {
  return state.isRoundStart && inFlight > OVERFULL * inflightFor(state, limits, maxBw(state), 1);
}

/** Whether the window, not the pace, held the sender back within the last round trips. */
function isWindowLimited(state: BbrState, sample: AckSample): boolean {
  return sample.peakInFlight + 1 > state.window;
}

/** Follows the feedback of a probe. @returns true when it decided on a change of mode. AdaptLongTermModel */
function adaptLongTermModel(state: BbrState, sample: AckSample, context: ProbeContext): boolean {
  if (state.ackPhase === "starting" && state.isRoundStart) state.ackPhase = "feedback";
  if (state.ackPhase === "stopping" && state.isRoundStart) {
    state.isBwProbeSample = false;
    state.ackPhase = "init";
    if (isInProbeBw(state) && !sample.token.isAppLimited) advanceMaxBwFilter(state);
    if (isInProbeBw(state) && state.isPrevProbePrecautionary && !state.isPrevProbeTooHigh) {
      startRefill(state, context);
      return true;
    }
  }
  raiseLongTermBound(state, sample);
  return false;
}

function raiseLongTermBound(state: BbrState, sample: AckSample): void {
  if (state.inflightLongterm === null || isInflightTooHigh(sample.rejectedSince, sample.token.inFlight)) return;
  state.inflightLongterm = Math.max(state.inflightLongterm, sample.token.inFlight);
  if (state.mode === "up") probeUpward(state, sample);
}

/** Raises inflight_longterm by 1, 2, 4 … items per round, spread over the round. ProbeInflightLongtermUpward */
function probeUpward(state: BbrState, sample: AckSample): void {
  if (!isWindowLimited(state, sample) || state.window < (state.inflightLongterm ?? Infinity)) return;
  const perIncrement = state.probeUpAckedPerInc ?? Infinity;
  state.bwProbeUpAcked++;
  if (state.bwProbeUpAcked >= perIncrement) {
    const delta = Math.floor(state.bwProbeUpAcked / perIncrement);
    state.bwProbeUpAcked -= delta * perIncrement;
    state.inflightLongterm = (state.inflightLongterm ?? 0) + delta;
  }
  if (state.isRoundStart) raiseSlope(state);
}

function raiseSlope(state: BbrState): void {
  const growthThisRound = 2 ** state.bwProbeUpRounds;
  state.bwProbeUpRounds = Math.min(state.bwProbeUpRounds + 1, MOST_UP_ROUNDS);
  state.probeUpAckedPerInc = Math.max(state.window / growthThisRound, 1);
}

/** The last probe put too much in flight. @param safe items in flight before refusals were too many. HandleInflightTooHigh */
export function handleInflightTooHigh(
  state: BbrState,
  probe: { readonly safe: number; readonly isAppLimited: boolean; readonly nowMs: number },
  context: ProbeContext,
): void {
  state.isPrevProbeTooHigh = true;
  state.isBwProbeSample = false;
  if (!probe.isAppLimited) {
    state.inflightLongterm = Math.max(probe.safe, targetInflight(state, context.limits) * BETA);
  }
  if (state.mode === "up") startDown(state, probe.nowMs, context);
}
