// Problem: adding one item per round trip takes minutes to refill a long fat path. Rule (CUBIC, RFC 9438): after a refusal
// the window returns to 0.7 and then follows a cubic curve of time: fast back towards the level that was too much, flat
// around it, then faster and faster beyond. Where that would be slower than Reno it does as Reno does. Time in which the
// sender had nothing to send does not count. Units as in the RFC: items, seconds. There is no recovery phase, as a refused
// item needs no repair: congestion avoidance goes on with the next ack.

import { type Algorithm, clampWindow, type Limits, usesWindow } from "./algorithm.ts";
import type { AckSample, RejectSample, Sampler } from "./sampler.ts";
import { freshSlowStart, type SlowStartState, slowStartStep } from "./slow-start.ts";

/** How steep the curve is, items per s³. RFC 9438 section 5.1 */
const C = 0.4;
/** Part of the window that stays after a refusal. Section 4.6 */
const BETA = 0.7;
/** Growth per round trip that makes a window with this β as large as Reno's on average. Section 4.3 */
const RENO_ALPHA = (3 * (1 - BETA)) / (1 + BETA);
/** The curve may not ask for more than this part of the window within one round trip. Section 4.2 */
const LARGEST_TARGET = 1.5;
/** The window never falls below this. Section 4.6 */
export const CUBIC_MIN_WINDOW = 2;

/** Seconds from the start of an epoch until the curve is back at `windowMax`. Section 4.2, figure 2 */
export function cubicK(windowMax: number, windowAtStart: number): number {
  return Math.cbrt((windowMax - windowAtStart) / C);
}

/** The window after `seconds` of an epoch. Section 4.2, figure 1 */
export function cubicWindow(seconds: number, k: number, windowMax: number): number {
  return C * (seconds - k) ** 3 + windowMax;
}

/** All that CUBIC remembers. */
export type CubicState = SlowStartState & {
  window: number;
  slowStartBelow: number | null;
  decreasedThrough: number;
  /** Level of the last refusal, lowered further when levels fall (fast convergence); null before any. */
  windowMax: number | null;
  /** Window just before it was last set to `slowStartBelow`. */
  windowPrior: number;
  /** Start of congestion avoidance, moved on by the time that does not count; null outside of it. */
  epochAtMs: number | null;
  k: number;
  /** What Reno's window would be. */
  renoWindow: number;
  /** When the window last had reason to grow, and when it last had none for want of items. */
  usedAtMs: number;
  unusedAtMs: number | null;
};

export function freshCubicState(limits: Limits): CubicState {
  return {
    ...freshSlowStart(),
    window: limits.initialWindow,
    slowStartBelow: null,
    decreasedThrough: 0,
    windowMax: null,
    windowPrior: limits.initialWindow,
    epochAtMs: null,
    k: 0,
    renoWindow: 0,
    usedAtMs: 0,
    unusedAtMs: null,
  };
}

/** CUBIC congestion control, per item. */
export class Cubic implements Algorithm {
  readonly state: CubicState;
  readonly #limits: Limits;

  constructor(limits: Limits, state: CubicState = freshCubicState(limits)) {
    this.state = state;
    this.#limits = limits;
  }

  get window(): number {
    return this.state.window;
  }

  /** Unpaced: acks clock the sends. */
  get pacingRatePerSecond(): number {
    return Infinity;
  }

  onAck(sample: AckSample, sampler: Sampler): void {
    const { state } = this;
    if (!usesWindow(sample, state.window)) {
      state.unusedAtMs = sample.nowMs;
      return;
    }
    if (state.slowStartBelow === null || state.window < state.slowStartBelow) this.#slowStart(sample, sampler);
    else this.#avoidCongestion(sample.nowMs, sampler.state.smoothedRttMs ?? 0);
  }

  #slowStart(sample: AckSample, sampler: Sampler): void {
    const { state } = this;
    const { growth, isOver } = slowStartStep(state, sample, sampler.state.sequence);
    state.window = clampWindow(state.window + growth, this.#limits);
    if (!isOver) return;
    state.slowStartBelow = state.window;
    state.windowPrior = state.window;
  }

  #avoidCongestion(nowMs: number, rttMs: number): void {
    const { state } = this;
    const epochAtMs = this.#epoch(nowMs);
    const windowMax = state.windowMax ?? state.window;
    const seconds = (nowMs - epochAtMs) / 1_000;
    const target = Math.min(
      Math.max(cubicWindow(seconds + rttMs / 1_000, state.k, windowMax), state.window),
      LARGEST_TARGET * state.window,
    );
    const alpha = state.renoWindow >= state.windowPrior ? 1 : RENO_ALPHA;
    state.renoWindow += alpha / state.window;
    const isRenoFaster = cubicWindow(seconds, state.k, windowMax) < state.renoWindow;
    const window = isRenoFaster ? state.renoWindow : state.window + (target - state.window) / state.window;
    state.window = clampWindow(window, this.#limits);
  }

  /** Begins an epoch, or moves a running one on by the time since the window was last used. Section 4.2, last MUST NOT */
  #epoch(nowMs: number): number {
    const { state } = this;
    if (state.epochAtMs === null) {
      state.windowMax = Math.max(state.windowMax ?? 0, state.window);
      state.epochAtMs = nowMs;
      state.k = cubicK(state.windowMax, state.window);
      state.renoWindow = state.window;
    } else if (state.unusedAtMs !== null) {
      state.epochAtMs += state.unusedAtMs - state.usedAtMs;
    }
    state.unusedAtMs = null;
    state.usedAtMs = nowMs;
    return state.epochAtMs;
  }

  onReject({ token, peakInFlight }: RejectSample, sampler: Sampler): void {
    const { state } = this;
    if (token.sequence <= state.decreasedThrough) return;
    const isFalling = state.windowMax !== null && state.window < state.windowMax;
    state.windowMax = isFalling ? (state.window * (1 + BETA)) / 2 : state.window;
    state.windowPrior = state.window;
    state.window = clampWindow(Math.min(state.window, peakInFlight) * BETA, this.#limits);
    state.slowStartBelow = state.window;
    state.epochAtMs = null;
    state.unusedAtMs = null;
    state.decreasedThrough = sampler.state.sequence;
  }
}
