import { Fifo } from "./fifo.ts";
import type { Pull, Step } from "./source.ts";

interface Lane<T> {
  readonly read: Pull<T>;
  /** What has arrived and was not taken; a lane reads only while it is empty. */
  arrived: Step<T> | undefined;
}

/**
 * Several inputs read side by side, each at most one item ahead.
 *
 * In order of arrival a lane that has an item gets its turn after at most one item of each other lane: it stands in a queue, and
 * a lane whose item was taken reads again and queues behind. In order of lanes all of the first come before the second's.
 */
export class Lanes<T> {
  readonly #isOrdered: boolean;
  readonly #lanes = new Set<Lane<T>>();
  readonly #queue = new Fifo<Lane<T>>();
  #idle: Lane<T>[] = [];
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;
  readonly #onFailure: () => void;

  /** @param onFailure called when a lane fails, perhaps while nobody waits */
  constructor(isOrdered: boolean, onFailure: () => void) {
    this.#isOrdered = isOrdered;
    this.#onFailure = onFailure;
  }

  /** Lanes that have not ended, or whose end was not come by yet. */
  get size(): number {
    return this.#lanes.size;
  }

  add(read: Pull<T>): void {
    const lane: Lane<T> = { read, arrived: undefined };
    this.#lanes.add(lane);
    this.#idle.push(lane);
  }

  /** Makes every lane read that has nothing to show. */
  readAhead(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const lane of idle) this.#read(lane).catch((error: unknown) => this.fail(error));
  }

  /** The next item, if one is there. @throws the error of a lane that failed, before all items */
  take(): Step<T> | undefined {
    if (this.#failure !== undefined) throw this.#failure.error;
    for (let lane = this.#first(); lane !== undefined; lane = this.#first()) {
      const step = lane.arrived;
      if (step === undefined) return undefined;
      lane.arrived = undefined;
      if (step.done === true) this.#lanes.delete(lane);
      else {
        this.#idle.push(lane);
        return step;
      }
    }
    return undefined;
  }

  /** Waits for an arrival, a failure or `wake`. One waits at a time. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#failure !== undefined) resolve();
    });
  }

  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#onFailure();
    this.wake();
  }

  #first(): Lane<T> | undefined {
    if (!this.#isOrdered) return this.#queue.shift();
    for (const lane of this.#lanes) return lane;
    return undefined;
  }

  async #read(lane: Lane<T>): Promise<void> {
    lane.arrived = await lane.read();
    if (!this.#isOrdered) this.#queue.push(lane);
    this.wake();
  }
}
