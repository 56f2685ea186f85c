import type { CircuitState } from "../../core/streams/circuit-breaker.ts";
import { SEAL_AFTER_MS } from "./sealer.ts";
import type { Shard } from "./shard.ts";

/** Beyond this the log of an object that cannot seal stops growing: ingest answers 503 (DESIGN.md, sealing). */
export const MAX_LOG_BYTES = 1_000_000_000;
/** Nor does the log of a shard whose counts home has not merged: at some 60 bytes an event, about as much. */
export const MAX_UNMERGED_EVENTS = 15_000_000;
/** Pause after a failed try, times the failures in a row, at most a minute. */
const RETRY_MS = 5000;
const MAX_RETRY_MS = 60_000;
/** Pause before ingest is told once more to stop or go on. */
const TELL_AGAIN_AFTER_MS = 1000;
/** Once nothing has come for this long, a remainder worth a segment of its own is sealed without waiting further. */
const QUIET_MS = 500;
const QUIET_SEAL_EVENTS = 250;

export interface SealingDeps {
  /** Has ingest refuse for this reason, or go on again. */
  readonly setStopped: (reason: string | null) => Promise<void>;
  readonly now: () => number;
  readonly background: (what: string, work: Promise<unknown>) => void;
  readonly report: (what: string, error: unknown) => void;
}

/** Decides when to seal, tries again after failures, and has ingest stop while the log cannot be drained. */
export class Sealing {
  readonly #shard: Shard;
  readonly #deps: SealingDeps;
  #retryAt: number | null = null;
  /** Whether ingest was told to refuse. On disk as well: a restart must know to take it back. */
  #isStopped: boolean;
  #quietTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(shard: Shard, deps: SealingDeps) {
    this.#shard = shard;
    this.#deps = deps;
    this.#isStopped = shard.tables.readMeta("stopped") === true;
  }

  /**
   * One write is under way at a time, and after a failure a single one after a growing pause finds out whether the store
   * works again: a circuit breaker without a window, since nothing else is tried meanwhile.
   */
  get circuit(): CircuitState {
    if (this.#retryAt === null) return "closed";
    return this.#deps.now() < this.#retryAt ? "open" : "half_open";
  }

  /** Epoch ms, or null when nothing waits. */
  get dueAt(): number | null {
    if (this.#mustStop !== this.#isStopped) return this.#deps.now() + TELL_AGAIN_AFTER_MS;
    const { oldestUnsealedAt } = this.#shard.log;
    if (oldestUnsealedAt === null) return null;
    if (this.#retryAt !== null && this.#shard.sealer.isDue()) return this.#retryAt;
    return Math.max(oldestUnsealedAt + SEAL_AFTER_MS, this.#retryAt ?? 0);
  }

  /** Events were logged: seals full segments in the background, and the remainder once nothing more comes. */
  noteLogged(): void {
    const { sealer, log } = this.#shard;
    // A run that goes on takes full segments along that were added meanwhile.
    if (sealer.isDue() && !sealer.isRunning) this.#deps.background("seal", this.sealIfDue());
    if (log.unsealedEvents >= QUIET_SEAL_EVENTS) this.#sealWhenQuiet();
  }

  /** Seals what has to be; a failure is reported and tried again later. @throws when ingest cannot be told to stop or go on */
  async sealIfDue(isQuiet = false): Promise<void> {
    const now = this.#deps.now();
    const { log, sealer } = this.#shard;
    const isOld = log.oldestUnsealedAt !== null && now >= log.oldestUnsealedAt + SEAL_AFTER_MS;
    const isAll = isOld || (isQuiet && log.unsealedEvents >= QUIET_SEAL_EVENTS);
    const mayTry = this.#retryAt === null || now >= this.#retryAt;
    if (mayTry && (isAll || sealer.isDue())) {
      await this.#seal(isAll, now).catch((error: unknown) => this.#deps.report("seal", error));
    }
    await this.#stopOrGoOn();
  }

  /** Seals everything. @throws when that fails */
  async sealAll(): Promise<void> {
    await this.#seal(true, this.#deps.now());
    await this.#stopOrGoOn();
  }

  async #seal(isAll: boolean, now: number): Promise<void> {
    const { sealer } = this.#shard;
    try {
      await sealer.seal(isAll, now);
      this.#retryAt = null;
    } catch (error) {
      this.#retryAt = this.#deps.now() + Math.min(MAX_RETRY_MS, RETRY_MS * sealer.failures);
      throw error;
    }
    this.#shard.trim();
  }

  /** Only a convenience for who reads the store: should the object vanish meanwhile, the alarm seals. */
  #sealWhenQuiet(): void {
    clearTimeout(this.#quietTimer);
    this.#quietTimer = setTimeout(() => this.#deps.background("seal", this.sealIfDue(true)), QUIET_MS);
  }

  get #mustStop(): boolean {
    return this.#reason !== null;
  }

  get #reason(): string | null {
    const { log, sealer, outbox } = this.#shard;
    if (log.unsealedBytes > MAX_LOG_BYTES && sealer.failures > 0) return "the event store is full or away";
    return (outbox?.waiting ?? 0) > MAX_UNMERGED_EVENTS ? "what shards count is not merged" : null;
  }

  async #stopOrGoOn(): Promise<void> {
    const mustStop = this.#mustStop;
    if (mustStop === this.#isStopped) return;
    if (mustStop) this.#shard.tables.writeMeta("stopped", true);
    await this.#deps.setStopped(this.#reason);
    if (!mustStop) this.#shard.tables.writeMeta("stopped", false);
    this.#isStopped = mustStop;
  }
}
