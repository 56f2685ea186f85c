// Who is answerable for each event: from the moment it is offered until it is settled it is here, in exactly one place.
import type { Verdict } from "./answer.ts";
import { EntryQueue } from "./buffer.ts";
import type { Entry, Unsendable } from "./event.ts";
import type { LostEvent, Overflow } from "./options.ts";

/** Callers that may wait at once with BLOCK; the events of further ones are dropped, because nobody there is waiting. */
export const MAX_WAITING = 10_000;

/** Where every event is: `offered` = `delivered + rejected + dropped + waiting + buffered + inFlight`, always. */
export interface Ledger {
  /** Events given to this client, those restored from its store among them. */
  readonly offered: number;
  /** Of `offered`: left in the store by an earlier client. */
  readonly restored: number;
  /** The platform has them. */
  readonly delivered: number;
  /** Refused for good, by the platform or because they are not JSON or too large. */
  readonly rejected: number;
  /** Given up. The platform may still have one whose request got no answer. */
  readonly dropped: number;
  /** Their callers wait for room (BLOCK). */
  readonly waiting: number;
  readonly buffered: number;
  readonly inFlight: number;
}

/** What custody needs to know, and whom it tells. */
export interface CustodyTerms {
  readonly maxBufferedEvents: number;
  readonly maxBufferedBytes: number;
  readonly overflow: Overflow;
  readonly onRejected: (event: LostEvent) => void;
  readonly onDropped: (event: LostEvent) => void;
  /** The entry is in the buffer. */
  readonly onAdmitted: (entry: Entry) => void;
  /** An entry that was in the buffer, or never came in, is settled. */
  readonly onSettled: (entry: Entry) => void;
}

interface Waiter {
  readonly entry: Entry;
  readonly resolve: (id: string | null) => void;
}

/** Holds every event of a client from its offer until it is settled, within the limits, and keeps the ledger. */
export class Custody {
  readonly buffer = new EntryQueue();
  readonly #terms: CustodyTerms;
  readonly #counts = { offered: 0, restored: 0, delivered: 0, rejected: 0, dropped: 0 };
  /** Not settled and not waiting: what counts against the limits. */
  readonly #held = { events: 0, bytes: 0 };
  #waiting: Waiter[] = [];
  #inFlight: readonly Entry[] = [];
  /** Of an earlier client, until all that may be adopted is known. */
  #adopted: Entry[] = [];

  constructor(terms: CustodyTerms) {
    this.#terms = terms;
  }

