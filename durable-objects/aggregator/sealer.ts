import { summarizeSegment } from "../../core/events/segment-summary.ts";
import type { EventBatch } from "../../core/events/event-batch.ts";
import { MAX_MESSAGE_TEXT_BYTES } from "../../core/events/message.ts";
import { inflatedBytes, joinChunks } from "../../storage/chunk.ts";
import { toHex } from "../../storage/d1/base64.ts";
import { type Segment, SegmentConflictError, writeSegments } from "../../storage/d1/segment-store.ts";
import { type ChunkLog, type LogChunk, repackAll } from "./chunk-log.ts";
import { SEGMENT_BYTES, SEGMENT_EVENTS, segmentRanges } from "./segment-cuts.ts";
import type { ShardTables } from "./tables.ts";

/** A segment that is not full is sealed when its oldest event has waited this long. */
export const SEAL_AFTER_MS = 60_000;
/** Runs of smaller chunks are encoded again as one; larger ones go into the segment as they came. */
const SMALL_CHUNK_EVENTS = 200;

/** Whose events a segment holds: part of its key in the store. */
export interface ShardOwner {
  readonly tenant: string;
  readonly shard: number;
  /** One life of the object's storage: sequence numbers begin anew with another. */
  readonly incarnation: string;
}

interface SealState {
  /** Every event before this sequence number is in the store. */
  readonly sealedThrough: number;
  /** Bytes of all segments, before base64. */
  readonly storedBytes: number;
  /** What is being written: retries send exactly this. */
  readonly inFlight: readonly SegmentInFlight[];
}

interface SegmentInFlight {
  /** Sequence numbers of its events: from `from`, inclusive, to `to`, exclusive. */
  readonly from: number;
  readonly to: number;
  readonly hash: string;
  /** Sequence numbers with which its chunks begin, where others lie between them. */
  readonly chunks?: readonly number[];
}

/**
 * Moves the log's end into the event store as segments.
 *
 * Repeatable: the ranges and hashes about to be written are stored first, so a retry after any crash writes the same rows under
 * the same keys, and the store ignores what it already has.
 */
export class Sealer {
  readonly #tables: ShardTables;
  readonly #log: ChunkLog;
  readonly #db: D1Database;
  readonly #owner: ShardOwner;
  #state: SealState;
  #running: Promise<void> | undefined;
  /** Failed tries since the last that succeeded. */
  failures = 0;
  rowsWritten = 0;
  /** How long the store took for the last write that succeeded, ms; null before the first. */
  lastWriteMs: number | null = null;
  segments = 0;

  constructor(tables: ShardTables, log: ChunkLog, db: D1Database, owner: ShardOwner) {
    this.#tables = tables;
    this.#log = log;
    this.#db = db;
    this.#owner = owner;
    this.#state = sealState(tables);
  }

  get storedBytes(): number {
    return this.#state.storedBytes;
  }

  get sealedThrough(): number {
    return this.#state.sealedThrough;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** True when a segment is full, or one was left half written. */
  isDue(): boolean {
    return (
      this.#state.inFlight.length > 0 ||
      this.#log.unsealedEvents >= SEGMENT_EVENTS ||
      this.#log.unsealedBytes >= SEGMENT_BYTES
    );
  }

  /** Seals every full segment, and the rest too when `all`. One run at a time; a second call waits for the first. */
  async seal(all: boolean, nowMs: number): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    this.#running = this.#run(all, nowMs)
      .catch((error: unknown) => {
        this.failures++;
        throw error;
      })
      .finally(() => {
        this.#running = undefined;
      });
    await this.#running;
  }

  async #run(all: boolean, nowMs: number): Promise<void> {
    const until = this.#log.nextSeq;
    const isWanted = (): boolean => this.isDue() || (all && this.#state.sealedThrough < until);
    while (isWanted()) {
      const segments = this.#state.inFlight.length > 0 ? await this.#rebuild() : await this.#next(all);
      if (segments.length === 0) return;
      const through = Math.max(...segments.map(({ seqTo }) => seqTo));
      const startedAt = Date.now();
      try {
        this.rowsWritten += (await writeSegments(this.#db, segments, nowMs)).rowsWritten;
      } catch (error) {
        // An earlier try, by a version of this program that encoded otherwise, got through: what it stored is as good.
        const isReencoded = segments.some(({ hash }, k) => hash !== this.#state.inFlight[k]?.hash);
        if (!(error instanceof SegmentConflictError && isReencoded)) throw error;
      }
      this.failures = 0;
      this.lastWriteMs = Date.now() - startedAt;
      this.segments += segments.length;
      const bytes = segments.reduce((sum, { body }) => sum + body.length, 0);
      this.#save({ sealedThrough: through, storedBytes: this.#state.storedBytes + bytes, inFlight: [] });
      this.#log.sealed(through);
    }
  }

  async #next(all: boolean): Promise<Segment[]> {
    const ranges = segmentRanges(this.#log.chunks, all);
    const segments = await Promise.all(ranges.map((chunks) => this.#build(chunks)));
    const inFlight = segments.map(({ seqFrom, seqTo, hash, events }, k) => ({
      from: seqFrom,
      to: seqTo,
      hash,
      ...(events === seqTo - seqFrom ? {} : { chunks: (ranges[k] ?? []).map(({ seq }) => seq) }),
    }));
    if (segments.length > 0) this.#save({ ...this.#state, inFlight });
    return segments;
  }

  #rebuild(): Promise<Segment[]> {
    return Promise.all(
      this.#state.inFlight.map(({ from, to, chunks }) => {
        const isWanted = ({ seq }: LogChunk): boolean =>
          chunks === undefined ? seq >= from && seq < to : chunks.includes(seq);
        return this.#build(this.#log.chunks.filter(isWanted));
      }),
    );
  }

  async #build(chunks: readonly LogChunk[]): Promise<Segment> {
    const batches = chunks.map((chunk) => this.#log.batch(chunk));
    const bodies: Uint8Array[] = [];
    let small: EventBatch[] = [];
    let inflated = 0;
    const flush = (): void => {
      if (small.length > 0) bodies.push(repackAll(small));
      small = [];
      inflated = 0;
    };
    for (const [k, chunk] of chunks.entries()) {
      const batch = batches[k];
      const body = this.#log.body(chunk);
      if (
        batch === undefined ||
        chunk.events >= SMALL_CHUNK_EVENTS ||
        inflated + inflatedBytes(body) > MAX_MESSAGE_TEXT_BYTES
      )
        flush();
      if (batch === undefined || chunk.events >= SMALL_CHUNK_EVENTS) bodies.push(body);
      else {
        small.push(batch);
        inflated += inflatedBytes(body);
      }
    }
    flush();
    const body = joinChunks(bodies);
    const last = chunks.at(-1);
    const place = { seqFrom: chunks[0]?.seq ?? 0, seqTo: last === undefined ? 0 : last.seq + last.events };
    const hash = toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", body)));
    return { ...this.#owner, ...summarizeSegment(batches), ...place, hash, body };
  }

  #save(state: SealState): void {
    this.#state = state;
    this.#tables.writeMeta("seal", state);
  }
}

function sealState(tables: ShardTables): SealState {
  const saved = tables.readMeta("seal");
  return saved === undefined ? { sealedThrough: 0, storedBytes: 0, inFlight: [] } : (saved as SealState);
}
