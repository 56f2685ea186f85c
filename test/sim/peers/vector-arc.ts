import type { Attempt, Limiter } from "../limiter.ts";

const EWMA_ALPHA = 0.4;
const DEVIATION_SCALE = 2.5;
const DECREASE_RATIO = 0.9;
const INITIAL = 1;
const MAXIMUM = 200;

/** Exponentially weighted mean and variance. */
interface Past {
  readonly mean: number;
  readonly variance: number;
}

/**
 * Our own implementation of Vector's adaptive request concurrency, adaptive_concurrency/controller.rs @05b56b7, with its
 * defaults: once per mean round trip up by one, or down by a tenth upon back pressure or an unusual round trip.
 */
export class VectorArc implements Limiter {
  #limit = INITIAL;
  #inFlight = 0;
  #past: Past | null = null;
  #nextUpdateMs = 0;
  #sumMs = 0;
  #samples = 0;
  #hadBackPressure = false;
  #reachedLimit = false;

  get window(): number {
    return this.#limit;
  }

  get pacingRatePerSecond(): number {
    return Infinity;
  }

  send(nowMs: number): Attempt {
    this.#inFlight++;
    if (this.#inFlight >= this.#limit) this.#reachedLimit = true;
    return {
      acked: (atMs) => this.#answered(atMs, atMs - nowMs, false),
      rejected: (atMs) => this.#answered(atMs, null, true),
      ignored: (atMs) => this.#answered(atMs, null, false),
    };
  }

  #answered(nowMs: number, rttMs: number | null, isBackPressure: boolean): void {
    this.#inFlight--;
    this.#hadBackPressure ||= isBackPressure;
    if (rttMs !== null) {
      this.#sumMs += rttMs;
      this.#samples++;
    }
    // Rounded, as in its own tests: equal round trips must not differ by the order of their summing.
    const currentMs = this.#samples === 0 ? null : Math.round((this.#sumMs / this.#samples) * 1_000) / 1_000;
    if (this.#past === null) {
      if (currentMs === null) return;
      this.#past = { mean: currentMs, variance: 0 };
      this.#nextUpdateMs = nowMs + currentMs;
    } else if (nowMs >= this.#nextUpdateMs) {
      this.#adjust(this.#past, currentMs);
      if (currentMs !== null) this.#past = weigh(this.#past, currentMs);
      this.#nextUpdateMs = nowMs + this.#past.mean;
      this.#sumMs = 0;
      this.#samples = 0;
      this.#hadBackPressure = false;
      this.#reachedLimit = false;
    }
  }

  #adjust(past: Past, currentMs: number | null): void {
    const isQuick = currentMs !== null && currentMs <= past.mean;
    const isSlow = (currentMs ?? 0) >= past.mean + DEVIATION_SCALE * Math.sqrt(past.variance);
    if (this.#limit < MAXIMUM && this.#reachedLimit && !this.#hadBackPressure && isQuick) this.#limit++;
    else if (this.#limit > 1 && (this.#hadBackPressure || isSlow)) {
      this.#limit = Math.max(1, Math.floor(this.#limit * DECREASE_RATIO));
    }
  }
}

function weigh(past: Past, value: number): Past {
  const difference = value - past.mean;
  const increment = EWMA_ALPHA * difference;
  return { mean: past.mean + increment, variance: (1 - EWMA_ALPHA) * (past.variance + difference * increment) };
}
