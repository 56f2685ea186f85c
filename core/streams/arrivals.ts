import type { Clock } from "./clock.ts";
import type { Scope } from "./scope.ts";
import { END, type Step } from "./source.ts";
import type { Upstream } from "./upstream.ts";

/** An item, or the end, and when it came. */
export interface Arrival<T> {
  readonly step: Step<T>;
  /** When it arrived, on the clock. */
  readonly atMs: number;
}

/**
 * Reads an input against deadlines. A read that the deadline overtakes goes on, so one item at most is read ahead; it keeps the time
 * of its arrival for whoever asks later.
 */
export class Arrivals<T> {
  readonly #input: Upstream<T>;
  readonly #clock: Clock;
  readonly #scope: Scope;
  #isReading = false;
  #arrived: Arrival<T> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #isDone = false;
  #wake: (() => void) | undefined;

  constructor(input: Upstream<T>, clock: Clock, scope: Scope) {
    this.#input = input;
    this.#clock = clock;
    this.#scope = scope;
  }

  /** @returns the next arrival, null if `deadlineMs` came before it. The end comes again however often it is asked for. */
  async before(deadlineMs: number): Promise<Arrival<T> | null> {
    if (this.#isDone) return { step: END, atMs: this.#clock.now() };
    const isWaiting = this.#arrived === undefined && this.#failure === undefined;
    if (isWaiting && this.#clock.now() < deadlineMs) await this.#arrivalOr(deadlineMs);
    if (this.#failure !== undefined) throw this.#failure.error;
    const arrival = this.#arrived;
    if (arrival === undefined || arrival.atMs >= deadlineMs) return null;
    this.#arrived = undefined;
    this.#isDone = arrival.step.done === true;
    return arrival;
  }

  #arrivalOr(deadlineMs: number): Promise<void> {
    if (!this.#isReading) void this.#read();
    return new Promise((resolve) => {
      const waitMs = deadlineMs - this.#clock.now();
      const cancel = waitMs === Infinity ? undefined : this.#scope.setTimer(this.#clock, Math.max(0, waitMs), resolve);
      this.#wake = () => {
        cancel?.();
        resolve();
      };
    });
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    try {
      const step = await this.#input.next();
      this.#arrived = { step, atMs: this.#clock.now() };
    } catch (error) {
      this.#failure = { error };
    }
    this.#isReading = false;
    this.#wake?.();
    this.#wake = undefined;
  }
}
