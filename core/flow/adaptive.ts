import { type Algorithm, clampWindow, type Limits, usesWindow } from "./algorithm.ts";
import type { AckSample, RejectSample, Sampler } from "./sampler.ts";

const ENOUGH = 8;
const REFUSAL_BETA = 0.85;
const BASE_SPAN_MS = 5_000;
const PACE = 1.25;
const START_PACE = 2;

export type AdaptiveState = {
  window: number;
  isStarting: boolean;
  isSettling: boolean;
  decreasedThrough: number;
  roundEndsAfter: number;
  samples: number;
  sumMs: number;
  sumSquares: number;
  rttMs: number | null;
  noiseMs: number;
  baseMs: number | null;
  lastBaseMs: number | null;
  baseSinceMs: number;
  calmRounds: number;
  refusedAt: number | null;
  probeRounds: number;
  isDraining: boolean;
  windowBefore: number;
  futileCuts: number;
};

export function freshAdaptiveState(limits: Limits): AdaptiveState {
  return {
    window: limits.initialWindow,
    isStarting: true,
    isSettling: false,
    decreasedThrough: 0,
    roundEndsAfter: 0,
    samples: 0,
    sumMs: 0,
    sumSquares: 0,
    rttMs: null,
    noiseMs: 0,
    baseMs: null,
    lastBaseMs: null,
    baseSinceMs: 0,
    calmRounds: 0,
    refusedAt: null,
    probeRounds: 0,
    isDraining: false,
    windowBefore: 0,
    futileCuts: 0,
  };
}

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
    const { state } = this;
    if (state.rttMs === null) return Infinity;
    return ((state.isStarting ? START_PACE : PACE) * state.window * 1_000) / state.rttMs;
  }

  onAck(sample: AckSample, sampler: Sampler): void {
    const { state } = this;
    if (state.isSettling) {
      if (sample.token.sequence <= state.decreasedThrough) return;
      state.isSettling = false;
      this.#startRound(sampler);
      return;
    }
    const used = usesWindow(sample, state.window);
    this.#note(sample);
    if (state.isStarting && used) {
      state.window = clampWindow(state.window + 1, this.#limits);
    }
    if (sample.token.sequence <= state.roundEndsAfter && !(state.isStarting && state.samples >= ENOUGH)) return;
    if (state.samples < ENOUGH && state.samples > 0) return;
    this.#endRound(sample, sampler, used);
  }

  #note({ rttMs }: AckSample): void {
    if (rttMs === null) return;
    const { state } = this;
    const clipped = Math.min(rttMs, 2 * (state.rttMs ?? rttMs));
    state.samples++;
    state.sumMs += clipped;
    state.sumSquares += clipped * clipped;
  }

  #endRound(sample: AckSample, sampler: Sampler, used: boolean): void {
    const { state } = this;
    const isRound = sample.token.sequence > state.roundEndsAfter;
    if (state.samples === 0) {
      if (isRound) {
        if (used) this.#grow();
        this.#startRound(sampler);
      }
      return;
    }
    const mean = state.sumMs / state.samples;
    const variance = Math.max(0, state.sumSquares / state.samples - mean * mean);
    const error = Math.sqrt(variance / state.samples);
    if (isRound) {
      state.rttMs = mean;
      state.noiseMs += (error - state.noiseMs) / (state.noiseMs === 0 ? 1 : 8);
      this.#noteBase(mean, sample.nowMs);
    }
    const base = Math.min(state.baseMs ?? mean, state.lastBaseMs ?? mean);
    const target = Math.max(2, 0.05 * base, (2 * mean) / state.window) + 3 * Math.max(error, state.noiseMs);
    if (mean > base + target) {
      const keep = Math.max(0.5, base / mean);
      state.window = clampWindow(state.window * keep, this.#limits);
      state.isStarting = false;
      state.calmRounds = 0;
      state.decreasedThrough = sampler.state.sequence;
      state.isSettling = true;
      return;
    }
    if (!isRound) return;
    if (used && !state.isStarting) this.#grow();
    this.#startRound(sampler);
  }

  #grow(): void {
    const { state } = this;
    state.calmRounds++;
    let step = 1;
    if (state.calmRounds > 8) step = Math.min(2 ** (state.calmRounds - 8), Math.max(1, state.window * 0.05));
    if (state.refusedAt !== null && state.window + step > state.refusedAt) {
      state.probeRounds++;
      if (state.probeRounds < 16) return;
      state.probeRounds = 0;
      state.refusedAt += 1;
      step = 1;
    }
    state.window = clampWindow(state.window + step, this.#limits);
  }

  #noteBase(mean: number, nowMs: number): void {
    const { state } = this;
    if (nowMs - state.baseSinceMs > BASE_SPAN_MS) {
      state.lastBaseMs = state.baseMs;
      state.baseMs = null;
      state.baseSinceMs = nowMs;
    }
    state.baseMs = Math.min(state.baseMs ?? mean, mean);
  }

  #startRound(sampler: Sampler): void {
    const { state } = this;
    state.roundEndsAfter = sampler.state.sequence;
    state.samples = 0;
    state.sumMs = 0;
    state.sumSquares = 0;
  }

  onReject({ token }: RejectSample, sampler: Sampler): void {
    const { state } = this;
    if (token.sequence <= state.decreasedThrough) return;
    const level = Math.min(state.window, token.inFlight);
    state.refusedAt = level;
    state.probeRounds = 0;
    state.calmRounds = 0;
    state.isStarting = false;
    state.window = clampWindow(level * REFUSAL_BETA, this.#limits);
    state.decreasedThrough = sampler.state.sequence;
    state.isSettling = true;
  }
}
