/** Half-open stretches [start, end) that tile the time line. Times are epoch ms. */
export interface Frame {
  /** Start of the stretch that holds `at`. */
  startOf(at: number): number;
  /** End of the stretch that begins at `start`. */
  endOf(start: number): number;
}

/** Stretches of equal size, aligned to the epoch plus an offset. */
export class FixedFrame implements Frame {
  readonly #sizeMs: number;
  readonly #offsetMs: number;

  constructor(sizeMs: number, offsetMs: number) {
    this.#sizeMs = sizeMs;
    this.#offsetMs = offsetMs;
  }

  startOf(at: number): number {
    return Math.floor((at - this.#offsetMs) / this.#sizeMs) * this.#sizeMs + this.#offsetMs;
  }

  endOf(start: number): number {
    return start + this.#sizeMs;
  }
}
