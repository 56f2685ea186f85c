import type { Clock } from "./options.ts";

interface Flush {
  readonly through: number;
  readonly end: (isSettled: boolean) => void;
}

/** Callers that wait until everything up to an event is settled. */
export class Flushes {
  readonly #clock: Clock;
  readonly #waiting = new Set<Flush>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns true once events up to `through` are settled, false when `timeoutMs` is over; without one it waits for ever */
  wait(through: number, timeoutMs?: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = timeoutMs === undefined ? null : this.#clock.setTimeout(() => end(false), timeoutMs);
      const end = (isSettled: boolean): void => {
        this.#waiting.delete(flush);
        if (timer !== null) this.#clock.clearTimeout(timer);
        resolve(isSettled);
      };
      const flush: Flush = { through, end };
      this.#waiting.add(flush);
    });
  }

  /** Events before `oldest` are settled. */
  settle(oldest: number): void {
    for (const { through, end } of this.#waiting) if (oldest > through) end(true);
  }

  /** Nothing more will be settled. */
  giveUp(): void {
    for (const { end } of this.#waiting) end(false);
  }
}
