import type { PatternDefinition } from "../../core/patterns/definition.ts";
import type { FeedCounts } from "../../core/patterns/forward.ts";
import { finiteOrNull } from "../../core/windows/finite.ts";
import type { MergeAnswer } from "../../core/windows/delta-terms.ts";
import type { KeeperStatus, PatternNews, PatternTerms } from "../patterns/messages.ts";
import { type BookedPattern, PatternBook, type PatternRefusal } from "./pattern-book.ts";
import { PatternFeed, type PatternFeedDeps } from "./pattern-feed.ts";
import type { Shard } from "./shard.ts";

/** Times that home's patterns may be others than a shard's, one time after the other. */
const MAX_TRIES = 4;

/** A pattern and how it stands, over all its keepers. */
export interface PatternInfo extends FeedCounts {
  readonly definition: PatternDefinition;
  readonly version: number;
  /** Epoch ms, or null before the first event. */
  readonly watermark: number | null;
  /** Absent keepers' shares are missing: null when one did not answer. */
  readonly kept: Omit<KeeperStatus, "id"> | null;
  /** Log entries of the tenant that no pattern has seen, because keepers could not be reached for long. */
  readonly skippedEntries: number;
}

export type PutPatternResult = { readonly ok: true; readonly pattern: PatternInfo } | PatternRefusal;

/** What home answers a shard. */
export interface HomeAnswer extends MergeAnswer {
  /** Null when the shard has home's patterns. */
  readonly patterns: PatternTerms | null;
}

export interface PatternsDeps extends PatternFeedDeps {
  /** Has home merge a delta. */
  readonly merge: (delta: Uint8Array, news: PatternNews) => Promise<HomeAnswer>;
  readonly statusOf: (keeper: number) => Promise<readonly KeeperStatus[]>;
  readonly report: (what: string, error: unknown) => void;
}

/** A tenant's patterns: what they are, what is forwarded for them, and how they stand. */
export class Patterns {
  readonly feed: PatternFeed;
  readonly #shard: Shard;
  readonly #book: PatternBook;
  readonly #deps: PatternsDeps;

  /** @param shard as of the end of its log */
  constructor(shard: Shard, deps: PatternsDeps) {
    this.#shard = shard;
    this.#deps = deps;
    this.#book = new PatternBook(shard.tables);
    this.feed = new PatternFeed(shard, this.#book, deps);
  }

  async put(definition: PatternDefinition, mode: "create" | "replace"): Promise<PutPatternResult> {
    const drafted = this.#book.draft(definition, mode, this.#shard.log.lastEntry);
    if (!drafted.ok) return drafted;
    this.#change(() => this.#book.write(drafted.pattern));
    return { ok: true, pattern: this.#infoOf(drafted.pattern, await this.#statuses()) };
  }

  /** @returns false when there is none */
  delete(name: string): boolean {
    const known = this.#book.find(name);
    if (known !== undefined) this.#change(() => this.#book.drop(known));
    return known !== undefined;
  }

  async list(): Promise<PatternInfo[]> {
    const statuses = await this.#statuses();
    return this.#book.patterns.map((pattern) => this.#infoOf(pattern, statuses));
  }

  async get(name: string): Promise<PatternInfo | null> {
    const statuses = await this.#statuses();
    const pattern = this.#book.find(name);
    return pattern === undefined ? null : this.#infoOf(pattern, statuses);
  }

  #change(change: () => void): void {
    this.#shard.checkpoint(() => {
      this.feed.changing();
      change();
    });
    this.feed.schedule();
  }

  /**
   * Has home merge a delta, once everything in it is forwarded. A shard's to do.
   * @throws when a keeper cannot be told, what home threw, or Error when its patterns change faster than they are told
   */
  async ship(delta: Uint8Array): Promise<MergeAnswer> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      await this.feed.forward();
      const news = this.feed.news();
      const { patterns, ...answer } = await this.#deps.merge(delta, news);
      this.feed.heard(news);
      if (patterns === null) return answer;
      this.#shard.checkpoint(() => this.feed.learn(patterns, this.#mergedEntry(answer.cursor)));
    }
    throw new Error("home has other patterns each time");
  }

  /** The newest entry of the log all of whose events are before this sequence number. */
  #mergedEntry(cursor: number): number {
    const { tables, log } = this.#shard;
    return (tables.entryOf(cursor) ?? log.lastEntry + 1) - 1;
  }

  /** All keepers', or null when one did not answer. */
  async #statuses(): Promise<readonly KeeperStatus[] | null> {
    try {
      return (await Promise.all([...this.feed.keepers].map((keeper) => this.#deps.statusOf(keeper)))).flat();
    } catch (error) {
      this.#deps.report("pattern status", error);
      return null;
    }
  }

  #infoOf({ id, version, definition }: BookedPattern, statuses: readonly KeeperStatus[] | null): PatternInfo {
    return {
      definition,
      version,
      watermark: finiteOrNull(this.feed.watermarkOf(id)),
      ...this.feed.countsOf(id),
      kept: statuses === null ? null : sumOf(statuses.filter((status) => status.id === id)),
      skippedEntries: this.feed.skippedEntries,
    };
  }
}

function sumOf(statuses: readonly KeeperStatus[]): Omit<KeeperStatus, "id"> {
  const total = (field: keyof KeeperStatus): number => statuses.reduce((sum, status) => sum + status[field], 0);
  return {
    keys: total("keys"),
    buffered: total("buffered"),
    matches: total("matches"),
    retracted: total("retracted"),
    late: total("late"),
    tooLate: total("tooLate"),
    dropped: total("dropped"),
  };
}
