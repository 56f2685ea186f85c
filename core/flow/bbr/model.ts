// BBR's model of the path: how fast it delivers, how long it takes when empty, and how much it can hold.
// draft-ietf-ccwg-bbr-06, section 5.5.

import type { Limits } from "../algorithm.ts";
import type { AckSample } from "../sampler.ts";
import { type Signals, takeSample } from "./signals.ts";
import {
  BETA,
  type BbrState,
  HEADROOM,
  isProbingBw,
  LOSS_THRESHOLD,
  maxBw,
  MIN_PIPE_WINDOW,
  startRound,
} from "./state.ts";

/** Rounds over which aggregation is remembered once the pipe was full. ExtraAckedFilterLen */
const EXTRA_ACKED_ROUNDS = 10;

/** bandwidth-delay product · gain, items; the initial window while no round trip is known. BDPMultiple */
export function bdpMultiple(state: BbrState, limits: Limits, bw: number, gain: number): number {
  if (state.minRttMs === null) return limits.initialWindow;
  return (gain * bw * state.minRttMs) / 1_000;
}

/** Items in flight that a gain asks for, at least the least window. Inflight, QuantizationBudget */
export function inflightFor(state: BbrState, limits: Limits, bw: number, gain: number): number {
  return withBudget(state, limits, bdpMultiple(state, limits, bw, gain));
}

/** At least the least window, and two items more while probing. QuantizationBudget */
export function withBudget(state: BbrState, limits: Limits, items: number): number {
  const least = Math.max(items, limits.minWindow);
  return state.mode === "up" ? least + 2 : least;
}

/** inflight_longterm less what is left to others, Infinity when unbounded. InflightWithHeadroom */
export function inflightWithHeadroom(inflightLongterm: number | null, minWindow: number = MIN_PIPE_WINDOW): number {
  if (inflightLongterm === null) return Infinity;
  return Math.max(inflightLongterm - Math.max(1, HEADROOM * inflightLongterm), minWindow);
}

/** Near the start of every ack. UpdateLatestDeliverySignals, UpdateCongestionSignals */
export function updateModel(state: BbrState, sample: AckSample, delivered: number): Signals {
  state.isLossRoundStart = sample.token.delivered >= state.lossRoundDelivered;
  state.bwLatest = Math.max(state.bwLatest, sample.deliveryRate ?? 0);
  state.inflightLatest = Math.max(state.inflightLatest, sample.deliveredSince);
  if (state.isLossRoundStart) state.lossRoundDelivered = delivered;
  updateRound(state, sample, delivered);
  const signals = takeSample(state, sample);
  updateMaxBw(state, signals.deliveryRate, sample.token.isAppLimited);
  if (!state.isLossRoundStart) return signals;
  if (state.isLossInRound && !isProbingBw(state)) lowerBounds(state);
  state.isLossInRound = false;
  return signals;
}

function updateRound(state: BbrState, { token }: AckSample, delivered: number): void {
  state.isRoundStart = token.delivered >= state.nextRoundDelivered;
  if (!state.isRoundStart) return;
  startRound(state, delivered);
  state.roundCount++;
  state.roundsSinceProbeUp++;
}

function updateMaxBw(state: BbrState, deliveryRate: number | null, isAppLimited: boolean): void {
  if (deliveryRate === null || (deliveryRate < maxBw(state) && isAppLimited)) return;
  state.maxBwFilter[1] = Math.max(state.maxBwFilter[1] ?? 0, deliveryRate);
}

/** A ProbeBW cycle is over; the filter spans two. AdvanceMaxBwFilter */
export function advanceMaxBwFilter(state: BbrState): void {
  if ((state.maxBwFilter[1] ?? 0) === 0) return;
  state.maxBwFilter = [state.maxBwFilter[1] ?? 0, 0];
}

/** Once per round with refusals, while not probing. InitLowerBounds, LossLowerBounds */
function lowerBounds(state: BbrState): void {
  state.bwShortterm = Math.max(state.bwLatest, BETA * (state.bwShortterm ?? maxBw(state)));
  state.inflightShortterm = Math.max(state.inflightLatest, BETA * (state.inflightShortterm ?? state.window));
}

/** Forgets what refusals taught in the last rounds. ResetShortTermModel */
export function resetShortTermModel(state: BbrState): void {
  state.bwShortterm = null;
  state.inflightShortterm = null;
}

/** Forgets the signals of the present round. ResetCongestionSignals */
export function resetCongestionSignals(state: BbrState): void {
  state.isLossInRound = false;
  state.bwLatest = 0;
  state.inflightLatest = 0;
}

/** Near the end of every ack. AdvanceLatestDeliverySignals, BoundBWForModel */
export function finishModel(state: BbrState, sample: AckSample): void {
  if (state.isLossRoundStart) {
    state.bwLatest = sample.deliveryRate ?? 0;
    state.inflightLatest = sample.deliveredSince;
    state.lossEventsInRound = 0;
  }
  state.bw = Math.min(maxBw(state), state.bwShortterm ?? Infinity);
}

/** Items done beyond what the bandwidth explains, the largest of late: answers that come in bunches. UpdateACKAggregation */
export function updateExtraAcked(state: BbrState, nowMs: number): void {
  let expected = (state.bw * (nowMs - state.extraAckedFromMs)) / 1_000;
  if (state.extraAckedDelivered <= expected) {
    state.extraAckedDelivered = 0;
    state.extraAckedFromMs = nowMs;
    expected = 0;
  }
  state.extraAckedDelivered++;
  const extra = Math.min(state.extraAckedDelivered - expected, state.window);
  const rounds = state.isFullBwReached ? EXTRA_ACKED_ROUNDS : 1;
  pushMaximum(state.extraAckedFilter, state.roundCount, extra, rounds);
}

/** Windowed maximum over rounds: `filter` holds round, value, round, value … with values falling. */
function pushMaximum(filter: (number | null)[], round: number, value: number, rounds: number): void {
  while (filter.length > 0 && (filter[0] ?? 0) <= round - rounds) filter.splice(0, 2);
  while (filter.length > 0 && (filter.at(-1) ?? 0) <= value) filter.splice(-2, 2);
  if (filter.at(-2) !== round) filter.push(round, value);
}

/** Most items done beyond what the bandwidth explains, over the last rounds. */
export function extraAcked(state: BbrState): number {
  return state.extraAckedFilter[1] ?? 0;
}

/** Whether more of a round trip's items were refused than is safe. IsInflightTooHigh */
export function isInflightTooHigh(lost: number, txInFlight: number): boolean {
  return lost > txInFlight * LOSS_THRESHOLD;
}

/**
 * Items that were in flight when refusals passed what is safe. InflightAtLoss
 * @param txInFlight in flight when the refused item had left, itself included
 * @param lost refused since then, itself included
 * @param size of the item; 1 here
 */
export function inflightAtLoss(txInFlight: number, lost: number, size = 1): number {
  const inflightPrev = Math.max(0, txInFlight - size);
  const lostPrefix = (LOSS_THRESHOLD * inflightPrev - (lost - size)) / (1 - LOSS_THRESHOLD);
  return inflightPrev + Math.max(0, lostPrefix);
}
