// Problem: slow start doubles the window every round trip, so it overshoots a full path by a whole window, and all of that
// is refused. Rule (HyStart++, RFC 9406 section 4.2): when the shortest round trip of a round exceeds that of the round
// before by an eighth, a queue is building; grow four times slower for five rounds, and if the round trips stay long, stop.
// Why not stop at once: one round of jitter would end slow start far below what the path can take.

import type { AckSample } from "./sampler.ts";

/** Samples of a round before its shortest round trip is believed. N_RTT_SAMPLE */
const ENOUGH_SAMPLES = 8;
/** Bounds of what counts as longer, ms. MIN_RTT_THRESH, MAX_RTT_THRESH */
const SMALLEST_RISE_MS = 4;
const LARGEST_RISE_MS = 16;
/** MIN_RTT_DIVISOR */
const RISE_DIVISOR = 8;
/** CSS_GROWTH_DIVISOR, CSS_ROUNDS */
const CAUTIOUS_DIVISOR = 4;
const CAUTIOUS_ROUNDS = 5;

/** What slow start remembers of this round and the last. Times are ms. */
export type SlowStartState = {
  roundEndsAfter: number;
  samples: number;
  roundMinMs: number | null;
  lastRoundMinMs: number | null;
  /** Shortest round trip when caution began; null while growing at full speed. */
  cautiousFromMs: number | null;
  cautiousRounds: number;
};

export function freshSlowStart(): SlowStartState {
  return {
    roundEndsAfter: 0,
    samples: 0,
    roundMinMs: null,
    lastRoundMinMs: null,
    cautiousFromMs: null,
    cautiousRounds: 0,
  };
}

/**
 * Takes one finished item into account.
 * @param newest sequence of the newest item sent
 * @returns items to add to the window, and whether slow start is over
 */
export function slowStartStep(
  state: SlowStartState,
  sample: AckSample,
  newest: number,
): { readonly growth: number; readonly isOver: boolean } {
  if (sample.token.sequence > state.roundEndsAfter) startRound(state, newest);
  if (sample.rttMs !== null) {
    state.samples++;
    state.roundMinMs = Math.min(state.roundMinMs ?? sample.rttMs, sample.rttMs);
    judge(state, state.roundMinMs);
  }
  const isOver = state.cautiousRounds >= CAUTIOUS_ROUNDS;
  return { growth: state.cautiousFromMs === null ? 1 : 1 / CAUTIOUS_DIVISOR, isOver };
}

function startRound(state: SlowStartState, newest: number): void {
  state.roundEndsAfter = newest;
  state.lastRoundMinMs = state.roundMinMs;
  state.roundMinMs = null;
  state.samples = 0;
  if (state.cautiousFromMs !== null) state.cautiousRounds++;
}

function judge(state: SlowStartState, roundMinMs: number): void {
  if (state.samples < ENOUGH_SAMPLES || state.lastRoundMinMs === null) return;
  if (state.cautiousFromMs === null) {
    const eighth = state.lastRoundMinMs / RISE_DIVISOR;
    const riseMs = Math.max(SMALLEST_RISE_MS, Math.min(eighth, LARGEST_RISE_MS));
    if (roundMinMs >= state.lastRoundMinMs + riseMs) state.cautiousFromMs = roundMinMs;
  } else if (roundMinMs < state.cautiousFromMs) {
    state.cautiousFromMs = null;
    state.cautiousRounds = 0;
  }
}