  get ledger(): Ledger {
    const buffered = this.buffer.length + this.#adopted.length;
    const [waiting, inFlight] = [this.#waiting.length, this.inFlight.length];
    return { ...this.#counts, waiting, buffered, inFlight };
  }

  /** In a request, and not settled. */
  get inFlight(): readonly Entry[] {
    return this.#inFlight.filter(({ settled }) => !settled);
  }

  /** Lowest `seq` of all that is not settled; Infinity when everything is. */
  get oldest(): number {
    const firsts = [this.inFlight[0], this.buffer.first, this.#waiting[0]?.entry];
    return Math.min(...firsts.map((entry) => entry?.seq ?? Infinity));
  }

  /** An event that cannot be sent at all. */
  refuse(event: Unsendable): null {
    this.#counts.offered++;
    this.#counts.rejected++;
    tell(this.#terms.onRejected, { ...event, event: null });
    return null;
  }

  /** Takes an event, or does what the overflow strategy says. @returns its id, or null when it was dropped; a promise while its caller has to wait */
  offer(entry: Entry): string | null | Promise<string | null> {
    this.#counts.offered++;
    if (this.#waiting.length === 0 && this.#hasRoom(1, entry.bytes)) return this.#admit(entry);
    switch (this.#terms.overflow) {
      case "DROP_NEWEST":
        return this.#turnAway(entry, "buffer_full");
      case "DROP_OLDEST":
        return this.#admitInsteadOfOldest(entry);
      case "BLOCK":
        if (this.#waiting.length >= MAX_WAITING) return this.#turnAway(entry, "buffer_full");
        return new Promise((resolve) => this.#waiting.push({ entry, resolve }));
    }
  }

  /** An event that came after the end. */
  offerTooLate(entry: Entry): null {
    this.#counts.offered++;
    return this.#turnAway(entry, "closed");
  }

  /** Takes events of an earlier client, all or none. @returns false when there is no room for them */
  adopt(entries: readonly Entry[]): boolean {
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    if (!this.#hasRoom(entries.length, bytes)) return false;
    for (const entry of entries) this.#hold(entry);
    this.#adopted.push(...entries);
    this.#counts.offered += entries.length;
    this.#counts.restored += entries.length;
    return true;
  }

  /** Puts the adopted events before all that came meanwhile. */
  endAdoption(): void {
    this.buffer.unshift(this.#adopted);
    this.#adopted = [];
  }

  /** Moves events from the front of the buffer into a request. */
  take(maxEvents: number, maxBytes: number): readonly Entry[] {
    this.#inFlight = this.buffer.take(maxEvents, maxBytes);
    return this.#inFlight;
  }

  /** Back to the front of the buffer with what the request did not settle; lets waiting callers in. */
  endRequest(): void {
    this.buffer.unshift(this.inFlight);
    this.#inFlight = [];
    this.#admitWaiting();
  }

  /** A receipt: all delivered but for the verdicts; the unavailable ones stay where they are. */
  settleTaken(entries: readonly Entry[], verdicts: readonly Verdict[]): void {
    const byPlace = new Map(verdicts.map((verdict) => [verdict.index, verdict]));
    for (const [place, entry] of entries.entries()) {
      const verdict = byPlace.get(place);
      if (verdict === undefined) this.#settle(entry, "delivered");
      else if (verdict.reason !== "unavailable") this.reject(entry, verdict.reason, verdict.message);
    }
  }

  reject(entry: Entry, reason: string, message: string): void {
    if (!this.#settle(entry, "rejected")) return;
    tell(this.#terms.onRejected, { id: entry.id, event: entry.text, reason, message });
  }

  /** Events of the buffer were settled where they are. */
  prune(): void {
    this.buffer.prune();
    this.#admitWaiting();
  }

  /** No event will be sent any more. @param isKept the buffer's events stay in a store; otherwise they are dropped */
  end(isKept: boolean): void {
    this.buffer.unshift(this.inFlight);
    this.#inFlight = [];
    for (const { entry, resolve } of this.#waiting) resolve(this.#turnAway(entry, "closed"));
    this.#waiting = [];
    if (isKept) return;
    for (const entry of this.buffer.take(Infinity, Infinity)) this.#drop(entry, "closed");
  }

  #hasRoom(events: number, bytes: number): boolean {
    const { maxBufferedEvents, maxBufferedBytes } = this.#terms;
    return this.#held.events + events <= maxBufferedEvents && this.#held.bytes + bytes <= maxBufferedBytes;
  }

  #admit(entry: Entry): string {
    this.#hold(entry);
    this.buffer.push(entry);
    this.#terms.onAdmitted(entry);
    return entry.id;
  }

  #admitInsteadOfOldest(entry: Entry): string | null {
    while (!this.#hasRoom(1, entry.bytes)) {
      const oldest = this.buffer.shift();
      // Everything held is in flight, and what is in flight cannot be called back.
      if (oldest === undefined) return this.#turnAway(entry, "buffer_full");
      this.#drop(oldest, "buffer_full");
    }
    return this.#admit(entry);
  }

  #admitWaiting(): void {
    let admitted = 0;
    for (const { entry, resolve } of this.#waiting) {
      if (!this.#hasRoom(1, entry.bytes)) break;
      admitted++;
      resolve(this.#admit(entry));
    }
    if (admitted > 0) this.#waiting = this.#waiting.slice(admitted);
  }

  #turnAway(entry: Entry, reason: string): null {
    this.#hold(entry);
    this.#drop(entry, reason);
    return null;
  }

  #hold({ bytes }: Entry): void {
    this.#held.events++;
    this.#held.bytes += bytes;
  }

  #drop(entry: Entry, reason: string): void {
    if (!this.#settle(entry, "dropped")) return;
    const message = reason === "closed" ? "the client is closed" : "the buffer is full";
    tell(this.#terms.onDropped, { id: entry.id, event: entry.text, reason, message });
  }

  /** @returns false when it was settled before: an answer may come after the event was given up, or twice */
  #settle(entry: Entry, fate: "delivered" | "rejected" | "dropped"): boolean {
    if (entry.settled) return false;
    entry.settled = true;
    this.#counts[fate]++;
    this.#held.events--;
    this.#held.bytes -= entry.bytes;
    this.#terms.onSettled(entry);
    return true;
  }
}

/** Calls back on a turn of its own: what a callback throws is the caller's affair, and reaches them as such. */
export function tell<T>(callback: (value: T) => void, value: T): void {
  queueMicrotask(() => callback(value));
}
