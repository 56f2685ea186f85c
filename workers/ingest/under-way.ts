/** Events of one tenant that may be under way in an isolate, unless they are of so few requests. */
const MAX_EVENTS = 20_000;
const MIN_REQUESTS = 8;
/** A request that has not left after so long went down on its way, ms. */
const GONE_AFTER_MS = 10_000;

interface Entered {
  readonly atMs: number;
  readonly events: number;
}

/**
 * A tenant's requests between admission and answer.
 *
 * Many requests at once are all let in before the first of them has told what it holds. Without a bound on what is under way the
 * beginning of a flood would keep the thread busy for a second.
 */
export class UnderWay {
  /** Oldest first. */
  readonly #requests: Entered[] = [];
  #events = 0;

  /** A request has come in. @param events it is believed to hold */
  entered(events: number, nowMs: number): void {
    this.#requests.push({ atMs: nowMs, events });
    this.#events += events;
  }

  /** A request has been answered. Which one does not matter: they are alike. */
  left(): void {
    this.#events -= this.#requests.shift()?.events ?? 0;
  }

  /** Whether another request would be too much. */
  isFull(nowMs: number): boolean {
    while (nowMs - (this.#requests[0]?.atMs ?? nowMs) > GONE_AFTER_MS) this.left();
    return this.#requests.length >= MIN_REQUESTS && this.#events >= MAX_EVENTS;
  }
}
