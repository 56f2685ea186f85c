import type { EventBatch } from "../../core/events/event-batch.ts";
import { type FeedCounts, Gathering } from "../../core/patterns/forward.ts";
import type { ForwardedRun } from "../patterns/messages.ts";
import { allRows, readJoined } from "./messages.ts";
import type { BookedPattern } from "./pattern-book.ts";
import type { ShardTables } from "./tables.ts";

/** Rows gathered in memory; more are read back from the log. */
const MAX_QUEUED_ROWS = 50_000;
/** Rows after which a chunk ends: what one call carries stays below the 32 MB there may be, though all had the longest ids and keys. */
const MAX_CHUNK_ROWS = 10_000;

/** What was gathered from a stretch of the log. */
interface Run {
  /** Its last entry. */
  through: number;
  readonly gathering: Gathering;
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
  /** The last of them, as long as nobody was told of it: what is told must stay as it is, as keepers know it by its last entry. */
  #open: Run | undefined;
  #gathering: Gathering | undefined;
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
    this.#gathering ??= this.#open?.gathering ?? new Gathering();
    this.#gathering.add(patterns, batch, rows);
  }

  /** They are in the log, the newest entry of which is this one. */
  commit(lastEntry: number): void {
    const gathering = this.#gathering ?? this.#open?.gathering;
    this.#gathering = undefined;
    if (gathering === undefined || gathering.isEmpty) {
      // The log need not be kept for what nobody waits for.
      if (!this.isBehind) this.#forwarded = lastEntry;
      return;
    }
    if (this.#open === undefined) {
      this.#open = { through: lastEntry, gathering };
      this.#runs.push(this.#open);
    }
    this.#open.through = lastEntry;
    if (gathering.rows >= MAX_CHUNK_ROWS) this.#open = undefined;
    if (this.#runs.reduce((sum, run) => sum + run.gathering.rows, 0) > MAX_QUEUED_ROWS) this.#leaveToLog(lastEntry);
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
    this.#runs = this.#runs.filter(({ through }) => through > this.#forwarded);
    if (this.#runs.length === 0) this.#open = undefined;
  }

  #take(lastEntry: number): Chunk {
    const [run] = this.#runs;
    if (run === this.#open) this.#open = undefined;
    const isAll = this.#runs.length <= 1;
    return chunkOf(run === undefined ? [] : [run], isAll ? lastEntry : (run?.through ?? lastEntry));
  }

  #read(patterns: readonly BookedPattern[]): Chunk {
    const read: Run[] = [];
    let rows = 0;
    for (const { entry, kind, body } of this.#tables.logAfter(this.#forwarded)) {
      if (entry > this.#unreadThrough || rows >= MAX_CHUNK_ROWS) break;
      const gathering = new Gathering();
      const seeing = patterns.filter(({ since }) => since < entry);
      if ((kind === "events" || kind === "late") && seeing.length > 0)
        for (const batch of readJoined(body)) gathering.add(seeing, batch, allRows(batch));
      read.push({ through: entry, gathering });
      rows += gathering.rows;
    }
    // An empty rest of the log was trimmed, or never had anything.
    return chunkOf(read, rows >= MAX_CHUNK_ROWS ? (read.at(-1)?.through ?? this.#unreadThrough) : this.#unreadThrough);
  }

  #leaveToLog(lastEntry: number): void {
    this.#runs = [];
    this.#open = undefined;
    this.#unreadThrough = lastEntry;
  }
}

function chunkOf(runs: readonly Run[], through: number): Chunk {
  const byKeeper = new Map<number, ForwardedRun[]>();
  for (const run of runs) {
    for (const [keeper, parts] of run.gathering.byKeeper) {
      const known = byKeeper.get(keeper) ?? [];
      known.push({ through: run.through, rows: parts.map((part) => part.toText()) });
      byKeeper.set(keeper, known);
    }
  }
  return { through, byKeeper, counts: runs.map(({ gathering }) => gathering.counts) };
}
