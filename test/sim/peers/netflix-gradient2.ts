import type { NetflixLimit } from "./netflix.ts";

export interface Gradient2Settings {
  readonly initialLimit: number;
  readonly minLimit: number;
  readonly maxLimit: number;
}

/** Defaults of Gradient2Limit.java, main branch. */
const DEFAULTS: Gradient2Settings = { initialLimit: 20, minLimit: 20, maxLimit: 200 };
const SMOOTHING = 0.2;
const RTT_TOLERANCE = 1.5;
const QUEUE_SIZE = 4;
const LONG_WINDOW = 600;
const WARM_UP = 10;
const DRIFT = 2;
const DRIFT_DECAY = 0.95;

/** Our own implementation of Gradient2Limit: this round trip against a long exponential mean of them. */
export class NetflixGradient2 implements NetflixLimit {
  readonly #settings: Gradient2Settings;
  #estimate: number;
  #longMs = 0;
  #samples = 0;
  #sumMs = 0;

  constructor(settings: Partial<Gradient2Settings> = {}) {
    this.#settings = { ...DEFAULTS, ...settings };
    this.#estimate = this.#settings.initialLimit;
  }

  get limit(): number {
    return Math.floor(this.#estimate);
  }

  /** Before rounding down. */
  get estimate(): number {
    return this.#estimate;
  }

  get longRttMs(): number {
    return this.#longMs;
  }

  update(rttMs: number, inFlight: number): void {
    this.#lengthen(rttMs);
    const longMs = this.#longMs;
    if (longMs / rttMs > DRIFT) this.#longMs *= DRIFT_DECAY;
    if (inFlight < this.#estimate / 2) return;
    const gradient = Math.max(0.5, Math.min(1, (RTT_TOLERANCE * longMs) / rttMs));
    const wanted = this.#estimate * gradient + QUEUE_SIZE;
    const smoothed = this.#estimate * (1 - SMOOTHING) + wanted * SMOOTHING;
    this.#estimate = Math.max(this.#settings.minLimit, Math.min(this.#settings.maxLimit, smoothed));
  }

  #lengthen(rttMs: number): void {
    if (this.#samples < WARM_UP) {
      this.#samples++;
      this.#sumMs += rttMs;
      this.#longMs = this.#sumMs / this.#samples;
    } else {
      this.#longMs += (2 / (LONG_WINDOW + 1)) * (rttMs - this.#longMs);
    }
  }
}
