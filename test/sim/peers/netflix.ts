import type { Attempt, Limiter } from "../limiter.ts";

/** What Netflix concurrency-limits calls a Limit: takes one sample, gives the new limit. */
export interface NetflixLimit {
  readonly limit: number;
  /** @param inFlight items in flight when this one had started, itself included */
  update(rttMs: number, inFlight: number, didDrop: boolean): void;
}

/** A Limit behind the library's SimpleLimiter: every answer is a sample, a refused one is a drop. */
export class NetflixLimiter implements Limiter {
  readonly #limit: NetflixLimit;
  readonly #windowMs: number;
  #inFlight = 0;
  #window = emptyWindow();
  #windowEndsMs = 0;

  /** @param windowMs 0 hands every sample on, else the mean of so long, as the library's WindowedLimit (1 s by default) */
  constructor(limit: NetflixLimit, windowMs: number) {
    this.#limit = limit;
    this.#windowMs = windowMs;
  }

  get window(): number {
    return this.#limit.limit;
  }

  get pacingRatePerSecond(): number {
    return Infinity;
  }

  send(nowMs: number): Attempt {
    this.#inFlight++;
    const inFlight = this.#inFlight;
    const settle = (atMs: number, didDrop: boolean): void => {
      this.#inFlight--;
      if (this.#windowMs === 0) this.#limit.update(atMs - nowMs, inFlight, didDrop);
      else this.#sample(atMs, atMs - nowMs, inFlight, didDrop);
    };
    return {
      acked: (atMs) => settle(atMs, false),
      rejected: (atMs) => settle(atMs, true),
      ignored: () => void this.#inFlight--,
    };
  }

  #sample(nowMs: number, rttMs: number, inFlight: number, didDrop: boolean): void {
    const window = this.#window;
    window.samples++;
    window.sumMs += rttMs;
    window.mostInFlight = Math.max(window.mostInFlight, inFlight);
    window.didDrop ||= didDrop;
    if (nowMs <= this.#windowEndsMs) return;
    this.#window = emptyWindow();
    this.#windowEndsMs = nowMs + this.#windowMs;
    if (window.samples < FEWEST_SAMPLES) return;
    this.#limit.update(window.sumMs / window.samples, window.mostInFlight, window.didDrop);
  }
}

/** WindowedLimit's windowSize. */
const FEWEST_SAMPLES = 10;

function emptyWindow(): { samples: number; sumMs: number; mostInFlight: number; didDrop: boolean } {
  return { samples: 0, sumMs: 0, mostInFlight: 0, didDrop: false };
}
