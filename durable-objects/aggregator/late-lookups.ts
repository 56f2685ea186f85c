import type { Shard } from "./shard.ts";

/** Events waiting for their look-up before calls wait for it too. */
const MAX_PENDING_LATE = 50_000;
/** Late events that come within this time are looked up together. */
const GATHER_MS = 100;
/** The alarm makes up for a look-up that an eviction cut off. */
const RESUME_AFTER_MS = 1000;
/** Pause after a failed look-up, doubled with each further one: a try reads the whole unsealed log before it asks the store. */
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;

/** Looks up late events and has what is new counted: one run at a time, again later when the store does not answer. */
export class LateLookups {
  readonly #shard: Shard;
  readonly #now: () => number;
  readonly #onAdmitted: () => void;
  #running: Promise<void> | undefined;
  #isGathering = false;
  /** Calls that wait for room. */
  readonly #waiting: (() => void)[] = [];
  #failures = 0;
  #retryAt: number | null = null;

  constructor(shard: Shard, now: () => number, onAdmitted: () => void) {
    this.#shard = shard;
    this.#now = now;
    this.#onAdmitted = onAdmitted;
  }

  /** Epoch ms, or null when nothing waits. */
  get dueAt(): number | null {
    if (this.#shard.late.size === 0) return null;
    return Math.max(this.#now() + RESUME_AFTER_MS, this.#retryAt ?? 0);
  }

  /** True while nothing more can be taken because the store does not answer: no fault of what is offered. */
  get isStuck(): boolean {
    return this.#isFull && this.#retryAt !== null;
  }

  /** Waits until the inbox can take more. @throws when look-ups fail */
  async makeRoom(): Promise<void> {
    while (this.#isFull) {
      if (!this.#mayTry) throw new Error(`${this.#shard.late.size} late events wait for the event store`);
      const running = this.run();
      // Somebody else hears of it when it fails after there is room.
      running.catch(() => undefined);
      await Promise.race([running, this.#nextAdmitted()]);
    }
  }

  /** Looks up what has come in the next moments together: each look-up reads every segment of the time in question. */
  async runSoon(): Promise<void> {
    if (this.#shard.late.size === 0 || this.#isGathering) return;
    this.#isGathering = true;
    await scheduler.wait(GATHER_MS);
    this.#isGathering = false;
    await this.runIfDue();
  }

  async runIfDue(): Promise<void> {
    if (this.#shard.late.size > 0 && this.#mayTry) await this.run();
  }

  /** Looks up everything that waits. @throws when the store cannot be asked */
  async run(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  #nextAdmitted(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  get #isFull(): boolean {
    return this.#shard.late.size > MAX_PENDING_LATE;
  }

  get #mayTry(): boolean {
    return this.#retryAt === null || this.#now() >= this.#retryAt;
  }

  async #run(): Promise<void> {
    const { late, log } = this.#shard;
    try {
      while (late.size > 0) {
        const resolved = await late.resolve(log);
        if (resolved === undefined) break;
        this.#shard.admit(resolved, this.#now());
        this.#onAdmitted();
        for (const wake of this.#waiting.splice(0)) wake();
      }
      this.#failures = 0;
      this.#retryAt = null;
    } catch (error) {
      this.#retryAt = this.#now() + Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures++);
      throw error;
    }
  }
}
