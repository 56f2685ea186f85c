import type { ShardSigns } from "../rate/downstream.ts";
import type { IncomingMessage } from "./messages.ts";
import type { Tally } from "./tally.ts";

/** The rate controller hears of progress at most this often, unless somebody needs it to know … */
const TELL_EVERY_MS = 1000;
/** … or much was applied, or messages came old: then admission depends on it. */
const TELL_SOON_MS = 100;
const TELL_AT_EVENTS = 5_000;
const TELL_AT_AGE_MS = 100;

export interface ProgressDeps {
  /** Tells how many events were applied in all, and how the shard is doing. */
  readonly tellApplied: (applied: number, signs: ShardSigns) => Promise<void>;
  /** How the store is doing. */
  readonly store: () => Omit<ShardSigns, "oldestAgeMs" | "windowsWritten">;
  /** Windows written in the life of this object. */
  readonly windowsWritten: () => number;
  readonly now: () => number;
  readonly later: (work: () => void, delayMs: number) => void;
  readonly report: (what: string, error: unknown) => void;
}

/** Keeps the rate controller told of how many events the shard has taken from the queue, and of how long they waited there. */
export class Progress {
  readonly #tally: Tally;
  readonly #deps: ProgressDeps;
  #toldAt = 0;
  #toldApplied: number;
  #toldWindows = 0;
  #oldestAgeMs = 0;
  #isScheduled = false;

  constructor(tally: Tally, deps: ProgressDeps) {
    this.#tally = tally;
    this.#deps = deps;
    this.#toldApplied = tally.applied;
  }

  /** Messages have come. */
  arrived(messages: readonly IncomingMessage[]): void {
    const now = this.#deps.now();
    for (const { acceptedAt } of messages) {
      if (acceptedAt !== undefined) this.#oldestAgeMs = Math.max(this.#oldestAgeMs, now - acceptedAt);
    }
  }

  /** Tells now if it is time, else a little later, so that who counts what is in flight comes to zero when all is done. */
  async tellNowAndThen(): Promise<void> {
    const isSoon = this.#tally.applied - this.#toldApplied >= TELL_AT_EVENTS || this.#oldestAgeMs >= TELL_AT_AGE_MS;
    if (this.#deps.now() >= this.#toldAt + (isSoon ? TELL_SOON_MS : TELL_EVERY_MS)) await this.tell();
    else this.#tellLater();
  }

  /** Only a convenience: should the object vanish meanwhile, the next idle check tells. */
  #tellLater(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#deps.later(
      () => {
        this.#isScheduled = false;
        if (this.#tally.applied === this.#toldApplied) return;
        this.tell().catch((error: unknown) => this.#deps.report("progress", error));
      },
      this.#toldAt + TELL_EVERY_MS - this.#deps.now(),
    );
  }

  async tell(): Promise<void> {
    const { applied } = this.#tally;
    const windows = this.#deps.windowsWritten();
    const windowsWritten = windows - this.#toldWindows;
    const signs = { oldestAgeMs: this.#oldestAgeMs, windowsWritten, ...this.#deps.store() };
    this.#toldWindows = windows;
    this.#toldAt = this.#deps.now();
    this.#toldApplied = applied;
    this.#oldestAgeMs = 0;
    await this.#deps.tellApplied(applied, signs);
  }
}
