// Problem: latency alone collapses where the queue is a few items deep or where there is none, because refusals come before
// delay (72 to 99 % with Envoy's gradient and Netflix's Gradient2); refusals alone fill every queue there is.
// Rule: grow by one item per round trip. When the round trips show a queue (latency.ts), shrink to what the path holds
// without one. When items are refused (wall.ts), shrink and remember where. Both at most once per round trip, judged on
// items sent after the last change. From time to time send less for a round trip, to see whether the base was a queue.
// Flows that share a path see the same queue, add the same and shrink by the same part, so they become equal.

import { type Algorithm, clampWindow, type Limits, usesWindow } from "../algorithm.ts";
import type { AckSample, RejectSample, Sampler } from "../sampler.ts";
import { addRtt, base, closeRound, forgetSamples, raiseBase, read, type Reading } from "./latency.ts";
import { type AdaptiveState, DRAIN_EVERY_ROUNDS, freshAdaptiveState } from "./state.ts";
import { allowedStep, countRound, earnCredit, isForgiven, noteRefusal } from "./wall.ts";

/** Samples below which a mean is not judged. */
const ENOUGH_SAMPLES = 8;
/** Pace relative to window per round trip: a little above, so that the window rules; doubled where the window doubles. */
const PACE = 1.15;
const START_PACE = 2;
/** Part of the window that stays after a refusal, after a round trip in which nothing was done, and at least after delay. */
const REFUSAL_BETA = 0.85;
const SILENCE_BETA = 0.5;
const DELAY_BETA = 0.5;
/** After so many rounds of growth the step doubles each round, up to a part of the window. */
const SLOW_ROUNDS = 8;
const LARGEST_STEP = 0.05;
/** Items without an answer for so many round trips are likely lost; while they are this part of the window it does not grow. */
const OVERDUE_RTTS = 4;
const OVERDUE_PART = 1 / 8;
/** Part of the window used while looking for a lower base. */
const DRAIN_PART = 0.8;
/** The wait for the next look doubles when there was nothing to see, up to so many rounds and so many ms. */
const MOST_DRAIN_ROUNDS = 4_096;
const DRAIN_EVERY_MS = 10_000;
/** A round trip shorter than the base by this part is news. */
const LOWER = 0.97;
/** A cut works if the excess shrinks by this part; cuts to this part of the window that did not work prove a slower path. */
const WORKS = 1 / 4;
const FUTILE_PART = 1 / 2;

/** Reacts to latency and to refusals. */
export class Adaptive implements Algorithm {
  readonly state: AdaptiveState;
  readonly #limits: Limits;

  constructor(limits: Limits, state: AdaptiveState = freshAdaptiveState(limits)) {
    this.state = state;
    this.#limits = limits;
  }

  get window(): number {
    return this.state.window;
  }

  get pacingRatePerSecond(): number {
    const { isStarting, window, rttMs } = this.state;
    return rttMs === null ? Infinity : ((isStarting ? START_PACE : PACE) * window * 1_000) / rttMs;
  }

  onAck(sample: AckSample, sampler: Sampler): void {
    const { state } = this;
    earnCredit(state);
    if (state.isSettling) {
      this.#settle(sample, sampler);
      return;
    }
    this.#use(sample, sampler);
    addRtt(state, sample.rttMs);
    const isRoundOver = sample.token.sequence > state.roundEndsAfter;
    if (isRoundOver) this.#endRound(sample.nowMs, sampler);
    else if (state.isStarting && state.samples >= ENOUGH_SAMPLES) this.#cutIfQueueing(sampler);
  }

