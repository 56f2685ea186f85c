import type { EventBatch } from "../../core/events/event-batch.ts";
import type { FeedCounts } from "../../core/patterns/forward.ts";
import { TellPace } from "../../core/patterns/tell-pace.ts";
import { finiteOrNull } from "../../core/windows/finite.ts";
import { advanceWatermark, type Waiting } from "../../core/windows/watermark.ts";
import type { KeeperAnswer, KeeperCall, PatternNews, PatternTerms } from "../patterns/messages.ts";
import type { BookedPattern, PatternBook } from "./pattern-book.ts";
import { type Chunk, PatternQueue } from "./pattern-queue.ts";
import { PatternReport, type SavedReport } from "./pattern-report.ts";
import { KeeperLedger } from "./keeper-ledger.ts";
import type { Shard } from "./shard.ts";

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

interface Saved extends SavedReport {
  readonly forwarded: number;
  readonly keepers: readonly number[];
  readonly watermarks: readonly (readonly [patternId: number, at: number | null])[];
  readonly skippedEntries: number;
}

/**
 * Forwards events that patterns wait for to their keepers, from the log, and tells them the watermark.
 *
 * The log is the outbox: an entry stays until it is forwarded, and after a restart everything since the last checkpoint is told again,
 * which keepers know by its number. Home alone tells watermarks, and only with, or after, everything that was counted before: a shard
 * forwards what a delta holds before it ships it.
 */
export class PatternFeed {
  readonly #shard: Shard;
  readonly #book: PatternBook;
  readonly #deps: PatternFeedDeps;
  readonly #queue: PatternQueue;
  readonly #watermarks: Map<number, number>;
  readonly #report: PatternReport;
  readonly #pace = new TellPace();
  /** On disk before they are first told. */
  readonly #keepers: KeeperLedger;
  #skippedEntries: number;
  #running: Promise<void> | undefined;
  #isScheduled = false;
  #retryAt = 0;

  /** @param shard as of the end of its log */
  constructor(shard: Shard, book: PatternBook, deps: PatternFeedDeps) {
    this.#shard = shard;
    this.#book = book;
    this.#deps = deps;
    const saved = shard.tables.readMeta("pattern_feed") as Saved | undefined;
    const { lastEntry } = shard.log;
    this.#keepers = new KeeperLedger(saved?.keepers ?? []);
    this.#queue = new PatternQueue(shard.tables, this.isIdle ? lastEntry : (saved?.forwarded ?? lastEntry), lastEntry);
    this.#watermarks = new Map((saved?.watermarks ?? []).map(([id, at]) => [id, at ?? -Infinity]));
    this.#report = new PatternReport(saved);
    this.#skippedEntries = saved?.skippedEntries ?? 0;
  }

  /** True without patterns: then nothing here costs anything. */
  get isIdle(): boolean {
    return this.#book.patterns.length === 0 && this.#keepers.size === 0;
  }

  /** Log entries after this one are still needed here. */
  get heldAfter(): number {
    return this.isIdle ? Infinity : this.#queue.forwarded;
  }

  /** Entries given up because keepers could not be reached for long. */
  get skippedEntries(): number {
    return this.#skippedEntries;
  }

  /** Those that may hold something. */
  get keepers(): Iterable<number> {
    return this.#keepers;
  }

