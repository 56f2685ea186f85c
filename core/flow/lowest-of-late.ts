/** The lowest value of at least so long, and at most twice as long, ms. */
const SPAN_MS = 60_000;
/** Higher values are not believed to be what it takes without a queue, ms. */
const MOST_MS = 5_000;

/** The lowest of the values noted of late. */
export class LowestOfLate {
  readonly #firstMs: number;
  #current = Infinity;
  #last = Infinity;
  #sinceMs = Number.NEGATIVE_INFINITY;

  /** @param firstMs what is believed before the first value */
  constructor(firstMs: number) {
    this.#firstMs = firstMs;
  }

  /** @param valueMs ≥ 0 */
  note(valueMs: number, nowMs: number): void {
    if (nowMs - this.#sinceMs >= SPAN_MS) {
      this.#last = this.#current;
      this.#current = Infinity;
      this.#sinceMs = nowMs;
    }
    this.#current = Math.min(this.#current, valueMs);
  }

  get ms(): number {
    const lowest = Math.min(this.#current, this.#last);
    return lowest === Infinity ? this.#firstMs : Math.min(MOST_MS, lowest);
  }
}
