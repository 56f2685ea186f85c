import type { EventBatch } from "../../core/events/event-batch.ts";
import { ALL_EVENTS, type EventQuery } from "../../core/events/query.ts";
import type { Stretch } from "../../core/windows/recount.ts";
import { loadBodies } from "../../storage/d1/segment-reader.ts";
import { findSegments, type StoredSegment } from "../../storage/d1/segment-search.ts";
import { readJoined } from "./messages.ts";

/** Index rows read at once. */
const SEGMENTS_PER_SEARCH = 500;
/** Bodies loaded at once: each is up to 64 KB packed. */
const BODIES_PER_READ = 8;

export interface OpenSegment {
  readonly segment: StoredSegment;
  readonly batches: readonly EventBatch[];
}

/** The stored events of a stretch, segment by segment, by their oldest event. */
export class StoredEvents {
  readonly #db: D1Database;
  readonly #tenant: string;
  readonly #query: EventQuery;
  readonly #isWanted: (segment: StoredSegment) => boolean;
  #found: StoredSegment[] = [];
  #last: StoredSegment | null = null;
  #isListed = false;

  constructor(db: D1Database, tenant: string, { from, to }: Stretch, isWanted: (segment: StoredSegment) => boolean) {
    this.#db = db;
    this.#tenant = tenant;
    this.#query = { ...ALL_EVENTS, fromMs: from, toMs: to === Infinity ? null : to, order: "asc" };
    this.#isWanted = isWanted;
  }

  /** The next segments; none when all were read. `frontier` is then the oldest event still to be read, or Infinity. */
  async next(): Promise<{ segments: readonly OpenSegment[]; frontier: number }> {
    await this.#list(BODIES_PER_READ + 1);
    const taken = this.#found.splice(0, BODIES_PER_READ);
    const bodies = await loadBodies(this.#db, taken);
    const segments = taken.map((segment, k) => ({ segment, batches: readJoined(bodies[k] ?? new Uint8Array()) }));
    return { segments, frontier: this.#found[0]?.minTimestamp ?? Infinity };
  }

  async #list(count: number): Promise<void> {
    while (this.#found.length < count && !this.#isListed) {
      const search = { query: this.#query, after: null, beyond: this.#last, count: SEGMENTS_PER_SEARCH };
      const listed = await findSegments(this.#db, this.#tenant, search);
      this.#last = listed.at(-1) ?? this.#last;
      this.#isListed = listed.length < SEGMENTS_PER_SEARCH;
      this.#found.push(...listed.filter(this.#isWanted));
    }
  }
}
