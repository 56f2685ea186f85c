import { judgeSilence, type Sighting } from "../../core/windows/silence.ts";
import type { Shard } from "./shard.ts";

/** Pause before asking again whether what was accepted has arrived. */
const RETRY_AFTER_MS = 1000;

export interface SilenceDeps {
  /** Tells the rate controller how far the shard has come. */
  readonly tellProgress: () => Promise<void>;
  /** Events accepted so far, those of open leases that may have been included. */
  readonly accepted: () => Promise<number>;
}

/** Runs idle checks, which close windows of silent sources, unless the silence is ours. */
export class Silence {
  readonly #shard: Shard;
  readonly #deps: SilenceDeps;
  #since: Sighting | null = null;
  #retryAt = 0;

  constructor(shard: Shard, deps: SilenceDeps) {
    this.#shard = shard;
    this.#deps = deps;
  }

  /** Epoch ms of the next check that could close something, or null. */
  get dueAt(): number | null {
    const at = this.#shard.machine.nextTickAt();
    return at === null ? null : Math.max(at, this.#retryAt);
  }

  /**
   * @returns true when silence was believed
   * @throws when the rate controller cannot be asked; the check is due again a little later
   */
  async checkIfDue(nowMs: number): Promise<boolean> {
    if (!this.#couldClose(nowMs)) return false;
    this.#retryAt = nowMs + RETRY_AFTER_MS;
    await this.#deps.tellProgress();
    // What shards have applied counts once it is merged here: until then it may keep a window from closing.
    const { tally, machine } = this.#shard;
    const applied = tally.applied + machine.shards.totals.applied;
    const { asOf, since } = judgeSilence(this.#since, await this.#deps.accepted(), applied, nowMs);
    this.#since = since;
    // While it was asked, events may have come that leave nothing to close.
    if (asOf === null || !this.#couldClose(asOf)) return false;
    this.#shard.tick(asOf, nowMs);
    return true;
  }

  #couldClose(asOf: number): boolean {
    const at = this.#shard.machine.nextTickAt();
    return at !== null && at <= asOf;
  }
}
