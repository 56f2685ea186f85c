import { finiteOrNull } from "./finite.ts";
import { StoredSpans } from "./stored-spans.ts";

/** Sources tracked apart; the rest share one entry (DESIGN.md, Watermark). */
export const MAX_SOURCES = 1000;

/**
 * The platform's own events (matches of patterns) come from here. They tell of what a watermark has passed already, so they stay
 * outside every watermark: one that heeded them would wait for what waits for it.
 */
export const PLATFORM_SOURCE = "streamflow.patterns";

/** What is known of one source. Times are epoch ms. */
export interface Source {
  readonly index: number;
  readonly name: string;
  /** Newest min(timestamp, receive time) seen; −Infinity before the first event. */
  newest: number;
  /** Newest receive stamp seen. */
  lastReceived: number;
  readonly stored: StoredSpans;
  /** Ids in buckets up to and including this one were forgotten under memory pressure: look them up. */
  forgottenThrough: number;
}

/** JSON form, for checkpoints: [name, newest, lastReceived, stored edges, forgottenThrough]; null stands for −Infinity. */
export type SourceState = readonly [string, number | null, number | null, readonly number[], number | null];

/** All sources of a shard. Index 0 is the shared entry of those beyond the limit. */
export class Sources {
  readonly #list: Source[] = [];
  readonly #byName = new Map<string, Source>();

  constructor(states: readonly SourceState[] = [["", null, null, [], null]]) {
    for (const [name, newest, lastReceived, edges, forgottenThrough] of states) {
      this.#append(
        name,
        newest ?? -Infinity,
        lastReceived ?? -Infinity,
        new StoredSpans(edges),
        forgottenThrough ?? -Infinity,
      );
    }
  }

  /** The source's entry, made on first sight; the shared one beyond the limit. */
  of(name: string): Source {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const shared = this.#list[0];
    const isFull = this.#list.length > MAX_SOURCES && name !== PLATFORM_SOURCE;
    if (shared !== undefined && isFull) return shared;
    // Events under the shared entry may be this source's, where another shard that had no room for it has handed its slots over.
    return this.#append(name, -Infinity, -Infinity, new StoredSpans(shared?.stored.toJSON()), -Infinity);
  }

  at(index: number): Source | undefined {
    return this.#list[index];
  }

  [Symbol.iterator](): IterableIterator<Source> {
    return this.#list.values();
  }

  toJSON(): SourceState[] {
    return this.#list.map((source) => [
      source.name,
      finiteOrNull(source.newest),
      finiteOrNull(source.lastReceived),
      source.stored.toJSON(),
      finiteOrNull(source.forgottenThrough),
    ]);
  }

  #append(name: string, newest: number, lastReceived: number, stored: StoredSpans, forgottenThrough: number): Source {
    const source: Source = { index: this.#list.length, name, newest, lastReceived, stored, forgottenThrough };
    this.#list.push(source);
    // The shared entry has no name of its own: a producer whose source is "" must not land on it by accident.
    if (source.index > 0) this.#byName.set(name, source);
    return source;
  }
}
