import type { EventBatch } from "../../core/events/event-batch.ts";
import { type FeedCounts, gather, type GatheredRows } from "../../core/patterns/forward.ts";
import type { ForwardedRun } from "../patterns/messages.ts";
import { allRows, readJoined } from "./messages.ts";
import type { BookedPattern } from "./pattern-book.ts";
import type { ShardTables } from "./tables.ts";

/** Rows gathered in memory; more are read back from the log. */
const MAX_QUEUED_ROWS = 50_000;
/** Rows after which a chunk ends: what one call carries stays far below the 32 MB there may be. */
const MAX_CHUNK_ROWS = 5000;

/** What was gathered from a stretch of the log. */
interface Run {
  /** Its last entry. */
  readonly through: number;
  readonly rows: number;
  readonly byKeeper: ReadonlyMap<number, GatheredRows>;
  readonly counts: ReadonlyMap<number, FeedCounts>;
}

/** What is to be forwarded next. */
export interface Chunk {
  readonly through: number;
  readonly byKeeper: ReadonlyMap<number, readonly ForwardedRun[]>;
  /** By pattern id. */
  readonly counts: readonly ReadonlyMap<number, FeedCounts>[];
}

/**
 * Events of the log that patterns wait for and that are not forwarded yet. Gathered as they are counted, while they are at hand decoded;
 * after a restart, or when forwarding falls far behind, from the log.
 */
export class PatternQueue {
  readonly #tables: ShardTables;
  #runs: Run[] = [];
  #rows = 0;
  #gathering: { byKeeper: Map<number, GatheredRows>; counts: Map<number, FeedCounts>; rows: number } | undefined;
  /** Everything up to this entry is forwarded. */
  #forwarded: number;
  /** What lies between `forwarded` and this entry is to be read from the log. */
  #unreadThrough: number;

  /** @param lastEntry of the log */
  constructor(tables: ShardTables, forwarded: number, lastEntry: number) {
    this.#tables = tables;
    this.#forwarded = forwarded;
    this.#unreadThrough = lastEntry;
  }

  get forwarded(): number {
    return this.#forwarded;
  }

  /** True when something waits to be forwarded, or to be read to see whether it does. */
  get isBehind(): boolean {
    return this.#runs.length > 0 || this.#unreadThrough > this.#forwarded;
  }

  /** Events are being counted. */
  note(patterns: readonly BookedPattern[], batch: EventBatch, rows: Uint32Array): void {
    this.#gathering ??= { byKeeper: new Map(), counts: new Map(), rows: 0 };
    const { byKeeper, counts } = this.#gathering;
    this.#gathering.rows += gather(patterns, batch, rows, byKeeper, (plan) => countsIn(counts, plan.id));
  }

  /** They are in the log, the newest entry of which is this one. */
  commit(lastEntry: number): void {
    const gathered = this.#gathering;
    this.#gathering = undefined;
    if (gathered === undefined || isNothing(gathered)) {
      // The log need not be kept for what nobody waits for.
      if (!this.isBehind) this.#forwarded = lastEntry;
      return;
    }
    this.#runs.push({ through: lastEntry, ...gathered });
    this.#rows += gathered.rows;
    if (this.#rows > MAX_QUEUED_ROWS) this.#leaveToLog(lastEntry);
  }

  /** Everything after this entry is to be forwarded anew, though some of it was. @param lastEntry of the log */
  rewind(entry: number, lastEntry: number): void {
    this.#forwarded = Math.min(this.#forwarded, entry);
    this.#leaveToLog(lastEntry);
  }

  /** What comes first of what waits. It stays until `forwardedThrough`. @param lastEntry of the log */
  next(patterns: readonly BookedPattern[], lastEntry: number): Chunk {
    return this.#unreadThrough > this.#forwarded ? this.#read(patterns) : this.#take(lastEntry);
  }

  /** Entries up to this one are forwarded, or given up. */
  forwardedThrough(entry: number): void {
    this.#forwarded = Math.max(this.#forwarded, entry);
    const left = this.#runs.filter(({ through }) => through > this.#forwarded);
    this.#runs = left;
    this.#rows = left.reduce((sum, { rows }) => sum + rows, 0);
  }

  #take(lastEntry: number): Chunk {
    const taken: Run[] = [];
    let rows = 0;
    for (const run of this.#runs) {
      if (rows >= MAX_CHUNK_ROWS) break;
      taken.push(run);
      rows += run.rows;
    }
    const isAll = taken.length === this.#runs.length;
    return chunkOf(taken, isAll ? lastEntry : (taken.at(-1)?.through ?? lastEntry));
  }

  #read(patterns: readonly BookedPattern[]): Chunk {
    const read: Run[] = [];
    let rows = 0;
    for (const { entry, kind, body } of this.#tables.logAfter(this.#forwarded)) {
      if (entry > this.#unreadThrough || rows >= MAX_CHUNK_ROWS) break;
      const byKeeper = new Map<number, GatheredRows>();
      const counts = new Map<number, FeedCounts>();
      const seeing = patterns.filter(({ since }) => since < entry);
      let gathered = 0;
      if ((kind === "events" || kind === "late") && seeing.length > 0)
        for (const batch of readJoined(body))
          gathered += gather(seeing, batch, allRows(batch), byKeeper, (plan) => countsIn(counts, plan.id));
      read.push({ through: entry, rows: gathered, byKeeper, counts });
      rows += gathered;
    }
    // An empty rest of the log was trimmed, or never had anything.
    return chunkOf(read, rows >= MAX_CHUNK_ROWS ? (read.at(-1)?.through ?? this.#unreadThrough) : this.#unreadThrough);
  }

  #leaveToLog(lastEntry: number): void {
    this.#runs = [];
    this.#rows = 0;
    this.#unreadThrough = lastEntry;
  }
}

function chunkOf(runs: readonly Run[], through: number): Chunk {
  const byKeeper = new Map<number, ForwardedRun[]>();
  for (const run of runs) {
    for (const [keeper, rows] of run.byKeeper) {
      const known = byKeeper.get(keeper);
      const one = { through: run.through, rows };
      if (known === undefined) byKeeper.set(keeper, [one]);
      else known.push(one);
    }
  }
  return { through, byKeeper, counts: runs.map(({ counts }) => counts) };
}

function isNothing({ rows, counts }: Pick<Run, "rows" | "counts">): boolean {
  return rows === 0 && [...counts.values()].every(({ filterErrors, unkeyed }) => filterErrors + unkeyed === 0);
}

/** A pattern's counts, made on first sight. */
export function countsIn(counts: Map<number, FeedCounts>, patternId: number): FeedCounts {
  const known = counts.get(patternId);
  if (known !== undefined) return known;
  const made = { filterErrors: 0, unkeyed: 0 };
  counts.set(patternId, made);
  return made;
}
