import { ColumnarBuilder, EventBatch } from "../../core/events/event-batch.ts";
import { spanOf } from "../../core/events/span.ts";
import { joinChunks, packChunk, splitChunks, unpackChunk } from "../../storage/chunk.ts";
import type { ChunkHead, LogEntry, LogHead, ShardTables } from "./tables.ts";

/** One packed run of events of the log that is not yet known to be sealed. */
export interface LogChunk extends ChunkHead {
  /** Sequence number of its first event. */
  readonly seq: number;
  readonly entry: number;
  readonly position: number;
  /** Epoch ms when it was logged. */
  readonly at: number;
}

/** What one call kept of one message. `batch` is its decoded form, where that is at hand and the same. */
export interface KeptChunk {
  readonly events: number;
  /** Epoch ms of its oldest and its newest event. */
  readonly minTimestamp: number;
  readonly maxTimestamp: number;
  readonly body: Uint8Array;
  readonly batch?: EventBatch;
}

/** Packed bodies kept in memory for sealing; more are read back from the log. */
const MAX_CACHED_BYTES = 4_000_000;
/** Events kept decoded, so that sealing and tail queries need not decode what was decoded a moment ago. */
const MAX_CACHED_EVENTS = 8000;
/** Log rows stay well under the 2 MB a row may hold. */
const MAX_ROW_BYTES = 1_000_000;

/** The unsealed end of an object's log: what queries read as its tail and what becomes segments. */
export class ChunkLog {
  readonly #tables: ShardTables;
  readonly #chunks: LogChunk[] = [];
  readonly #bodies = new Map<LogChunk, Uint8Array>();
  readonly #batches = new Map<LogChunk, EventBatch>();
  #cachedBytes = 0;
  #cachedEvents = 0;
  #unsealedBytes = 0;
  #unsealedEvents = 0;
  /** Sequence number of the next event. */
  nextSeq: number;
  /** Number of the newest entry ever written. */
  lastEntry: number;

  constructor(tables: ShardTables, nextSeq: number, lastEntry: number) {
    this.#tables = tables;
    this.nextSeq = nextSeq;
    this.lastEntry = lastEntry;
  }

  get unsealedBytes(): number {
    return this.#unsealedBytes;
  }

  get unsealedEvents(): number {
    return this.#unsealedEvents;
  }

  /** Packed bytes held in memory. */
  get cachedBytes(): number {
    return this.#cachedBytes;
  }

  get chunks(): readonly LogChunk[] {
    return this.#chunks;
  }

  /** Epoch ms since when the oldest of it waits, or null when everything is sealed. */
  get oldestUnsealedAt(): number | null {
    return this.#chunks[0]?.at ?? null;
  }

  /** Appends what one call kept. @returns how much that was */
  append(kept: readonly KeptChunk[], kind: "events" | "late", at: number): { events: number; bytes: number } {
    const before = { seq: this.nextSeq, bytes: this.#unsealedBytes };
    let row: KeptChunk[] = [];
    let bytes = 0;
    for (const chunk of kept) {
      if (row.length > 0 && bytes + chunk.body.length > MAX_ROW_BYTES) {
        this.#appendRow(row, kind, at);
        row = [];
        bytes = 0;
      }
      row.push(chunk);
      bytes += chunk.body.length;
    }
    if (row.length > 0) this.#appendRow(row, kind, at);
    return { events: this.nextSeq - before.seq, bytes: this.#unsealedBytes - before.bytes };
  }

  /** Logs an idle check. */
  appendTick(at: number): void {
    this.#tables.appendLog({
      entry: ++this.lastEntry,
      kind: "tick",
      seq: this.nextSeq,
      events: 0,
      at,
      chunks: [],
      body: new Uint8Array(),
    });
  }

  /** Logs what a shard counted, in as many rows as it needs. */
  appendDelta(bytes: Uint8Array, at: number): void {
    for (let from = 0; from < bytes.length; from += MAX_ROW_BYTES) {
      const kind = from + MAX_ROW_BYTES < bytes.length ? "delta_part" : "delta";
      const body = bytes.subarray(from, from + MAX_ROW_BYTES);
      this.#tables.appendLog({ entry: ++this.lastEntry, kind, seq: this.nextSeq, events: 0, at, chunks: [], body });
    }
  }

