import type { Severity } from "./event.ts";

export type Order = "desc" | "asc";

/** Which stored events are wanted. Within a list any value will do; the lists must all agree; an empty list asks nothing. */
export interface EventQuery {
  /** Epoch ms, inclusive; null = no bound. */
  readonly fromMs: number | null;
  /** Epoch ms, exclusive; null = no bound. */
  readonly toMs: number | null;
  readonly ids: readonly string[];
  readonly types: readonly string[];
  readonly sources: readonly string[];
  readonly userIds: readonly string[];
  readonly sessionIds: readonly string[];
  readonly correlationIds: readonly string[];
  readonly severities: readonly Severity[];
  readonly tags: readonly string[];
  /** By (timestamp, id). */
  readonly order: Order;
}

/** Everything, newest first. */
export const ALL_EVENTS: EventQuery = {
  fromMs: null,
  toMs: null,
  ids: [],
  types: [],
  sources: [],
  userIds: [],
  sessionIds: [],
  correlationIds: [],
  severities: [],
  tags: [],
  order: "desc",
};

/**
 * A place in the order of a query: what has been read lies before or on it, what is still to be read after it. Usually an
 * event's own (timestamp, id), but no event need be there.
 */
export interface Cursor {
  /** Epoch ms. */
  readonly timestamp: number;
  readonly id: string;
}

/** Sort in this order, ids by code unit (they are ASCII). */
export function comparePlaces(a: Cursor, b: Cursor, order: Order): number {
  const ascending = a.timestamp - b.timestamp || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
  return order === "asc" ? ascending : -ascending;
}

/** True when `place` is still to be read by someone who has read through `cursor`; null = nothing read yet. */
export function isAfter(place: Cursor, cursor: Cursor | null, order: Order): boolean {
  return cursor === null || comparePlaces(place, cursor, order) > 0;
}

/** The place behind everything that comes before `timestampMs` in this order, and before all events at it (ids are not empty and sort below "~"). */
export function placeBefore(timestampMs: number, order: Order): Cursor {
  return { timestamp: timestampMs, id: order === "asc" ? "" : "~" };
}
