const BUCKET_MS = 100;

/** Watches one path: how many items it served when, and how long its queue was on average. */
export class Meter {
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #served: number[] = [];
  readonly #done: number[] = [];
  readonly #refused: number[] = [];
  #queued = 0;
  #changedMs: number;
  #queueIntegral = 0;
  #inSpan = 0;
  longestQueue = 0;

  /** @param fromMs start of the span that counts; what is served before is kept for the recovery times only */
  constructor(fromMs: number, toMs: number) {
    this.#fromMs = fromMs;
    this.#toMs = toMs;
    this.#changedMs = fromMs;
  }

  queueChanged(queued: number, nowMs: number): void {
    if (nowMs > this.#fromMs) {
      this.#queueIntegral += this.#queued * (Math.min(nowMs, this.#toMs) - this.#changedMs);
      this.#changedMs = Math.min(nowMs, this.#toMs);
      if (nowMs <= this.#toMs) this.longestQueue = Math.max(this.longestQueue, queued);
    }
    this.#queued = queued;
  }

  served(nowMs: number): void {
    count(this.#served, nowMs);
    if (nowMs >= this.#fromMs && nowMs < this.#toMs) this.#inSpan++;
  }

  /** An answer reached its sender. */
  answered(isDone: boolean, nowMs: number): void {
    count(isDone ? this.#done : this.#refused, nowMs);
  }

  /** Items served in the span. */
  get servedInSpan(): number {
    return this.#inSpan;
  }

  /** Waiting items, averaged over the span. */
  meanQueue(): number {
    this.queueChanged(this.#queued, this.#toMs);
    return this.#queueIntegral / (this.#toMs - this.#fromMs);
  }

  /** Items served between two times, to the nearest 100 ms. */
  servedBetween(fromMs: number, toMs: number): number {
    return sumBetween(this.#served, fromMs, toMs);
  }

  /** Refused or lost / all answers between two times, 0 to 1. */
  rejectsBetween(fromMs: number, toMs: number): number {
    const refused = sumBetween(this.#refused, fromMs, toMs);
    return refused / Math.max(1, refused + sumBetween(this.#done, fromMs, toMs));
  }

  /**
   * How long after a time the path first serves a wanted rate over a whole second, ms; Infinity when it never does.
   * The second itself is not counted: 0 means that the rate was there at once.
   */
  reaches(ratePerSecond: number, afterMs: number): number {
    for (let startMs = afterMs; startMs + 1_000 <= this.#toMs; startMs += BUCKET_MS) {
      if (this.servedBetween(startMs, startMs + 1_000) >= ratePerSecond) return startMs - afterMs;
    }
    return Infinity;
  }
}

function count(buckets: number[], nowMs: number): void {
  const bucket = Math.floor(nowMs / BUCKET_MS);
  buckets[bucket] = (buckets[bucket] ?? 0) + 1;
}

function sumBetween(buckets: readonly number[], fromMs: number, toMs: number): number {
  let items = 0;
  for (let bucket = Math.round(fromMs / BUCKET_MS); bucket < Math.round(toMs / BUCKET_MS); bucket++) {
    items += buckets[bucket] ?? 0;
  }
  return items;
}

/** Jain's index of fairness: 1 when all have the same, 1/n when one has all. */
export function jainIndex(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  const squares = shares.reduce((total, share) => total + share * share, 0);
  return squares === 0 ? 1 : (sum * sum) / (shares.length * squares);
}
