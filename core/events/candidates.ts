import type { StreamEvent } from "./event.ts";
import type { EventBatch } from "./event-batch.ts";
import { rowMatcher } from "./match.ts";
import type { TimeSpan } from "./span.ts";
import { type Cursor, comparePlaces, type EventQuery, isAfter } from "./query.ts";

interface Row extends Cursor {
  readonly row: number;
}

/**
 * The first few events of a query, gathered from batches that come in any order.
 *
 * Only `limit` events are ever held, and rows become events only when they are among them, so any number of batches can be
 * looked through one at a time. A later batch may push out what an earlier one brought.
 */
export class Candidates {
  readonly #query: EventQuery;
  readonly #after: Cursor | null;
  readonly #limit: number;
  #events: readonly StreamEvent[] = [];

  /** @param after only events beyond this place count; null = from the beginning. @param limit ≥ 1 */
  constructor(query: EventQuery, after: Cursor | null, limit: number) {
    this.#query = query;
    this.#after = after;
    this.#limit = limit;
  }

  /** The best so far, in the query's order; at most `limit`. */
  get events(): readonly StreamEvent[] {
    return this.#events;
  }

  /** False when no event of this time could be among them: a batch need not be opened then. More come to be so as events are found. */
  mayTake({ minTimestamp, maxTimestamp }: TimeSpan): boolean {
    const { fromMs, toMs, order } = this.#query;
    if ((fromMs !== null && maxTimestamp < fromMs) || (toMs !== null && minTimestamp >= toMs)) return false;
    const last = this.#events[this.#limit - 1];
    const [nearest, farthest] = order === "desc" ? [maxTimestamp, minTimestamp] : [-minTimestamp, -maxTimestamp];
    const place = (timestamp: number): number => (order === "desc" ? timestamp : -timestamp);
    if (this.#after !== null && farthest > place(this.#after.timestamp)) return false;
    return last === undefined || nearest >= place(last.timestamp);
  }

  /** Looks through a batch, rows of any order. */
  add(batch: EventBatch): void {
    const rows = this.#wantedRows(batch).slice(0, this.#limit);
    this.addSorted(rows.map(({ row }) => batch.event(row)));
  }

  /** Takes events that are known to be wanted and in order. */
  addSorted(events: readonly StreamEvent[]): void {
    if (events.length === 0) return;
    const { order } = this.#query;
    this.#events = [...this.#events, ...events].sort((a, b) => comparePlaces(a, b, order)).slice(0, this.#limit);
  }

  #wantedRows(batch: EventBatch): readonly Row[] {
    const { order } = this.#query;
    const isWanted = rowMatcher(batch, this.#query);
    const last = this.#events[this.#limit - 1];
    const rows: Row[] = [];
    for (let row = 0; row < batch.length; row++) {
      const place = { timestamp: batch.timestamps[row] ?? Number.NaN, id: batch.ids[row] ?? "", row };
      const isBeforeLast = last === undefined || comparePlaces(place, last, order) < 0;
      if (isBeforeLast && isAfter(place, this.#after, order) && isWanted(row)) rows.push(place);
    }
    return rows.sort((a, b) => comparePlaces(a, b, order));
  }
}
