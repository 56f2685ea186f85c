import type { Clock } from "../../../core/streams/clock.ts";
import { settle } from "./probe.ts";

interface Timer {
  readonly atMs: number;
  readonly fire: () => void;
}

/** A clock that stands still until it is told to move. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<Timer>();

  /** Timers set and neither fired nor cancelled. */
  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#nowMs;
  }

  setTimer(ms: number, fire: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, fire };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves on from timer to timer, letting the effects of each happen. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (let timer = this.#due(endMs); timer !== undefined; timer = this.#due(endMs)) {
      this.#timers.delete(timer);
      this.#nowMs = Math.max(this.#nowMs, timer.atMs);
      timer.fire();
      await settle();
    }
    this.#nowMs = endMs;
  }

  #due(endMs: number): Timer | undefined {
    const due = [...this.#timers].filter((timer) => timer.atMs <= endMs);
    return due.sort((a, b) => a.atMs - b.atMs)[0];
  }
}

/** A second passes whenever one looks; timers of less than a second fire soon, longer ones never. */
export function restlessClock(): Clock {
  let nowMs = 0;
  return {
    now: () => (nowMs += 1_000),
    setTimer: (ms, fire) => {
      if (ms > 1_000) return () => undefined;
      const immediate = setImmediate(fire);
      return () => clearImmediate(immediate);
    },
  };
}