  /** Answers to items sent before the last change say nothing; after the first that was sent later a round begins. */
  #settle(sample: AckSample, sampler: Sampler): void {
    if (sample.token.sequence <= this.state.changedThrough) return;
    this.state.isSettling = false;
    this.#startRound(sampler);
  }

  #use(sample: AckSample, sampler: Sampler): void {
    const { state } = this;
    if (!usesWindow(sample, state.window)) return;
    state.isUsed = true;
    const isDoubling = state.isStarting || state.window < state.recoverTo;
    if (isDoubling && !this.#isOverdue(sample.nowMs, sampler)) this.#setWindow(state.window + 1);
    if (state.window >= state.recoverTo) state.recoverTo = 0;
  }

  /** Whether so many answers are missing that items must have been lost: their refusal will come with the caller's timeout. */
  #isOverdue(nowMs: number, sampler: Sampler): boolean {
    const { rttMs, window } = this.state;
    return rttMs !== null && sampler.inFlightSince(nowMs - OVERDUE_RTTS * rttMs) > window * OVERDUE_PART;
  }

  #endRound(nowMs: number, sampler: Sampler): void {
    const { state } = this;
    countRound(state);
    if (state.samples < ENOUGH_SAMPLES) {
      if (!state.isDraining) this.#grow(nowMs, sampler);
      if (state.samples > 0) state.rttMs = state.sumMs / state.samples;
      state.roundEndsAfter = sampler.state.sequence;
      return;
    }
    closeRound(state, nowMs);
    if (state.isDraining) this.#endDrain(sampler);
    else this.#judge(nowMs, sampler);
  }

  #judge(nowMs: number, sampler: Sampler): void {
    const { state } = this;
    this.#followUpCuts();
    if (this.#cutIfQueueing(sampler)) return;
    if (!state.isStarting) {
      state.roundsToDrain--;
      const isDue = state.roundsToDrain <= 0 || nowMs - state.drainedAtMs > DRAIN_EVERY_MS;
      if (isDue && state.isUsed) {
        this.#startDrain(nowMs, sampler);
        return;
      }
    }
    this.#grow(nowMs, sampler);
    this.#startRound(sampler);
  }

  /** Shrinks to what the path holds without a queue, if there is one. @returns whether there is */
  #cutIfQueueing(sampler: Sampler): boolean {
    const { state } = this;
    const reading = read(state, state.window);
    if (reading.meanMs <= reading.limitMs) return false;
    if (!state.isStarting) this.#rememberCut(reading);
    this.#setWindow(state.window * Math.max(DELAY_BETA, reading.floorMs / reading.meanMs));
    state.isStarting = false;
    state.recoverTo = 0;
    this.#changed(sampler);
    return true;
  }

  #rememberCut(reading: Reading): void {
    const { state } = this;
    if (state.cutFromMs !== null) return;
    state.cutFromMs = reading.meanMs;
    state.cutToMs = reading.floorMs;
    state.windowBeforeCuts = state.window;
  }

  /**
   * Cuts that do not shorten the round trips are not about our queue: the path itself is slower, or others fill its queue
   * whatever we do. Then that is the base, and we are back where we were.
   */
  #followUpCuts(): void {
    const { state } = this;
    if (state.cutFromMs === null || state.rttMs === null) return;
    const hasWorked = state.rttMs < state.cutFromMs - (state.cutFromMs - state.cutToMs) * WORKS;
    const isFutile = !hasWorked && state.window <= state.windowBeforeCuts * FUTILE_PART;
    if (hasWorked || isFutile) state.cutFromMs = null;
    if (!isFutile) return;
    raiseBase(state, state.rttMs);
    this.#setWindow(Math.max(state.window, state.windowBeforeCuts));
  }

  /** A base that was measured while a queue stood looks like any other. Less in flight shows the difference. */
  #startDrain(nowMs: number, sampler: Sampler): void {
    const { state } = this;
    state.isDraining = true;
    state.windowBeforeDrain = state.window;
    state.baseBeforeDrainMs = base(state) ?? 0;
    state.drainedAtMs = nowMs;
    this.#setWindow(state.window * DRAIN_PART);
    this.#changed(sampler);
  }

  #endDrain(sampler: Sampler): void {
    const { state } = this;
    state.isDraining = false;
    const isLower = (state.rttMs ?? 0) < state.baseBeforeDrainMs * LOWER - state.noiseMs;
    state.drainEveryRounds = isLower ? DRAIN_EVERY_ROUNDS : Math.min(state.drainEveryRounds * 2, MOST_DRAIN_ROUNDS);
    state.roundsToDrain = state.drainEveryRounds;
    if (!isLower) this.#setWindow(Math.max(state.window, state.windowBeforeDrain));
    this.#startRound(sampler);
  }

  /** One item more, or after a long calm more, if the window was used, no wall is near and answers are not overdue. */
  #grow(nowMs: number, sampler: Sampler): void {
    const { state } = this;
    if (!state.isUsed || state.isStarting || this.#isOverdue(nowMs, sampler)) return;
    state.grownRounds++;
    const doubled = 2 ** Math.max(0, state.grownRounds - SLOW_ROUNDS);
    const step = allowedStep(state, state.window, Math.min(doubled, Math.max(1, state.window * LARGEST_STEP)));
    if (step === 0) return;
    this.#setWindow(state.window + step);
    state.roundsSinceGrowth = 0;
  }

  onReject({ token, peakInFlight }: RejectSample, sampler: Sampler): void {
    const { state } = this;
    if (token.sequence <= state.changedThrough || isForgiven(state)) return;
    const level = Math.min(state.window, peakInFlight);
    const isSilent = token.delivered === sampler.state.delivered;
    if (noteRefusal(state, level)) state.recoverTo = level / 2;
    state.isStarting = false;
    state.isDraining = false;
    state.cutFromMs = null;
    this.#setWindow(level * (isSilent ? SILENCE_BETA : REFUSAL_BETA));
    this.#changed(sampler);
  }

  #changed(sampler: Sampler): void {
    const { state } = this;
    state.grownRounds = 0;
    state.changedThrough = sampler.state.sequence;
    state.isSettling = true;
  }

  #startRound(sampler: Sampler): void {
    forgetSamples(this.state);
    this.state.roundEndsAfter = sampler.state.sequence;
    this.state.isUsed = false;
  }

  #setWindow(window: number): void {
    this.state.window = clampWindow(window, this.#limits);
  }
}
