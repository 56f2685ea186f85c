/** Rates are taken over at least this long, if there is so much, ms. */
const SPAN_MS = 1_000;
/** What is done under a queue is taken over at most this long: a capacity that falls must be noticed soon, ms. */
const RECENT_MS = 500;
/** Shorter spans say more of when reports come than of rates, ms. */
const SHORTEST_SPAN_MS = 50;

interface Mark {
  readonly atMs: number;
  /** Counted up to then. */
  readonly total: number;
}

/** Counts per second over the last second, from counts that come in lumps. */
export class RateMeter {
  /** Oldest first: all of the last second and one before it. */
  #marks: Mark[] = [];
  #total = 0;

  /** @param count ≥ 0, of the time since the last call */
  add(count: number, nowMs: number): void {
    this.#total += count;
    this.#marks.push({ atMs: nowMs, total: this.#total });
    const kept = this.#marks.findIndex(({ atMs }) => atMs > nowMs - SPAN_MS);
    if (kept > 1) this.#marks.splice(0, kept - 1);
  }

  /** Over the last second; 0 when nothing was counted in it. */
  perSecond(nowMs: number): number {
    const before = this.#marks.findLast(({ atMs }) => atMs <= nowMs - SPAN_MS) ?? this.#marks[0];
    if (before === undefined) return 0;
    const counted = this.#total - before.total;
    return (counted * 1_000) / Math.max(SPAN_MS, nowMs - Math.max(before.atMs, nowMs - 2 * SPAN_MS));
  }

  /**
   * The rate from the first count at or after a time to the last one, over half a second at most.
   * @returns null while that is too short to tell; `lastMs` is the time from the last count but one to the last
   */
  perSecondSince(sinceMs: number, nowMs: number): { readonly perSecond: number; readonly lastMs: number } | null {
    const from = Math.max(sinceMs, nowMs - RECENT_MS - SHORTEST_SPAN_MS);
    const first = this.#marks.find(({ atMs }) => atMs >= from);
    const [previous, last] = [this.#marks.at(-2), this.#marks.at(-1)];
    if (first === undefined || last === undefined || previous === undefined) return null;
    const spanMs = last.atMs - first.atMs;
    if (spanMs < SHORTEST_SPAN_MS) return null;
    return { perSecond: ((last.total - first.total) * 1_000) / spanMs, lastMs: last.atMs - previous.atMs };
  }
}