  /** Takes up a log row after a restart. Chunks before `sealedThrough` are sealed already. */
  recover(entry: LogHead, chunks: readonly ChunkHead[], sealedThrough: number): void {
    this.nextSeq = entry.seq;
    this.lastEntry = entry.entry;
    for (const [position, chunk] of chunks.entries()) this.#note(entry, position, chunk);
    this.sealed(sealedThrough);
  }

  /** The heads of an entry's chunks, from its body where they were not kept. */
  headsOf({ entry, chunks }: LogHead): readonly ChunkHead[] {
    if (chunks !== undefined) return chunks;
    const bodies = splitChunks(this.#tables.logBody(entry) ?? new Uint8Array());
    return bodies.map((body) => headOf(EventBatch.fromText(unpackChunk(body)), body.length));
  }

  body(chunk: LogChunk): Uint8Array {
    const cached = this.#bodies.get(chunk);
    if (cached !== undefined) return cached;
    const row = this.#tables.logBody(chunk.entry);
    const body = row === undefined ? undefined : splitChunks(row)[chunk.position];
    if (body === undefined) throw new Error(`log entry ${chunk.entry} lost chunk ${chunk.position}`);
    return body;
  }

  batch(chunk: LogChunk): EventBatch {
    const cached = this.#batches.get(chunk);
    if (cached !== undefined) return cached;
    return EventBatch.fromText(unpackChunk(this.body(chunk)));
  }

  /** Forgets chunks before `seq`. */
  sealed(seq: number): void {
    let count = 0;
    for (const chunk of this.#chunks) {
      if (chunk.seq >= seq) break;
      count++;
      this.#unsealedBytes -= chunk.bytes;
      this.#unsealedEvents -= chunk.events;
      if (this.#bodies.delete(chunk)) this.#cachedBytes -= chunk.bytes;
      if (this.#batches.delete(chunk)) this.#cachedEvents -= chunk.events;
    }
    this.#chunks.splice(0, count);
  }

  /** The newest log entry all of whose events are sealed. */
  get sealedEntry(): number {
    const first = this.#chunks[0];
    return first === undefined ? this.lastEntry : first.entry - 1;
  }

  #appendRow(row: readonly KeptChunk[], kind: "events" | "late", at: number): void {
    const events = row.reduce((sum, chunk) => sum + chunk.events, 0);
    const entry = ++this.lastEntry;
    const body = joinChunks(row.map((chunk) => chunk.body));
    const chunks = row.map((chunk) => ({ ...chunk, bytes: chunk.body.length }));
    this.#tables.appendLog({ entry, kind, seq: this.nextSeq, events, at, chunks, body });
    for (const [position, chunk] of chunks.entries()) this.#cache(this.#note({ entry, at }, position, chunk), chunk);
  }

  #note(
    { entry, at }: Pick<LogEntry, "entry" | "at">,
    position: number,
    { events, bytes, minTimestamp, maxTimestamp }: ChunkHead,
  ): LogChunk {
    const chunk = { seq: this.nextSeq, events, bytes, minTimestamp, maxTimestamp, entry, position, at };
    this.#chunks.push(chunk);
    this.nextSeq += events;
    this.#unsealedBytes += bytes;
    this.#unsealedEvents += events;
    return chunk;
  }

  #cache(chunk: LogChunk, { body, batch }: KeptChunk): void {
    if (this.#cachedBytes + chunk.bytes <= MAX_CACHED_BYTES) {
      this.#bodies.set(chunk, body);
      this.#cachedBytes += chunk.bytes;
    }
    if (batch !== undefined && this.#cachedEvents + chunk.events <= MAX_CACHED_EVENTS) {
      this.#batches.set(chunk, batch);
      this.#cachedEvents += chunk.events;
    }
  }
}

/** What to keep of a chunk that was opened anyway. */
export function headOf(batch: EventBatch, bytes: number): ChunkHead {
  return { events: batch.length, bytes, ...spanOf(batch.timestamps) };
}

/** The rows of a batch as a chunk of their own. */
export function repack(batch: EventBatch, rows: Uint32Array): Uint8Array {
  return packChunk(batch.select(rows));
}

/** Several batches as one chunk. */
export function repackAll(batches: readonly EventBatch[]): Uint8Array {
  const builder = new ColumnarBuilder();
  for (const batch of batches) {
    for (let row = 0; row < batch.length; row++) builder.add(batch.event(row));
  }
  return packChunk(builder.toText());
}
