import type { NetflixLimit } from "./netflix.ts";

export interface VegasSettings {
  readonly initialLimit: number;
  readonly maxLimit: number;
  /** Weight of a new estimate. */
  readonly smoothing: number;
  readonly decrease: (limit: number) => number;
  /** Numbers in [0, 1), to jitter the probes for a new shortest round trip. */
  readonly random: () => number;
}

const PROBE_MULTIPLIER = 30;

function log10Root(limit: number): number {
  return Math.max(1, Math.floor(Math.log10(Math.floor(limit))));
}

/** Defaults of VegasLimit.java @141214d. */
const DEFAULTS: VegasSettings = {
  initialLimit: 20,
  maxLimit: 1_000,
  smoothing: 1,
  decrease: (limit) => limit - log10Root(limit),
  random: () => 0.5,
};

/** Our own implementation of VegasLimit: an estimate of the queue from the shortest round trip, per sample. */
export class NetflixVegas implements NetflixLimit {
  readonly #settings: VegasSettings;
  #estimate: number;
  #shortestMs = 0;
  #probeCount = 0;
  #probeJitter: number;

  constructor(settings: Partial<VegasSettings> = {}) {
    this.#settings = { ...DEFAULTS, ...settings };
    this.#estimate = this.#settings.initialLimit;
    this.#probeJitter = this.#newJitter();
  }

  get limit(): number {
    return Math.floor(this.#estimate);
  }

  #newJitter(): number {
    return 0.5 + this.#settings.random() / 2;
  }

  update(rttMs: number, inFlight: number, didDrop: boolean): void {
    this.#probeCount++;
    if (this.#probeJitter * PROBE_MULTIPLIER * this.#estimate <= this.#probeCount) {
      this.#probeJitter = this.#newJitter();
      this.#probeCount = 0;
      this.#shortestMs = rttMs;
    } else if (this.#shortestMs === 0 || rttMs < this.#shortestMs) {
      this.#shortestMs = rttMs;
    } else {
      this.#adjust(rttMs, inFlight, didDrop);
    }
  }

  #adjust(rttMs: number, inFlight: number, didDrop: boolean): void {
    const limit = this.#estimate;
    const wanted = didDrop ? this.#settings.decrease(limit) : this.#wanted(limit, rttMs, inFlight);
    if (wanted === undefined) return;
    const { maxLimit, smoothing } = this.#settings;
    this.#estimate = (1 - smoothing) * limit + smoothing * Math.max(1, Math.min(maxLimit, wanted));
  }

  #wanted(limit: number, rttMs: number, inFlight: number): number | undefined {
    if (inFlight * 2 < limit) return undefined;
    const queue = Math.ceil(limit * (1 - this.#shortestMs / rttMs));
    const root = log10Root(limit);
    if (queue <= root) return limit + 6 * root;
    if (queue < 3 * root) return limit + root;
    return queue > 6 * root ? this.#settings.decrease(limit) : undefined;
  }
}
