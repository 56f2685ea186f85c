import type { NetflixLimit } from "./netflix.ts";

export interface NetflixAimdSettings {
  readonly initialLimit: number;
  readonly minLimit: number;
  readonly maxLimit: number;
  readonly backoffRatio: number;
  readonly timeoutMs: number;
}

/** Defaults of AIMDLimit.java @784c960. */
export const NETFLIX_AIMD_DEFAULTS: NetflixAimdSettings = {
  initialLimit: 20,
  minLimit: 20,
  maxLimit: 200,
  backoffRatio: 0.9,
  timeoutMs: 5_000,
};

/** Our own implementation of AIMDLimit: up by one per sample, down by a tenth per drop. */
export class NetflixAimd implements NetflixLimit {
  limit: number;
  readonly #settings: NetflixAimdSettings;

  constructor(settings: Partial<NetflixAimdSettings> = {}) {
    this.#settings = { ...NETFLIX_AIMD_DEFAULTS, ...settings };
    this.limit = this.#settings.initialLimit;
  }

  update(rttMs: number, inFlight: number, didDrop: boolean): void {
    const { backoffRatio, timeoutMs, minLimit, maxLimit } = this.#settings;
    if (didDrop || rttMs > timeoutMs) this.limit = Math.floor(this.limit * backoffRatio);
    else if (inFlight * 2 >= this.limit) this.limit++;
    this.limit = Math.min(maxLimit, Math.max(minLimit, this.limit));
  }
}
