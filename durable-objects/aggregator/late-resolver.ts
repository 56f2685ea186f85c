import type { EventBatch } from "../../core/events/event-batch.ts";
import { ALL_EVENTS } from "../../core/events/query.ts";
import { ASSIGNED_HORIZON_MS } from "../../core/windows/deduplicator.ts";
import { joinChunks } from "../../storage/chunk.ts";
import { loadBodies } from "../../storage/d1/segment-reader.ts";
import { findSegments, type StoredSegment } from "../../storage/d1/segment-search.ts";
import { type ChunkLog, repack } from "./chunk-log.ts";
import { readJoined } from "./messages.ts";
import type { ShardOwner } from "./sealer.ts";
import type { ShardTables } from "./tables.ts";

/** Events looked up in one run: more would not fit in memory beside the segments, fewer would read segments again and again. */
const EVENTS_PER_RUN = 20_000;
/** Bodies held at once. */
const BODIES_PER_READ = 16;
const SEGMENTS_PER_SEARCH = 1000;

/** What one run found out. */
export interface Resolved {
  /** Batches of the inbox, each with the rows that are really new. */
  readonly batches: readonly { readonly batch: EventBatch; readonly rows: Uint32Array }[];
  readonly duplicates: number;
  /** Last inbox entry that this run settles. */
  readonly throughEntry: number;
}

/**
 * The slow path: events too old for the remembered ids wait in the inbox until their ids have been looked up in every segment
 * and every unsealed chunk that overlaps their time.
 */
export class LateInbox {
  readonly #tables: ShardTables;
  readonly #db: D1Database;
  readonly #owner: ShardOwner;
  readonly #pending = new Set<string>();

  constructor(tables: ShardTables, db: D1Database, owner: ShardOwner) {
    this.#tables = tables;
    this.#db = db;
    this.#owner = owner;
    for (const { body } of tables.lateEntries(Infinity)) {
      for (const batch of readJoined(body)) for (const id of batch.ids) this.#pending.add(id);
    }
  }

  get size(): number {
    return this.#pending.size;
  }

  has(id: string): boolean {
    return this.#pending.has(id);
  }

  add(batch: EventBatch, rows: Uint32Array): void {
    this.#tables.addLate(rows.length, joinChunks([repack(batch, rows)]));
    for (const row of rows) this.#pending.add(batch.ids[row] ?? "");
  }

  /**
   * Looks up the oldest entries. Changes nothing: the caller commits what it returns and then calls `settle`.
   *
   * The unsealed log is read first and the store after it. An event leaves the log only once the store has it, and no copy of a
   * pending event can enter the log meanwhile, so none is missed in between.
   */
  async resolve(log: ChunkLog): Promise<Resolved | undefined> {
    const entries = this.#tables.lateEntries(EVENTS_PER_RUN);
    const last = entries.at(-1);
    if (last === undefined) return undefined;
    const batches = entries.flatMap(({ body }) => readJoined(body));
    const wanted = new WantedIds(batches);
    for (const chunk of log.chunks) {
      if (wanted.overlaps(chunk.minTimestamp, chunk.maxTimestamp)) wanted.strike(log.batch(chunk).ids);
    }
    await this.#strikeStored(wanted);
    let duplicates = 0;
    const resolved = batches.map((batch) => {
      const rows = Uint32Array.from(Array.from(batch.ids.keys()).filter((row) => wanted.isNew(batch.ids[row] ?? "")));
      duplicates += batch.length - rows.length;
      return { batch, rows };
    });
    return { batches: resolved, duplicates, throughEntry: last.entry };
  }

  settle(resolved: Resolved): void {
    this.#tables.dropLate(resolved.throughEntry);
    for (const { batch } of resolved.batches) for (const id of batch.ids) this.#pending.delete(id);
  }

  async #strikeStored(wanted: WantedIds): Promise<void> {
    const query = { ...ALL_EVENTS, fromMs: wanted.from, toMs: wanted.to + 1 };
    let beyond: StoredSegment | null = null;
    for (;;) {
      const page: StoredSegment[] = await findSegments(this.#db, this.#owner.tenant, {
        query,
        after: null,
        beyond,
        count: SEGMENTS_PER_SEARCH,
      });
      // Of every shard: another may have owned an event's slot when it was stored.
      const segments = page.filter(({ minTimestamp, maxTimestamp }) => wanted.overlaps(minTimestamp, maxTimestamp));
      for (let k = 0; k < segments.length; k += BODIES_PER_READ) {
        for (const body of await loadBodies(this.#db, segments.slice(k, k + BODIES_PER_READ))) {
          for (const batch of readJoined(body)) wanted.strike(batch.ids);
          // Opening a body takes as long as counting a message: live events come in between.
          await scheduler.wait(0);
        }
      }
      beyond = page.at(-1) ?? null;
      if (page.length < SEGMENTS_PER_SEARCH) return;
    }
  }
}

/** Ids being looked up, with the times at which an earlier copy can be stored. */
class WantedIds {
  readonly #unseen = new Set<string>();
  readonly #times: Float64Array;
  readonly #assigned: (readonly [number, number])[] = [];
  readonly from: number;
  readonly to: number;

  constructor(batches: readonly EventBatch[]) {
    const times: number[] = [];
    let from = Infinity;
    for (const batch of batches) {
      for (let row = 0; row < batch.length; row++) {
        this.#unseen.add(batch.ids[row] ?? "");
        const at = batch.timestamps[row] ?? 0;
        times.push(at);
        // The first copy of an event without a time of its own was stored under its own receive time.
        const earliest = batch.isTimestampAssigned(row) ? at - ASSIGNED_HORIZON_MS : at;
        if (batch.isTimestampAssigned(row)) this.#assigned.push([earliest, at]);
        from = Math.min(from, earliest);
      }
    }
    this.#times = Float64Array.from(times).sort();
    this.from = from;
    this.to = this.#times.at(-1) ?? 0;
  }

  /** True when a segment of this range can hold a copy. */
  overlaps(min: number, max: number): boolean {
    let low = 0;
    let high = this.#times.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#times[middle] ?? 0) < min) low = middle + 1;
      else high = middle;
    }
    const next = this.#times[low];
    return (next !== undefined && next <= max) || this.#assigned.some(([from, to]) => from <= max && to >= min);
  }

  strike(ids: Iterable<string>): void {
    for (const id of ids) this.#unseen.delete(id);
  }

  isNew(id: string): boolean {
    return this.#unseen.has(id);
  }
}
