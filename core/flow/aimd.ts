// Problem: how much may be in flight to a downstream that only says "done" or "refused"? Rule (Reno, RFC 5681): one item
// more per round trip, half as many upon a refusal. The one rule known to make flows that share a bottleneck equal
// (Chiu and Jain, 1989). It fills whatever queue there is, and with a queue below the bandwidth-delay product it leaves
// capacity unused: at worst it uses (1 + β)/2 of it. There is no recovery phase: a refused item needs no repair before
// others count, so answers to items sent before the decrease make the window grow as well.

import { type Algorithm, clampWindow, type Limits, usesWindow } from "./algorithm.ts";
import type { AckSample, RejectSample, Sampler } from "./sampler.ts";
import { freshSlowStart, type SlowStartState, slowStartStep } from "./slow-start.ts";

/** Part of the window that stays after a refusal. RFC 5681 section 3.1 */
export const AIMD_BETA = 0.5;

/** All that AIMD remembers. */
export type AimdState = SlowStartState & {
  window: number;
  /** Below it slow start rules; null until the first refusal. */
  slowStartBelow: number | null;
  /** Items done since the window last grew. */
  credit: number;
  /** Refusals of items up to this one belong to the last decrease. */
  decreasedThrough: number;
};

export function freshAimdState(limits: Limits): AimdState {
  return {
    ...freshSlowStart(),
    window: limits.initialWindow,
    slowStartBelow: null,
    credit: 0,
    decreasedThrough: 0,
  };
}

/** Additive increase, multiplicative decrease. */
export class Aimd implements Algorithm {
  readonly state: AimdState;
  readonly #limits: Limits;
  readonly #beta: number;

  constructor(limits: Limits, state: AimdState = freshAimdState(limits), beta: number = AIMD_BETA) {
    this.state = state;
    this.#limits = limits;
    this.#beta = beta;
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
    if (!usesWindow(sample, state.window)) return;
    if (state.slowStartBelow === null || state.window < state.slowStartBelow) {
      const { growth, isOver } = slowStartStep(state, sample, sampler.state.sequence);
      state.window = clampWindow(state.window + growth, this.#limits);
      if (isOver) state.slowStartBelow = state.window;
      return;
    }
    state.credit++;
    if (state.credit < state.window) return;
    state.credit = 0;
    state.window = clampWindow(state.window + 1, this.#limits);
  }

  /** What was too much is the most that was in flight of late, not what is left when bunched answers are half processed. */
  onReject({ token, peakInFlight }: RejectSample, sampler: Sampler): void {
    const { state } = this;
    if (token.sequence <= state.decreasedThrough) return;
    state.window = clampWindow(Math.min(state.window, peakInFlight) * this.#beta, this.#limits);
    state.slowStartBelow = state.window;
    state.credit = 0;
    state.decreasedThrough = sampler.state.sequence;
  }
}
