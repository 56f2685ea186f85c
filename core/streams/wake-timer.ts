import type { Clock } from "./clock.ts";
import type { Scope } from "./scope.ts";

/** One timer for "not later than": the earliest wish counts, and is gone once it has come true. */
export class WakeTimer {
  readonly #clock: Clock;
  readonly #scope: Scope;
  readonly #fire: () => void;
  #atMs = Infinity;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, scope: Scope, fire: () => void) {
    this.#clock = clock;
    this.#scope = scope;
    this.#fire = fire;
  }

  notLaterThan(atMs: number): void {
    if (atMs >= this.#atMs) return;
    this.#cancel?.();
    this.#atMs = atMs;
    this.#cancel = this.#scope.setTimer(this.#clock, Math.max(0, atMs - this.#clock.now()), () => {
      this.#atMs = Infinity;
      this.#cancel = undefined;
      this.#fire();
    });
  }
}
