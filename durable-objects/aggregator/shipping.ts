import type { MergeAnswer } from "../../core/windows/delta-terms.ts";
import { packDelta } from "./delta-log.ts";
import type { Shard } from "./shard.ts";

/** What is counted waits this long for more, unless it is a lot. */
const SHIP_AFTER_MS = 100;
/** Totals alone, with no event, can wait longer: each delta is a row at home. */
const TELL_TOTALS_AFTER_MS = 1000;
/** The alarm makes up for deltas that an eviction cut off; setting it is a row written, so not for every one of them. */
const RESUME_AFTER_MS = 10_000;
/** Pause after a failed try, doubled with each further one; longer ones end with the alarm. */
const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 30_000;
/** Answers in a row that bring nothing forward: one tells the definitions, another how far home is. */
const MAX_IDLE_ANSWERS = 4;

export interface ShippingDeps {
  /** Has home merge a packed delta. */
  readonly merge: (delta: Uint8Array) => Promise<MergeAnswer>;
  readonly now: () => number;
  readonly later: (work: () => void, delayMs: number) => void;
  readonly background: (what: string, work: Promise<unknown>) => void;
}

/** Sends home what a shard counts, one delta at a time, until home has merged everything. Home itself has nothing to send. */
export class Shipping {
  readonly #shard: Shard;
  readonly #deps: ShippingDeps;
  #running: Promise<void> | undefined;
  #isScheduled = false;
  #failures = 0;
  #retryAt = 0;

  constructor(shard: Shard, deps: ShippingDeps) {
    this.#shard = shard;
    this.#deps = deps;
  }

  /** Epoch ms, or null when home knows everything. */
  get dueAt(): number | null {
    if (this.#shard.outbox?.hasNews !== true) return null;
    return Math.max(this.#deps.now() + RESUME_AFTER_MS, this.#retryAt);
  }

  /** Something was counted: it is sent at once when it is a lot, else with what comes in the next moments. */
  noteCounted(): void {
    const { outbox } = this.#shard;
    if (outbox === undefined || this.#deps.now() < this.#retryAt || this.#running !== undefined || !outbox.hasNews)
      return;
    if (outbox.isFull) this.#deps.background("ship", this.runIfDue());
    else if (!this.#isScheduled) this.#schedule(outbox.waiting > 0 ? SHIP_AFTER_MS : TELL_TOTALS_AFTER_MS);
  }

  async runIfDue(): Promise<void> {
    if (this.#deps.now() >= this.#retryAt) await this.run();
  }

  /** Sends until home has merged everything that was counted by now. @throws what home threw, or Error when it does not go on */
  async run(): Promise<void> {
    const { outbox } = this.#shard;
    const goal = outbox?.end ?? 0;
    const isBehind = (): boolean => outbox !== undefined && outbox.confirmed < goal;
    do {
      this.#running ??= this.#run(goal).finally(() => {
        this.#running = undefined;
        this.noteCounted();
      });
      await this.#running;
    } while (isBehind());
  }

  #schedule(afterMs: number): void {
    this.#isScheduled = true;
    this.#deps.later(() => {
      this.#isScheduled = false;
      if (this.#running === undefined) this.#deps.background("ship", this.runIfDue());
    }, afterMs);
  }

  async #run(goal: number): Promise<void> {
    const { outbox } = this.#shard;
    if (outbox === undefined) return;
    let idleAnswers = 0;
    const isWanted = (): boolean =>
      outbox.hasNews && (outbox.confirmed < goal || outbox.isFull || outbox.waiting === 0);
    try {
      while (isWanted()) {
        const before = outbox.confirmed;
        outbox.settle(await this.#deps.merge(packDelta(outbox.take(this.#shard.readLog).bytes)));
        idleAnswers = outbox.confirmed > before ? 0 : idleAnswers + 1;
        if (idleAnswers > MAX_IDLE_ANSWERS) throw new Error(`home stays at ${outbox.confirmed}`);
      }
      this.#failures = 0;
      this.#retryAt = 0;
    } catch (error) {
      const pauseMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures++);
      this.#retryAt = this.#deps.now() + pauseMs;
      if (!this.#isScheduled && pauseMs < RESUME_AFTER_MS) this.#schedule(pauseMs);
      throw error;
    }
  }
}
