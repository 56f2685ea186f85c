// Problem: a window that grows until something is refused keeps every queue full. Rule (BBR version 3,
// draft-ietf-ccwg-bbr-06): measure how fast the path delivers and how long it takes when empty, send at that rate with
// about that much in flight, and from time to time send a little more, or a little less, to measure again.

import { type Algorithm, clampWindow, type Limits, usesWindow } from "../algorithm.ts";
import type { AckSample, FlowToken, RejectSample, Sampler } from "../sampler.ts";
import {
  bdpMultiple,
  extraAcked,
  finishModel,
  inflightAtLoss,
  inflightFor,
  inflightWithHeadroom,
  isInflightTooHigh,
  updateExtraAcked,
  updateModel,
  withBudget,
} from "./model.ts";
import { checkFullBwReached, handleInflightTooHigh, type ProbeContext, startDown, updateCycle } from "./probe-bw.ts";
import { checkDone, probeRttWindow, updateMinRtt } from "./probe-rtt.ts";
import { type BbrState, freshBbrState, GAINS, isInProbeBw, MIN_PIPE_WINDOW } from "./state.ts";

/** The window never falls below this. MinPipeCwnd */
export const BBR_MIN_WINDOW = MIN_PIPE_WINDOW;

/** Pace below the bandwidth by this part, so that queues tend to drain. PacingMarginPercent */
const PACING_MARGIN = 0.01;
/** Rounds after which drain gives up. */
const DRAIN_ROUNDS = 3;
/** Refusals apart from each other in one round that end startup. StartupFullLossCnt */
const STARTUP_FULL_LOSSES = 6;

/** BBR version 3, per item. */
export class Bbr implements Algorithm {
  readonly state: BbrState;
  readonly #limits: Limits;
  readonly #random: () => number;

  constructor(limits: Limits, random: () => number, state: BbrState = freshBbrState(limits)) {
    this.state = state;
    this.#limits = limits;
    this.#random = random;
  }

