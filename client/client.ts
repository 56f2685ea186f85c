import type { Answer } from "./answer.ts";
import { Custody, tell } from "./custody.ts";
import type { Ledger } from "./custody.ts";
import { makeEntry } from "./event.ts";
import type { Entry, EventInput } from "./event.ts";
import { Flushes } from "./flushes.ts";
import { Journal } from "./journal.ts";
import { withDefaults } from "./options.ts";
import type { ClientOptions, Settings } from "./options.ts";
import { watchPage } from "./page.ts";
import { Patience } from "./patience.ts";
import { MAX_KEEPALIVE_BYTES, Transport } from "./transport.ts";

const CLOSE_TIMEOUT_MS = 5000;
/** Bytes of a body around and between its events, at most, per event. */
const FRAME_BYTES = 14;

/** Sends events to a platform. Nothing here throws or rejects. */
export interface Client {
  /**
   * Takes one event.
   * @returns its id once it is in the buffer; null when it was rejected or dropped at once (the callbacks say why)
   */
  track(event: EventInput): Promise<string | null>;
  /** Takes events in order; with BLOCK each waits for room in its turn. @returns an id or null for each */
  send(events: readonly EventInput[]): Promise<(string | null)[]>;
  /**
   * Sends what was taken so far without waiting for more.
   * @param timeoutMs how long to wait; for ever when absent
   * @returns true once all of it is settled, false when the time is over (it goes on being sent)
   */
  flush(timeoutMs?: number): Promise<boolean>;
  /**
   * Takes no more events, flushes for at most `timeoutMs` (default 5,000) and stops. What is left stays in the store for
   * the next client, or is dropped without one.
   */
  close(timeoutMs?: number): Promise<Ledger>;
  /** As of now. */
  readonly ledger: Ledger;
}

/** @throws RangeError for a setting out of its range, TypeError for a URL that is not one */
export function createClient(options: ClientOptions): Client {
  return new Producer(withDefaults(options));
}

