import type { EventBatch } from "../events/event-batch.ts";
import { DeltaBuilder, MAX_DELTA_EVENTS } from "./delta-builder.ts";
import { type DeltaTerms, type MergeAnswer, termsOf, watermarkMap } from "./delta-terms.ts";
import { encodeDelta } from "./delta.ts";
import { isMore, NOTHING_DONE, type ShardTotals } from "./shard-cursors.ts";

/** Finished deltas that wait in memory. What comes beyond them is counted later, from the log. */
const MAX_READY = 4;
/** A call may carry 32 MB; a delta that turns out larger than this is cut in two. */
const MAX_DELTA_BYTES = 8_000_000;

/** Events of a log, in order: from the one with this sequence number on. */
export type ReadLog = (fromSeq: number) => Iterable<{ readonly batch: EventBatch; readonly rows: Uint32Array }>;

/** Whose log it is, and what the shard has done so far. */
export interface OutboxOwner {
  readonly shard: number;
  readonly incarnation: string;
  readonly totals: () => ShardTotals;
}

/** A delta on its way. */
export interface Parcel {
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * What home has not merged yet of a shard's log, as deltas.
 *
 * Events are counted as they come, so that as a rule nothing is read back. But everything here can be made again from the log, and
 * is, after a restart, when home's definitions have changed, or when home is slower than the shard.
 */
export class DeltaOutbox {
  readonly #owner: OutboxOwner;
  #terms: DeltaTerms | undefined;
  /** Every event before this sequence number is merged at home, by what home said last. */
  #confirmed: number;
  #end: number;
  /** Finished, each beginning where the one before it ends. */
  #ready: Parcel[] = [];
  /** Counts what comes; undefined while what came before has still to be counted from the log. */
  #open: DeltaBuilder | undefined;
  #maxEvents = MAX_DELTA_EVENTS;
  /** What home knows of what the shard has done. */
  #told = NOTHING_DONE;

  /** @param confirmed as far as is known: home's answer corrects it */
  constructor(owner: OutboxOwner, confirmed: number) {
    this.#owner = owner;
    this.#confirmed = confirmed;
    this.#end = confirmed;
  }

  /** The log has been read back. @param end sequence number of the next event to come */
  resume(end: number): void {
    this.#end = end;
  }

  /** What the log may forget, as far as home is concerned. */
  get confirmed(): number {
    return this.#confirmed;
  }

  /** Sequence number of the next event to come. */
  get end(): number {
    return this.#end;
  }

  /** Events home has not merged yet. */
  get waiting(): number {
    return this.#end - this.#confirmed;
  }

  /** True when enough waits to be sent at once. */
  get isFull(): boolean {
    return this.#ready.length > 0 || this.waiting >= MAX_DELTA_EVENTS;
  }

  /** True when home does not know what the shard has done, though it may have merged every event. */
  get hasNews(): boolean {
    return this.waiting > 0 || isMore(this.#owner.totals(), this.#told);
  }

  /** Counts rows that were just logged or will be in the same change. */
  note(batch: EventBatch, rows: Uint32Array): void {
    if (this.#terms !== undefined && this.#open === undefined && this.#end === this.#nextFrom)
      this.#open = new DeltaBuilder(this.#terms, this.#end);
    this.#end += rows.length;
    this.#open?.add(batch, rows);
    if (this.#open?.isFull === true) this.#close();
  }

  /** The delta to send next; the same again until it is settled. One without events tells the totals, and asks for the terms. */
  take(readLog: ReadLog): Parcel {
    if (this.#ready.length === 0 && this.#open !== undefined && this.#open.to > this.#open.from) this.#close();
    const [first] = this.#ready;
    if (first !== undefined) return first;
    const parcel = this.#terms === undefined ? this.#greeting() : this.#fromLog(this.#terms, readLog);
    this.#ready = [parcel];
    return parcel;
  }

  /**
   * Takes home's answer to what `take` gave.
   * @throws RangeError when home has merged events that this log never held: then one of the two has lost what it had written
   */
  settle(answer: MergeAnswer): void {
    const { cursor, totals, definitions, watermarks } = answer;
    if (cursor > this.#end) throw new RangeError(`home has merged through ${cursor}, and the log ends at ${this.#end}`);
    if (definitions !== null) this.#terms = termsOf(answer.epoch, definitions, watermarks);
    else if (this.#terms !== undefined) this.#terms = { ...this.#terms, watermarks: watermarkMap(watermarks) };
    const sent = this.#ready.shift();
    this.#confirmed = cursor;
    // Not those that were sent: home may have had the events before, from a delta with older totals that was taken for lost.
    this.#told = totals;
    if (definitions !== null || sent?.to !== cursor) this.#startOver();
  }

  /** Where the next delta begins that is not ready yet. */
  get #nextFrom(): number {
    return this.#ready.at(-1)?.to ?? this.#confirmed;
  }

  #startOver(): void {
    this.#ready = [];
    this.#open = undefined;
  }

  #close(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined || this.#ready.length >= MAX_READY) return;
    const parcel = this.#pack(open);
    if (parcel.bytes.length <= MAX_DELTA_BYTES) this.#ready.push(parcel);
  }

  #pack(builder: DeltaBuilder): Parcel {
    const totals = this.#owner.totals();
    // What lies behind it in the log has been applied, but home does not have it yet.
    const applied = Math.max(0, totals.applied - (this.#end - builder.to));
    const { shard, incarnation } = this.#owner;
    const bytes = encodeDelta(builder.delta({ shard, incarnation, totals: { ...totals, applied } }));
    return { from: builder.from, to: builder.to, bytes };
  }

  #greeting(): Parcel {
    return this.#pack(new DeltaBuilder({ epoch: "", plans: [], watermarks: new Map() }, this.#confirmed));
  }

  #fromLog(terms: DeltaTerms, readLog: ReadLog): Parcel {
    const builder = new DeltaBuilder(terms, this.#confirmed);
    for (const { batch, rows } of readLog(this.#confirmed)) {
      builder.add(batch, rows.subarray(0, this.#maxEvents - (builder.to - builder.from)));
      if (builder.isFull || builder.to - builder.from >= this.#maxEvents) break;
    }
    const parcel = this.#pack(builder);
    if (parcel.bytes.length > MAX_DELTA_BYTES && this.#maxEvents > 1) {
      this.#maxEvents = Math.ceil(Math.min(this.#maxEvents, parcel.to - parcel.from) / 2);
      return this.#fromLog(terms, readLog);
    }
    this.#maxEvents = MAX_DELTA_EVENTS;
    return parcel;
  }
}
