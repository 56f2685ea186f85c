import { allPages, IdJournal, idsWithinHorizon } from "../../core/windows/id-page.ts";
import type { SeenFilter } from "../../core/windows/seen-filter.ts";
import type { ShardMachine } from "../../core/windows/shard-machine.ts";
import type { DirtyRecord } from "../../core/windows/window-set.ts";
import type { ShardTables } from "./tables.ts";

/** A restart replays at most this many events … */
const MAX_REPLAY_EVENTS = 50_000;
/** … or this many packed bytes of log. */
const MAX_REPLAY_BYTES = 8_000_000;
/**
 * With this many windows to be written a checkpoint is due: a backfill changes windows with each event, and writing 100,000 takes seconds.
 * The pages of the disk that these are on were just read, and are still in SQLite's two megabytes of cache.
 */
const MAX_UNWRITTEN_WINDOWS = 400;
/** An object that gets few events writes its state this often: each checkpoint is some ten rows. */
export const CHECKPOINT_AFTER_MS = 600_000;
/** Bytes of closed windows beyond which a checkpoint drops some from memory … */
const MAX_RESIDENT_WINDOW_BYTES = 12_000_000;
/** … down to this: to look for the oldest at each checkpoint would cost a backfill as much as writing. */
const RESIDENT_WINDOW_BYTES = 8_000_000;
/** To add them up takes milliseconds: it is done when about so many bytes may have been added … */
const LOOK_EVERY_BYTES = 4_000_000;
/** … at so many for each window written, and so many for each byte of it. */
const BYTES_PER_WINDOW = 600;
const MEMORY_FACTOR = 4;
/** Stored ids that are past the horizon are tolerated up to this many beyond as many again. */
const SPARE_IDS = 20_000;

/** Writes the machine's state from time to time, so that a restart need not replay the whole log. */
export class Checkpointer {
  readonly journal = new IdJournal();
  readonly #tables: ShardTables;
  /** Ids in stored pages, those past the horizon included. */
  storedIds: number;
  #unwritten = 0;
  #events = 0;
  #bytes = 0;
  /** Bytes of windows that may have come into memory since those in it were last added up, at most about. */
  #grownBytes = Infinity;
  /** Epoch ms of the first change since the last checkpoint, or null. */
  #changedAt: number | null = null;

  constructor(tables: ShardTables, storedIds: number) {
    this.#tables = tables;
    this.storedIds = storedIds;
  }

  /** Windows that a checkpoint would write, roughly. */
  noteUnwritten(windows: number): void {
    this.#unwritten = windows;
  }

  noteLogged(events: number, bytes: number, nowMs: number): void {
    this.#events += events;
    this.#bytes += bytes;
    this.#changedAt ??= nowMs;
  }

  /** Epoch ms by which to checkpoint, or null when nothing changed. */
  get dueAt(): number | null {
    if (this.#changedAt === null) return null;
    return this.#events >= MAX_REPLAY_EVENTS ||
      this.#bytes >= MAX_REPLAY_BYTES ||
      this.#unwritten >= MAX_UNWRITTEN_WINDOWS
      ? 0
      : this.#changedAt + CHECKPOINT_AFTER_MS;
  }

  /** Groups that stored pages hold have been forgotten: the next checkpoint replaces all pages. */
  rewriteIds(): void {
    this.storedIds = Infinity;
  }

  /** Writes windows that changed, new ids and the rest of the state. The caller adds what else belongs to the same moment. */
  write(machine: ShardMachine): void {
    for (const { id, windows } of machine.aggregations.values()) {
      const records = windows.takeDirty();
      this.#tables.writeWindows(id, records);
      this.#grownBytes += BYTES_PER_WINDOW * records.length + MEMORY_FACTOR * writtenBytes(records);
    }
    this.#writeIds(machine);
    this.#writeSeen(machine.deduplicator.seen);
    this.#unwritten = 0;
    this.#events = 0;
    this.#bytes = 0;
    this.#changedAt = null;
    if (this.#grownBytes < LOOK_EVERY_BYTES) return;
    this.#grownBytes = 0;
    evictClosed(machine);
  }

  #writeSeen(seen: SeenFilter): void {
    if (seen.isGivenUp) this.#tables.dropSeen();
    for (const layer of seen.takeChanged()) this.#tables.writeSeen(layer);
  }

  #writeIds(machine: ShardMachine): void {
    const added = this.journal.size;
    let pages = this.journal.takePages();
    const needed = idsWithinHorizon(machine.deduplicator);
    this.storedIds += added;
    if (this.storedIds > 2 * needed + SPARE_IDS) {
      this.#tables.dropIdPages();
      pages = allPages(machine.deduplicator);
      this.storedIds = needed;
    }
    for (const page of pages) this.#tables.addIdPage(page);
  }
}

function writtenBytes(records: readonly DirtyRecord[]): number {
  let bytes = 0;
  for (const { parts } of records) for (const part of parts) bytes += part?.length ?? 0;
  return bytes;
}

/** Drops closed windows from memory, the oldest first, until the rest is small; they are read back when needed. */
function evictClosed(machine: ShardMachine): void {
  const closed = [...machine.aggregations.values()].flatMap(({ windows }) =>
    windows.resting().map((record) => ({ windows, record })),
  );
  let bytes = closed.reduce((sum, { record }) => sum + record.bytes, 0);
  if (bytes <= MAX_RESIDENT_WINDOW_BYTES) return;
  closed.sort((a, b) => a.record.at - b.record.at);
  for (const { windows, record } of closed) {
    if (bytes <= RESIDENT_WINDOW_BYTES) return;
    windows.forget(record.key);
    bytes -= record.bytes;
  }
}
