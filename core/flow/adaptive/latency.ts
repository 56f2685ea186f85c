// What the round trips say about a queue on the path. Each round trip of the sender gives one mean; the smallest mean of the
// last 5 to 10 s is the base. A mean that exceeds the base by more than chance explains is a queue.
//
// Why the mean and not the shortest: requests differ, and one lucky answer makes every other look late (Netflix
// concurrency-limits #37). Why chance must be told apart: with 50 answers of 50 ms ± 20 % the mean is uncertain by 0.6 ms,
// with 8 answers of an exponential spread by 18 ms; a fixed tolerance is too wide for the one and far too tight for the other.

/** How long a base is remembered at least, ms; at most twice as long. */
const BASE_SPAN_MS = 5_000;
/** Weight of a new round in the smoothed uncertainty. */
const NOISE_GAIN = 1 / 8;
/** An answer slower than this many means of the last round counts as so slow: one outlier must not speak for all. */
const OUTLIER = 2;
/** The base is the smallest of some hundred means, so the path's own mean lies about this many uncertainties above it. */
const BASE_BIAS = 2.5;
/** What a mean must exceed the path's own by to count as a queue: uncertainties, ms, part of the base, and items. */
const MARGIN_NOISE = 1.5;
const MARGIN_MS = 2;
const MARGIN_PART = 0.03;
const MARGIN_ITEMS = 1.5;

/** What is remembered of the round trips. */
export type LatencyState = {
  /** Of the present round. */
  samples: number;
  sumMs: number;
  sumSquares: number;
  /** Mean of the last round. */
  rttMs: number | null;
  /** Standard error of a round's mean, smoothed. */
  noiseMs: number;
  /** Smallest mean of the present span, and of the one before. */
  baseMs: number | null;
  lastBaseMs: number | null;
  spanAtMs: number;
};

export function freshLatency(): LatencyState {
  return {
    samples: 0,
    sumMs: 0,
    sumSquares: 0,
    rttMs: null,
    noiseMs: 0,
    baseMs: null,
    lastBaseMs: null,
    spanAtMs: 0,
  };
}

/** What a round's samples amount to. */
export interface Reading {
  readonly meanMs: number;
  /** What the path's own mean is taken to be, without a queue. */
  readonly floorMs: number;
  /** The mean beyond which there is a queue. */
  readonly limitMs: number;
}

/** Takes one round trip into the present round, ms; null, of an item that gave none, is left out. */
export function addRtt(state: LatencyState, rttMs: number | null): void {
  if (rttMs === null) return;
  const clipped = Math.min(rttMs, OUTLIER * (state.rttMs ?? rttMs));
  state.samples++;
  state.sumMs += clipped;
  state.sumSquares += clipped * clipped;
}

/** Begins a round. */
export function forgetSamples(state: LatencyState): void {
  state.samples = 0;
  state.sumMs = 0;
  state.sumSquares = 0;
}

/** Reads the samples so far, at least one. @param window items in flight, of which some may wait without harm */
export function read(state: LatencyState, window: number): Reading {
  const meanMs = state.sumMs / state.samples;
  const noiseMs = Math.max(standardError(state), state.noiseMs);
  const baseMs = base(state) ?? meanMs;
  const floorMs = baseMs + BASE_BIAS * noiseMs;
  const allowedMs = Math.max(MARGIN_MS, MARGIN_PART * baseMs, (MARGIN_ITEMS * meanMs) / window);
  return { meanMs, floorMs, limitMs: floorMs + allowedMs + MARGIN_NOISE * noiseMs };
}

/** Takes a whole round trip's samples, at least one, into the memory. */
export function closeRound(state: LatencyState, nowMs: number): void {
  const meanMs = state.sumMs / state.samples;
  const errorMs = standardError(state);
  state.rttMs = meanMs;
  state.noiseMs += (errorMs - state.noiseMs) * (state.noiseMs === 0 ? 1 : NOISE_GAIN);
  if (nowMs - state.spanAtMs > BASE_SPAN_MS) {
    state.lastBaseMs = nowMs - state.spanAtMs > 2 * BASE_SPAN_MS ? null : state.baseMs;
    state.baseMs = null;
    state.spanAtMs = nowMs;
  }
  state.baseMs = Math.min(state.baseMs ?? meanMs, meanMs);
}

/** Smallest mean remembered; null before any. */
export function base(state: LatencyState): number | null {
  if (state.baseMs === null) return state.lastBaseMs;
  return Math.min(state.baseMs, state.lastBaseMs ?? state.baseMs);
}

/** The path itself has become slower. */
export function raiseBase(state: LatencyState, baseMs: number): void {
  state.baseMs = baseMs;
  state.lastBaseMs = null;
}

function standardError({ samples, sumMs, sumSquares }: LatencyState): number {
  const mean = sumMs / samples;
  const variance = Math.max(0, sumSquares / samples - mean * mean);
  return Math.sqrt(variance / samples);
}