  get window(): number {
    return clampWindow(this.state.window, this.#limits);
  }

  get pacingRatePerSecond(): number {
    return this.state.pacingRate ?? Infinity;
  }

  /** HandleRestartFromIdle */
  onSend(nowMs: number, sampler: Sampler): void {
    const { state } = this;
    if (sampler.inFlight > 0 || sampler.state.appLimitedUntil === 0) return;
    state.isIdleRestart = true;
    state.extraAckedFromMs = nowMs;
    if (isInProbeBw(state)) this.#setPacingRate(1);
    else if (state.mode === "probe_rtt") checkDone(state, nowMs, this.#context(sampler));
  }

  onAck(sample: AckSample, sampler: Sampler): void {
    const { state } = this;
    const context = this.#context(sampler);
    state.refusedInARow = 0;
    const { rttMs } = updateModel(state, sample, context.delivered);
    updateExtraAcked(state, sample.nowMs);
    checkFullBwReached(state, sample);
    this.#checkStartupDone(sample);
    this.#checkDrainDone(sample, context);
    updateCycle(state, sample, context);
    updateMinRtt(state, sample, rttMs, sampler, context);
    finishModel(state, sample);
    if (state.pacingRate === null) this.#initPacingRate(sampler);
    this.#setPacingRate(GAINS[state.mode].pacing);
    this.#setWindow(sample, context.delivered);
  }

  /** HandleLostPacket */
  onReject({ token, nowMs }: RejectSample, sampler: Sampler): void {
    const { state } = this;
    if (!state.isLossInRound) state.lossRoundDelivered = sampler.state.delivered;
    state.isLossInRound = true;
    if (token.sequence !== state.lastLostSequence + 1) state.lossEventsInRound++;
    state.lastLostSequence = token.sequence;
    this.#noteSilence(token, sampler);
    if (!state.isBwProbeSample) return;
    const lost = sampler.state.rejected - token.rejected;
    if (!isInflightTooHigh(lost, token.inFlight)) return;
    const safe = inflightAtLoss(token.inFlight, lost);
    handleInflightTooHigh(state, { safe, isAppLimited: token.isAppLimited, nowMs }, this.#context(sampler));
  }

  /** Nothing at all was done for a round trip: what a retransmission timeout is to TCP (OnEnterRTO). */
  #noteSilence(token: FlowToken, sampler: Sampler): void {
    const { state } = this;
    state.refusedInARow++;
    const isSilent = token.delivered === sampler.state.delivered && state.refusedInARow >= MIN_PIPE_WINDOW;
    if (isSilent) state.window = this.#limits.minWindow;
  }

  #context(sampler: Sampler): ProbeContext {
    return {
      limits: this.#limits,
      random: this.#random,
      rttMs: sampler.state.smoothedRttMs ?? 0,
      delivered: sampler.state.delivered,
    };
  }

  /** CheckStartupDone, CheckStartupHighLoss */
  #checkStartupDone(sample: AckSample): void {
    const { state } = this;
    if (state.mode !== "startup") return;
    const isTooHigh = isInflightTooHigh(sample.rejectedSince, sample.token.inFlight);
    if (state.isLossRoundStart && state.lossEventsInRound >= STARTUP_FULL_LOSSES && isTooHigh) {
      state.isFullBwReached = true;
      const bdp = bdpMultiple(state, this.#limits, state.bw, 1);
      state.inflightLongterm = Math.max(bdp, state.inflightLatest);
    }
    if (!state.isFullBwReached) return;
    state.mode = "drain";
    state.drainStartRound = state.roundCount;
  }

  #checkDrainDone(sample: AckSample, context: ProbeContext): void {
    const { state } = this;
    if (state.mode !== "drain") return;
    const isDrained = sample.inFlight <= inflightFor(state, this.#limits, state.bw, 1);
    if (isDrained || state.roundCount > state.drainStartRound + DRAIN_ROUNDS) startDown(state, sample.nowMs, context);
  }

  /** InitPacingRate, once a round trip is known */
  #initPacingRate(sampler: Sampler): void {
    const rttMs = sampler.state.smoothedRttMs;
    if (rttMs === null) return;
    this.state.pacingRate = (GAINS.startup.pacing * this.#limits.initialWindow * 1_000) / rttMs;
  }

  #setPacingRate(gain: number): void {
    const { state } = this;
    if (state.bw === 0) return;
    const rate = gain * state.bw * (1 - PACING_MARGIN);
    if (state.isFullBwReached || rate > (state.pacingRate ?? Infinity)) state.pacingRate = rate;
  }

  /** SetCwnd, BoundCwndForProbeRTT, BoundCwndForModel. A window that is not used does not grow, which the draft leaves open. */
  #setWindow(sample: AckSample, delivered: number): void {
    const { state } = this;
    const isUsed = usesWindow(sample, state.window);
    const gain = GAINS[state.mode].window;
    const wanted = bdpMultiple(state, this.#limits, state.bw, gain) + extraAcked(state);
    const most = withBudget(state, this.#limits, wanted);
    const mayGrow = state.window < most || (!state.isFullBwReached && delivered < this.#limits.initialWindow);
    if (isUsed && mayGrow) state.window++;
    if (state.isFullBwReached) state.window = Math.min(state.window, most);
    state.window = Math.max(state.window, this.#limits.minWindow);
    if (state.mode === "probe_rtt")
      state.window = Math.min(state.window, probeRttWindow(state, { limits: this.#limits }));
    state.window = Math.min(state.window, Math.max(this.#windowCap(), this.#limits.minWindow));
  }

  #windowCap(): number {
    const { state } = this;
    let cap = Infinity;
    if (state.mode === "cruise" || state.mode === "probe_rtt") {
      cap = inflightWithHeadroom(state.inflightLongterm, this.#limits.minWindow);
    } else if (isInProbeBw(state)) {
      cap = state.inflightLongterm ?? Infinity;
    }
    return Math.min(cap, state.inflightShortterm ?? Infinity);
  }
}
