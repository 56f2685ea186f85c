import type { Shard } from "./shard.ts";

/** The rate controller hears of progress at most this often. */
const TELL_EVERY_MS = 1000;
/** While calls keep coming, counts that the log does not hold are written at most this often; otherwise once they stop. */
const SAVE_EVERY_MS = 10_000;

export interface ProgressDeps {
  /** Tells how many events were applied in all. @returns the most it was ever told */
  readonly tellApplied: (applied: number) => Promise<number>;
  readonly later: (work: () => void, delayMs: number) => void;
  readonly now: () => number;
  readonly background: (what: string, work: Promise<unknown>) => void;
}

/** Keeps the rate controller told of how many events the shard has applied, and the disk of what the log does not say. */
export class Progress {
  readonly #shard: Shard;
  readonly #deps: ProgressDeps;
  #isScheduled = false;
  #hasMore = false;
  #savedAt = 0;

  constructor(shard: Shard, deps: ProgressDeps) {
    this.#shard = shard;
    this.#deps = deps;
  }

  /** Counts have changed. */
  note(): void {
    this.#hasMore = true;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#hasMore = false;
    this.#deps.later(() => this.#deps.background("progress", this.#pass()), TELL_EVERY_MS);
  }

  /** Tells at once. */
  async tell(): Promise<void> {
    const { tally } = this.#shard;
    tally.hear(await this.#deps.tellApplied(tally.applied));
  }

  async #pass(): Promise<void> {
    this.#isScheduled = false;
    if (this.#shard.tally.isAhead) this.#saveInTime();
    await this.tell();
  }

  #saveInTime(): void {
    const isQuiet = !this.#hasMore;
    if (isQuiet || this.#deps.now() >= this.#savedAt + SAVE_EVERY_MS) {
      this.#shard.saveTally();
      this.#savedAt = this.#deps.now();
    } else this.note();
  }
}
