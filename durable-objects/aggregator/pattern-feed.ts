import type { EventBatch } from "../../core/events/event-batch.ts";
import type { FeedCounts } from "../../core/patterns/forward.ts";
import { finiteOrNull } from "../../core/windows/finite.ts";
import { advanceWatermark, type WatermarkPolicy } from "../../core/windows/watermark.ts";
import type { KeeperAnswer, KeeperCall } from "../patterns/messages.ts";
import type { BookedPattern, PatternBook } from "./pattern-book.ts";
import { type Chunk, countsIn, PatternQueue } from "./pattern-queue.ts";
import type { Shard } from "./shard.ts";

/** Keepers are told at most this often: a call each time would cost more than the events. */
const TELL_EVERY_MS = 250;
/** Pause after a failed call. */
const RETRY_AFTER_MS = 2000;
/** Should the object vanish with something to tell, its alarm tells it so much later. */
const SAFETY_MS = 10_000;
/** Log entries kept for keepers that cannot be reached; beyond that the oldest are given up, counted in `skippedEntries`. */
const MAX_HELD_ENTRIES = 5000;

export interface PatternFeedDeps {
  readonly tell: (keeper: number, call: KeeperCall) => Promise<KeeperAnswer>;
  readonly now: () => number;
  readonly later: (work: () => void, delayMs: number) => void;
  readonly background: (what: string, work: Promise<unknown>) => void;
}

/** Something whose end an idle check may bring nearer. */
export interface Waiting {
  readonly timing: WatermarkPolicy;
  readonly watermark: number;
  /** Epoch ms. */
  readonly closesAt: number;
}

interface Saved {
  readonly forwarded: number;
  readonly keepers: readonly number[];
  readonly watermarks: readonly (readonly [patternId: number, at: number | null])[];
  readonly counts: readonly (readonly [patternId: number, counts: FeedCounts])[];
  readonly skippedEntries: number;
}

/**
 * Forwards events that patterns wait for to their keepers, from the log, and tells them the watermark.
 *
 * The log is the outbox: an entry stays until it is forwarded, and after a restart everything since the last checkpoint is told again,
 * which keepers know by its number. A watermark is told only with, or after, everything that was counted before it was computed.
 */
export class PatternFeed {
  readonly #shard: Shard;
  readonly #book: PatternBook;
  readonly #deps: PatternFeedDeps;
  readonly #queue: PatternQueue;
  readonly #watermarks: Map<number, number>;
  readonly #counts: Map<number, FeedCounts>;
  /** Keepers that may hold something. On disk before they are first told. */
  readonly #keepers: Set<number>;
  /** By keeper: the least watermark by pattern that would decide something. Absent: not known. */
  readonly #wants = new Map<number, ReadonlyMap<number, number>>();
  /** By keeper: the definitions it has heard. */
  readonly #toldEpoch = new Map<number, number>();
  #skippedEntries: number;
  #running: Promise<void> | undefined;
  #isScheduled = false;
  #toldAt = -Infinity;
  #retryAt = 0;

  /** @param shard as of the end of its log */
  constructor(shard: Shard, book: PatternBook, deps: PatternFeedDeps) {
    this.#shard = shard;
    this.#book = book;
    this.#deps = deps;
    const saved = shard.tables.readMeta("pattern_feed") as Saved | undefined;
    const { lastEntry } = shard.log;
    this.#queue = new PatternQueue(shard.tables, this.isIdle ? lastEntry : (saved?.forwarded ?? lastEntry), lastEntry);
    this.#keepers = new Set(saved?.keepers);
    this.#watermarks = new Map((saved?.watermarks ?? []).map(([id, at]) => [id, at ?? -Infinity]));
    this.#counts = new Map(saved?.counts);
    this.#skippedEntries = saved?.skippedEntries ?? 0;
  }