/** One request at a time, so that events arrive in the order they were taken. */
class Producer implements Client {
  readonly #settings: Settings;
  readonly #transport: Transport;
  readonly #journal: Journal | null;
  readonly #custody: Custody;
  readonly #flushes: Flushes;
  readonly #patience: Patience;
  readonly #stopWatching: () => void;
  #state: "open" | "closing" | "closed" = "open";
  /** Nothing is sent before: what an earlier client left goes first. */
  #isLoaded = false;
  #closing: Promise<Ledger> | null = null;
  #isPumping = false;
  #lastSeq = 0;
  /** Events up to this one need not wait for others. */
  #dueThrough = 0;
  #batchTimer: unknown = null;
  #batchBytes: number;
  /** The request made when the page was hidden, while it lasts. */
  #farewell: Promise<void> | null = null;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#batchBytes = settings.maxBatchBytes;
    this.#transport = new Transport(settings);
    this.#flushes = new Flushes(settings.clock);
    this.#patience = new Patience(settings);
    this.#journal = openJournal(settings);
    this.#custody = new Custody({
      ...settings,
      onAdmitted: (entry) => {
        this.#journal?.add(entry);
        this.#wake();
      },
      onSettled: (entry) => this.#journal?.forget(entry),
    });
    this.#stopWatching = watchPage(() => this.#onPageHidden());
    void this.#load();
  }

  get ledger(): Ledger {
    return this.#custody.ledger;
  }

  async track(event: EventInput): Promise<string | null> {
    return await this.#offer(event);
  }

  async send(events: readonly EventInput[]): Promise<(string | null)[]> {
    const ids: (string | null)[] = [];
    for (const event of events) {
      const taken = this.#offer(event);
      // Waiting only where there is something to wait for lets all others in at once: the page may be about to go.
      ids.push(taken instanceof Promise ? await taken : taken);
    }
    return ids;
  }

  async flush(timeoutMs?: number): Promise<boolean> {
    const through = this.#lastSeq;
    this.#dueThrough = through;
    this.#wake();
    if (this.#state === "closed") return this.#custody.oldest > through;
    const settled = this.#flushes.wait(through, timeoutMs);
    this.#endFlushes();
    return await settled;
  }

  close(timeoutMs = CLOSE_TIMEOUT_MS): Promise<Ledger> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  #offer(event: EventInput): string | null | Promise<string | null> {
    const entry = makeEntry(event, this.#lastSeq + 1, this.#settings.clock.now());
    if ("reason" in entry) return this.#custody.refuse(entry);
    this.#lastSeq++;
    return this.#state === "open" ? this.#custody.offer(entry) : this.#custody.offerTooLate(entry);
  }

  #isDue(): boolean {
    const { first, length, bytes } = this.#custody.buffer;
    if (first === undefined || this.#state === "closed") return false;
    return first.seq <= this.#dueThrough || length >= this.#settings.maxBatchEvents || bytes >= this.#batchBytes;
  }

  /** Starts sending when something is due, the wait for more events when something is there. */
  #wake(): void {
    if (this.#isPumping || !this.#isLoaded || this.#state === "closed") return;
    if (this.#isDue()) {
      this.#isPumping = true;
      void this.#pump();
    } else if (this.#custody.buffer.length > 0 && this.#batchTimer === null) {
      const { clock, maxWaitMs } = this.#settings;
      this.#batchTimer = clock.setTimeout(() => this.#endWait(), maxWaitMs);
    }
  }

  #endWait(): void {
    this.#batchTimer = null;
    this.#dueThrough = this.#lastSeq;
    this.#wake();
  }

  async #pump(): Promise<void> {
    // Everything of this turn of the event loop travels together.
    await Promise.resolve();
    while (this.#isDue()) {
      if (this.#farewell === null) await this.#sendBatch();
      else await this.#farewell;
    }
    this.#isPumping = false;
    this.#wake();
  }

  async #sendBatch(): Promise<void> {
    const batch = this.#custody.take(this.#settings.maxBatchEvents, this.#batchBytes);
    this.#dueThrough = Math.max(this.#dueThrough, batch.at(-1)?.seq ?? 0);
    const answer = await this.#transport.post(batch);
    if (this.#state === "closed") return;
    const pauseMs = this.#read(answer, batch);
    this.#custody.endRequest();
    this.#endFlushes();
    if (pauseMs > 0) await this.#patience.pause(pauseMs);
  }

  /** Settles what the answer settles. @returns how long to wait before the next request, ms */
  #read(answer: Answer, entries: readonly Entry[]): number {
    switch (answer.kind) {
      case "taken": {
        this.#custody.settleTaken(entries, answer.verdicts);
        const unavailable = answer.verdicts.filter(({ reason }) => reason === "unavailable").length;
        if (unavailable > 0) {
          const message = `${unavailable} events could not be queued`;
          return this.#patience.afterFailure(200, message, answer.retryAfterSeconds);
        }
        this.#patience.forget();
        return 0;
      }
      case "again":
        return this.#patience.afterFailure(answer.status, answer.message, answer.retryAfterSeconds);
      case "blocked":
        return this.#patience.whenBlocked(answer.status, answer.message);
      case "too_large":
        this.#halve(entries, answer.message);
        return 0;
      case "refused":
        for (const entry of entries) this.#custody.reject(entry, answer.reason, answer.message);
        return 0;
    }
  }

  /** For good: whatever limits the size of a request does not go away. */
  #halve(entries: readonly Entry[], message: string): void {
    const [only, ...others] = entries;
    if (only !== undefined && others.length === 0) this.#custody.reject(only, "too_large", message);
    else this.#batchBytes = Math.floor(entries.reduce((sum, { bytes }) => sum + bytes, 0) / 2);
  }

  /**
   * Sends what fits into a request that outlives the page, first what is in flight: the browser may cut that off. If both
   * arrive, the ids make it one. The wait that the platform asked for holds here too.
   */
  #onPageHidden(): void {
    if (this.#farewell !== null || this.#patience.isAskedToWait) return;
    let room = Math.min(MAX_KEEPALIVE_BYTES, this.#batchBytes);
    const { buffer, inFlight } = this.#custody;
    const entries: Entry[] = [];
    for (const entry of [...inFlight, ...buffer.peek(this.#settings.maxBatchEvents, room)]) {
      room -= entry.bytes + FRAME_BYTES;
      if (room < 0) break;
      entries.push(entry);
    }
    if (entries.length > 0) this.#farewell = this.#sayFarewell(entries);
  }

  /** Only a receipt counts here: everything else is left to the next ordinary request, after the wait it asks for. */
  async #sayFarewell(entries: readonly Entry[]): Promise<void> {
    const answer = await this.#transport.post(entries, true);
    if (this.#state === "closed") return;
    if (answer.kind === "taken") {
      this.#custody.settleTaken(entries, answer.verdicts);
      this.#custody.prune();
      this.#endFlushes();
    } else if (answer.kind === "again") {
      const { status, message, retryAfterSeconds } = answer;
      await this.#patience.pause(this.#patience.afterFailure(status, message, retryAfterSeconds));
    }
    this.#farewell = null;
  }

  async #load(): Promise<void> {
    await this.#journal?.load((entries) => this.#state !== "closed" && this.#custody.adopt(entries));
    this.#custody.endAdoption();
    this.#isLoaded = true;
    this.#endFlushes();
    this.#wake();
  }

  async #close(timeoutMs: number): Promise<Ledger> {
    this.#state = "closing";
    await this.flush(timeoutMs);
    this.#state = "closed";
    this.#stopWatching();
    this.#settings.clock.clearTimeout(this.#batchTimer);
    this.#custody.end(this.#journal !== null);
    this.#transport.abort();
    this.#patience.endAll();
    this.#flushes.giveUp();
    await this.#journal?.idle();
    return this.ledger;
  }

  #endFlushes(): void {
    if (this.#isLoaded) this.#flushes.settle(this.#custody.oldest);
  }
}

function openJournal({ store, clock, onTrouble }: Settings): Journal | null {
  if (store === null) return null;
  const onFailure = (message: string): void =>
    tell(onTrouble, { kind: "store", status: null, message, retryInMs: null });
  return new Journal({ store, now: () => clock.now(), onFailure });
}
