import type { RuleWatch } from "../../core/alerts/watch.ts";
import type { RuleBook } from "./rule-book.ts";
import type { Settings } from "./tables.ts";

/** Pause after the first failed call; doubles up to the other. */
const FIRST_RETRY_MS = 5_000;
const MAX_RETRY_MS = 300_000;

/** Keeps the windows' object told of which aggregations have rules, so that it reports their closed windows. */
export class WatchList {
  readonly #settings: Settings;
  readonly #rules: RuleBook;
  readonly #tell: (watches: readonly RuleWatch[]) => Promise<void>;
  #failures = 0;
  #running: Promise<void> | undefined;
  /** Epoch ms by which the list must be told; null when it has been. */
  #dueAt: number | null;

  constructor(settings: Settings, rules: RuleBook, tell: (watches: readonly RuleWatch[]) => Promise<void>) {
    this.#settings = settings;
    this.#rules = rules;
    this.#tell = tell;
    const due = settings.read("watch_due");
    this.#dueAt = typeof due === "number" ? due : null;
  }

  get dueAt(): number | null {
    return this.#dueAt;
  }

  /** A rule was written or deleted. Must be called in the same turn, so that both are kept or neither. @param nowMs epoch ms */
  changed(nowMs: number): void {
    this.#failures = 0;
    this.#setDue(nowMs);
  }

  /** Tells the list if that is due; one call at a time, so that an older list never arrives after a newer one. @throws what telling throws */
  async announce(now: () => number): Promise<void> {
    this.#running ??= this.#run(now).finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async #run(now: () => number): Promise<void> {
    while (this.#dueAt !== null && this.#dueAt <= now()) {
      const told = this.#rules.watches();
      try {
        await this.#tell(told);
      } catch (error) {
        this.#setDue(now() + Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures++));
        throw error;
      }
      // A rule may have changed while this list was on its way.
      if (JSON.stringify(told) === JSON.stringify(this.#rules.watches())) this.#setDue(null);
    }
  }

  #setDue(at: number | null): void {
    this.#dueAt = at;
    this.#settings.write("watch_due", at);
  }
}
