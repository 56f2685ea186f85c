import type { Outgoing, Place } from "../../core/live/delivery.ts";

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10_000;

/** What a line does with its frames. */
export interface LineEnd {
  /** One call with all frames that wait. */
  readonly send: (texts: readonly string[]) => Promise<void>;
  readonly delivered: (places: readonly Place[]) => void;
  /** Frames may have been lost: those not delivered are to be pushed again. */
  readonly lost: () => void;
}

/** The way from the root to one node: one call at a time, with everything that has come up since the last. What may wait here is bounded by the hub, which treats a node as a reader. */
export class NodeLine {
  readonly #end: LineEnd;
  #queue: Outgoing[] = [];
  #isBusy = false;
  #failures = 0;

  constructor(end: LineEnd) {
    this.#end = end;
  }

  push(frame: Outgoing): void {
    this.#queue.push(frame);
  }

  /** Sends what waits, unless a call is on its way or a failed one waits for its next try. @param always call even with nothing to send */
  async pump(always = false): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    let isFirst = always;
    while (isFirst || this.#queue.length > 0) {
      isFirst = false;
      const batch = this.#queue;
      this.#queue = [];
      try {
        await this.#end.send(batch.map(({ text }) => text));
      } catch (error) {
        this.#retryLater();
        throw error;
      }
      this.#failures = 0;
      this.#end.delivered(batch.flatMap(({ place }) => place ?? []));
    }
    this.#isBusy = false;
  }

  /** Until then the line stays busy, and what is pushed is pushed again by `lost`. */
  #retryLater(): void {
    const delayMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#failures);
    this.#failures += 1;
    setTimeout(() => {
      this.#isBusy = false;
      this.#queue = [];
      this.#end.lost();
    }, delayMs);
  }
}
