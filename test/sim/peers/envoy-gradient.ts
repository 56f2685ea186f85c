import type { Attempt, Limiter } from "../limiter.ts";

const MIN_CONCURRENCY = 3;
const MAX_CONCURRENCY = 1_000;
const BUFFER_PART = 0.25;
const UPDATE_MS = 100;
const MIN_RTT_REQUESTS = 50;
const MIN_RTT_EVERY_MS = 60_000;
const MIN_RTT_JITTER = 0.15;
const WINDOWS_AT_MINIMUM = 5;

/** The new limit from the old one, the round trip without load and the one just sampled. */
export function envoyLimit(limit: number, minRttMs: number, sampleRttMs: number): number {
  const gradient = Math.max(0.5, Math.min(2, (minRttMs * (1 + BUFFER_PART)) / sampleRttMs));
  const scaled = limit * gradient;
  return Math.max(MIN_CONCURRENCY, Math.min(MAX_CONCURRENCY, Math.floor(scaled + Math.sqrt(scaled))));
}

/**
 * Our own implementation of Envoy's adaptive concurrency filter, gradient_controller.cc @149521d, with its defaults.
 * Its timers are looked at when an item is sent or answered. An answer of any status is a latency sample, as there.
 */
export class EnvoyGradient implements Limiter {
  readonly #random: () => number;
  #limit = MIN_CONCURRENCY;
  #samples: number[] = [];
  #minRttMs = 0;
  /** Start of the measurement of the round trip without load, null when none runs. */
  #measuringSinceMs: number | null;
  #epochMs: number;
  #limitToRestore = MIN_CONCURRENCY;
  #nextMeasureMs = Infinity;
  #windowEndsMs: number;
  #atMinimum = 0;

  constructor(nowMs: number, random: () => number) {
    this.#random = random;
    this.#measuringSinceMs = nowMs;
    this.#epochMs = nowMs;
    this.#windowEndsMs = nowMs + UPDATE_MS;
  }

  get window(): number {
    return this.#limit;
  }

  get pacingRatePerSecond(): number {
    return Infinity;
  }

  send(nowMs: number): Attempt {
    this.#tick(nowMs);
    const settle = (atMs: number): void => {
      this.#tick(atMs);
      if (nowMs >= this.#epochMs) this.#sample(atMs - nowMs, atMs);
    };
    return { acked: settle, rejected: settle, ignored: (atMs) => this.#tick(atMs) };
  }

  #sample(rttMs: number, nowMs: number): void {
    this.#samples.push(rttMs);
    if (this.#measuringSinceMs === null || this.#samples.length < MIN_RTT_REQUESTS) return;
    this.#minRttMs = this.#takeMedian();
    this.#measuringSinceMs = null;
    this.#setLimit(this.#limitToRestore);
    this.#nextMeasureMs = nowMs + MIN_RTT_EVERY_MS * (1 + MIN_RTT_JITTER * this.#random());
    this.#windowEndsMs = nowMs + UPDATE_MS;
  }

  #tick(nowMs: number): void {
    if (this.#measuringSinceMs !== null) return;
    if (nowMs >= this.#nextMeasureMs || this.#atMinimum >= WINDOWS_AT_MINIMUM) {
      this.#limitToRestore = this.#limit;
      this.#measuringSinceMs = nowMs;
      this.#epochMs = nowMs;
      this.#samples = [];
      this.#limit = MIN_CONCURRENCY;
      this.#atMinimum = 0;
    } else if (nowMs >= this.#windowEndsMs) {
      this.#windowEndsMs = nowMs + UPDATE_MS;
      if (this.#samples.length > 0) this.#setLimit(envoyLimit(this.#limit, this.#minRttMs, this.#takeMedian()));
    }
  }

  #setLimit(limit: number): void {
    this.#atMinimum = limit === MIN_CONCURRENCY && this.#limit === MIN_CONCURRENCY ? this.#atMinimum + 1 : 0;
    this.#limit = limit;
  }

  #takeMedian(): number {
    const sorted = this.#samples.sort((one, other) => one - other);
    this.#samples = [];
    return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  }
}
