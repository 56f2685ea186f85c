import type { Tally } from "./tally.ts";

/** The rate controller hears of progress at most this often, unless somebody needs it to know. */
const TELL_EVERY_MS = 1000;

export interface ProgressDeps {
  /** Tells how many events were applied in all. */
  readonly tellApplied: (applied: number) => Promise<void>;
  readonly now: () => number;
}

/** Keeps the rate controller told of how many events the shard has taken from the queue. */
export class Progress {
  readonly #tally: Tally;
  readonly #deps: ProgressDeps;
  #toldAt = 0;

  constructor(tally: Tally, deps: ProgressDeps) {
    this.#tally = tally;
    this.#deps = deps;
  }

  async tellNowAndThen(): Promise<void> {
    if (this.#deps.now() >= this.#toldAt + TELL_EVERY_MS) await this.tell();
  }

  async tell(): Promise<void> {
    this.#toldAt = this.#deps.now();
    await this.#deps.tellApplied(this.#tally.applied);
  }
}