  /** Epoch ms by which to run, or null. */
  get dueAt(): number | null {
    // A shard is woken to ship, and forwards before it does.
    if (!this.#shard.isHome || this.isIdle || !this.#isBehind()) return null;
    const now = this.#deps.now();
    return this.#retryAt > now ? this.#retryAt : now + SAFETY_MS;
  }

  /** Events are being counted. */
  note(batch: EventBatch, rows: Uint32Array): void {
    this.#pace.counted(rows.length);
    if (this.#book.patterns.length > 0 && rows.length > 0) this.#queue.note(this.#book.patterns, batch, rows);
  }

  /** What was counted is in the log. */
  noteLogged(): void {
    if (!this.isIdle) this.#queue.commit(this.#shard.log.lastEntry);
  }

  /** The book changes. Within the change: entries so far are nothing to a new pattern. */
  changing(): void {
    if (this.isIdle) this.#queue.forwardedThrough(this.#shard.log.lastEntry);
  }

  /** Part of a checkpoint. */
  checkpoint(): void {
    if (this.isIdle) return;
    const tooOld = this.#shard.log.lastEntry - MAX_HELD_ENTRIES;
    if (this.#queue.forwarded < tooOld) {
      this.#skippedEntries += tooOld - this.#queue.forwarded;
      this.#queue.forwardedThrough(tooOld);
    }
    this.#save();
  }

  watermarkOf(patternId: number): number {
    return this.#watermarks.get(patternId) ?? -Infinity;
  }

  countsOf(patternId: number): FeedCounts {
    return this.#report.countsOf(patternId);
  }

  /** Patterns that an idle check could bring to a decision. */
  *waiting(): IterableIterator<Waiting> {
    if (!this.#shard.isHome) return;
    for (const pattern of this.#book.patterns) {
      const closesAt = this.#keepers.wantedBy(pattern.id);
      const watermark = this.#advanced(pattern);
      if (closesAt !== Infinity && watermark < closesAt) yield { policy: pattern.timing, watermark, closesAt };
    }
  }

  /** Arranges for a run if there may be something to tell. */
  schedule(): void {
    if (!this.#shard.isHome || this.#isScheduled || this.isIdle || !this.#isBehind()) return;
    this.#isScheduled = true;
    this.#deps.later(() => {
      this.#isScheduled = false;
      this.#deps.background("patterns", this.run());
    }, this.#pace.waitMs(this.#deps.now()));
  }

  /** Home's: tells everything, unless the last try failed just now. One run at a time. @throws when a keeper cannot be told */
  async run(): Promise<void> {
    if (!this.#shard.isHome || this.isIdle || this.#deps.now() < this.#retryAt || !this.#isBehind()) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      this.#pace.told(this.#deps.now());
      this.schedule();
    });
    await this.#running;
  }

  /**
   * A shard's, before it ships: forwards everything that was counted by now. Never two at a time, nor beside `learn`.
   * @throws when a keeper cannot be told
   */
  async forward(): Promise<void> {
    if (this.isIdle || !this.#queue.isBehind) return;
    if (this.#deps.now() < this.#retryAt) throw new Error("keepers could not be told just now");
    await this.#run();
  }

  /** A shard's, to be shipped with what was forwarded. */
  news(): PatternNews {
    const { epoch, patterns } = this.#book;
    return { shard: this.#shard.owner.shard, epoch, ...this.#report.news(patterns.map(({ id }) => id)) };
  }

  /** Home has heard these. */
  heard(news: PatternNews): void {
    this.#report.heard(news);
  }

  /** Home has other definitions. A shard's, as part of a change. @param mergedEntry the newest entry that home has merged all of */
  learn(terms: PatternTerms, mergedEntry: number): void {
    this.#book.learn(terms, mergedEntry);
    this.#queue.rewind(mergedEntry, this.#shard.log.lastEntry);
  }

  /** Home's, before it merges. @returns the definitions, when the shard has others: then it must not be merged */
  hear(news: PatternNews | undefined): PatternTerms | null {
    const { epoch, stored } = this.#book;
    if (news !== undefined) {
      this.#enlist(news.wants.map(([keeper]) => keeper));
      for (const [keeper, wants] of news.wants) this.#keepers.report(keeper, wants);
      this.#report.hear(news);
    }
    return (news?.epoch ?? 0) === epoch ? null : { epoch, patterns: stored };
  }

  async #run(): Promise<void> {
    // What comes meanwhile is left to the next run, so that it is not one call for each commit.
    const target = this.#shard.log.lastEntry;
    do {
      const { lastEntry } = this.#shard.log;
      const chunk = this.#queue.next(this.#book.patterns, lastEntry);
      // Nothing was awaited since the end of the log was looked at: these watermarks are of just that moment.
      const isWhole = this.#shard.isHome && chunk.through >= lastEntry;
      const watermarks = isWhole ? this.#advance() : [];
      try {
        await this.#tellAll(chunk, watermarks);
      } catch (error) {
        this.#retryAt = this.#deps.now() + RETRY_AFTER_MS;
        throw error;
      }
      this.#settle(chunk);
    } while (this.#queue.forwarded < target);
  }

  #settle({ through, counts }: Chunk): void {
    this.#queue.forwardedThrough(through);
    this.#report.add(counts);
    const hasHeard = [...this.#keepers].every((keeper) => this.#keepers.knows(keeper, this.#book.epoch));
    if (this.#book.patterns.length > 0 || !hasHeard || this.#keepers.size === 0) return;
    // The last pattern is gone, and every keeper knows.
    this.#keepers.clear();
    this.#save();
  }

  async #tellAll({ byKeeper, through }: Chunk, watermarks: readonly (readonly [number, number])[]): Promise<void> {
    if (this.#shard.isHome) this.#enlist(byKeeper.keys());
    const calls = [...(this.#shard.isHome ? this.#keepers : byKeeper.keys())].map(async (keeper) => {
      const runs = byKeeper.get(keeper) ?? [];
      const mustHear = runs.length > 0 || this.#keepers.mustHear(keeper, this.#book.epoch, watermarks);
      if (mustHear) await this.#tell(keeper, runs, watermarks);
    });
    const failed = (await Promise.allSettled(calls)).find((result) => result.status === "rejected");
    if (failed !== undefined)
      throw new Error(`keepers could not be told of entries up to ${through}`, { cause: failed.reason });
  }

  async #tell(
    keeper: number,
    runs: KeeperCall["runs"],
    watermarks: readonly (readonly [number, number])[],
  ): Promise<void> {
    const { epoch, stored } = this.#book;
    const { shard, incarnation } = this.#shard.owner;
    const isNews = !this.#keepers.knows(keeper, epoch);
    const call: KeeperCall = { shard, incarnation, runs, watermarks, epoch, ...(isNews ? { patterns: stored } : {}) };
    const asked = this.#keepers.ask(keeper);
    const answer = await this.#deps.tell(keeper, call);
    if (!answer.ok) {
      this.#keepers.refused(keeper);
      throw new Error(`keeper ${keeper}: ${answer.reason}`);
    }
    this.#keepers.answered(keeper, asked, epoch, answer.wants);
    if (!this.#shard.isHome) this.#report.note(keeper, answer.wants);
  }

  #isBehind(): boolean {
    if (this.#queue.isBehind || !this.#shard.isHome) return this.#queue.isBehind;
    const watermarks = this.#book.patterns.map((pattern) => [pattern.id, this.#advanced(pattern)] as const);
    return [...this.#keepers].some((keeper) => this.#keepers.mustHear(keeper, this.#book.epoch, watermarks));
  }

  #advance(): [number, number][] {
    for (const pattern of this.#book.patterns) this.#watermarks.set(pattern.id, this.#advanced(pattern));
    const told = this.#book.patterns.map(({ id }): [number, number] => [id, this.watermarkOf(id)]);
    return told.filter(([, at]) => at !== -Infinity);
  }

  #advanced({ id, timing }: BookedPattern): number {
    const { sources, idleAsOf } = this.#shard.machine;
    return advanceWatermark(this.watermarkOf(id), sources, timing, idleAsOf);
  }

  #enlist(keepers: Iterable<number>): void {
    if (this.#keepers.enlist(keepers)) this.#save();
  }

  #save(): void {
    const ids = new Set(this.#book.patterns.map(({ id }) => id));
    const saved: Saved = {
      forwarded: this.#queue.forwarded,
      keepers: [...this.#keepers],
      watermarks: [...this.#watermarks].filter(([id]) => ids.has(id)).map(([id, at]) => [id, finiteOrNull(at)]),
      skippedEntries: this.#skippedEntries,
      ...this.#report.toJSON(ids),
    };
    this.#shard.tables.writeMeta("pattern_feed", saved);
  }
}
