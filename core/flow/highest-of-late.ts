/** The highest of the values noted within a span that ends now. Times are ms of one clock. */
export class HighestOfLate {
  readonly #spanMs: number;
  /** Falling values in order of time: whoever is followed by a higher one does not matter any more. */
  readonly #values: { readonly value: number; readonly atMs: number }[] = [];

  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  note(value: number, nowMs: number): void {
    while ((this.#values.at(-1)?.value ?? Infinity) <= value) this.#values.pop();
    this.#values.push({ value, atMs: nowMs });
    this.#forget(nowMs);
  }

  /** @returns −Infinity when nothing was noted */
  at(nowMs: number): number {
    this.#forget(nowMs);
    return this.#values[0]?.value ?? Number.NEGATIVE_INFINITY;
  }

  #forget(nowMs: number): void {
    while (this.#values[0] !== undefined && nowMs - this.#values[0].atMs > this.#spanMs) this.#values.shift();
  }
}
