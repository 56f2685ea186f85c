import type { MatchEvent } from "../../core/patterns/match-event.ts";
import { unpackChunk } from "../../storage/chunk.ts";
import type { KeeperTables } from "./tables.ts";

/** Pause after a call that failed, ms. */
const RETRY_AFTER_MS = 2000;

/** What became of events sent in. */
export interface SentAnswer {
  /** Null when every event is on the queue or was refused for good; else the pause in ms before all are sent again. */
  readonly retryAfterMs: number | null;
  /** Why events were refused for good, if any were. */
  readonly refused: readonly string[];
}

export interface MatchSenderDeps {
  /** Sends events the way every producer's go. */
  readonly send: (events: readonly MatchEvent[]) => Promise<SentAnswer>;
  /** For so long, ms, what was sent is kept, to be sent again by the next instance: more than 0 where the queue may forget. */
  readonly keepSentMs: number;
  readonly now: () => number;
  readonly report: (what: string, error: unknown) => void;
}

/** Sends the matches that wait in the outbox, in order. Sent twice they count once, by their ids. */
export class MatchSender {
  readonly #tables: KeeperTables;
  readonly #deps: MatchSenderDeps;
  /** Sent and kept, oldest first. */
  readonly #kept: { readonly seq: number; readonly until: number }[] = [];
  #running: Promise<void> | undefined;
  #retryAt = 0;

  constructor(tables: KeeperTables, deps: MatchSenderDeps) {
    this.#tables = tables;
    this.#deps = deps;
  }

  /** Epoch ms by which to run again, or null when nothing waits and nothing is kept. */
  get dueAt(): number | null {
    if (this.#tables.outgoing === 0) return this.#kept[0]?.until ?? null;
    return Math.max(this.#retryAt, this.#deps.now() + RETRY_AFTER_MS);
  }

  /** Sends what waits, unless the last try failed just now. One run at a time. */
  async run(): Promise<void> {
    this.#forgetKept();
    if (this.#deps.now() < this.#retryAt) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let row = this.#tables.firstOutgoing(); row !== undefined; row = this.#tables.firstOutgoing()) {
      const answer = await this.#send(JSON.parse(unpackChunk(row.body)) as MatchEvent[]);
      for (const reason of answer.refused) this.#deps.report("match refused", reason);
      if (answer.retryAfterMs !== null) {
        this.#retryAt = this.#deps.now() + answer.retryAfterMs;
        return;
      }
      this.#settle(row.seq);
    }
  }

  #settle(seq: number): void {
    const { keepSentMs, now } = this.#deps;
    if (keepSentMs === 0) return this.#tables.dropOutgoing(seq);
    this.#tables.keepSent(seq);
    this.#kept.push({ seq, until: now() + keepSentMs });
  }

  #forgetKept(): void {
    const now = this.#deps.now();
    const over = this.#kept.splice(0, this.#kept.filter(({ until }) => until <= now).length).at(-1);
    if (over !== undefined) this.#tables.dropOutgoing(over.seq);
  }

  async #send(events: readonly MatchEvent[]): Promise<SentAnswer> {
    try {
      return await this.#deps.send(events);
    } catch (error) {
      this.#deps.report("send matches", error);
      return { retryAfterMs: RETRY_AFTER_MS, refused: [] };
    }
  }
}
