import { Candidates } from "./candidates.ts";
import type { StreamEvent } from "./event.ts";
import { type Cursor, comparePlaces, type EventQuery, isAfter, type Order } from "./query.ts";
import { placeBeforeSegment, type SegmentPlace, type SegmentSource, type Tail, UnreadSegments } from "./segments.ts";

/** One page of a list of events. */
export interface PageRequest {
  readonly query: EventQuery;
  /** Where the page before ended; null for the first. */
  readonly after: Cursor | null;
  /** Most events on the page, ≥ 1. */
  readonly limit: number;
}

/** A page and where the next one begins. */
export interface Page {
  readonly events: readonly StreamEvent[];
  /** Where the next page begins; null when there are no more events. May be set on a page with few or no events: see `WorkBudget`. */
  readonly next: Cursor | null;
  readonly segmentsOpened: number;
}

/** How many segments one page may open. */
export interface WorkBudget {
  /** From here on the page ends, short, as soon as it has come any further than the page before. */
  readonly enough: number;
  /** A page that needs more is refused: this many segments overlap at one point in time. */
  readonly most: number;
}

/** 200 segments of 2,000 events are read in under a second; 2,000 stay within a Worker's CPU time and number of queries. */
const PAGE_BUDGET: WorkBudget = { enough: 200, most: 2_000 };

/** Opened at first, and doubled each time up to `MAX_GROUP`: most pages end within the first segments. */
const FIRST_GROUP = 2;
const MAX_GROUP = 20;

/** More segments overlap at one point in time than one page may open. */
export class TooManySegmentsError extends Error {
  /** Epoch ms where reading stopped. */
  readonly timestamp: number;
  constructor(timestamp: number, most: number) {
    super(`more than ${most} segments overlap at ${new Date(timestamp).toISOString()}`);
    this.timestamp = timestamp;
  }
}

/**
 * One page of a query over the unsealed tails and the sealed segments.
 *
 * Segments are opened in the order of their nearest end, and an event is given out only when no unopened segment can hold an
 * earlier one. Places in the order, not positions in a list, say where a page ends: so segments may be added, and tails may
 * be sealed, between two pages without an event lost or repeated.
 * @param tails read before `source` is, or events sealed in between are missed
 * @throws TooManySegmentsError
 */
export async function readPage<S extends SegmentPlace>(
  { query, after, limit }: PageRequest,
  tails: readonly Tail[],
  source: SegmentSource<S>,
  budget: WorkBudget = PAGE_BUDGET,
): Promise<Page> {
  const { order } = query;
  const candidates = new Candidates(query, after, limit + 1);
  for (const tail of tails) candidates.addSorted(tail.events);
  const cuts = tails.map((tail) => cutOf(tail, limit));
  const unread = new UnreadSegments(source, tails);
  let opened = 0;
  for (let group = FIRST_GROUP; ; group = Math.min(2 * group, MAX_GROUP)) {
    const next = await unread.peek();
    const beforeNext = next === undefined ? null : placeBeforeSegment(next, order);
    // Everything up to this place has been seen; null = everything.
    const seen = earliest([...cuts, beforeNext], order);
    const certain = candidates.events.filter((event) => seen === null || !isAfter(event, seen, order));
    if (certain.length >= limit) return fullPage(certain, limit, seen, opened);
    // Opening more would not help when nothing is left, or when it is a tail that tells no more.
    const isSpent = seen === null || seen !== beforeNext || (opened >= budget.enough && isAfter(seen, after, order));
    if (isSpent) return { events: certain, next: seen, segmentsOpened: opened };
    if (opened >= budget.most) throw new TooManySegmentsError(seen.timestamp, budget.most);
    const left = (opened < budget.enough ? budget.enough : budget.most) - opened;
    const segments = await unread.take(Math.min(group, left));
    await source.open(segments, (batch) => candidates.add(batch));
    opened += segments.length;
  }
}

function fullPage(certain: readonly StreamEvent[], limit: number, seen: Cursor | null, segmentsOpened: number): Page {
  const events = certain.slice(0, limit);
  const last = events.at(-1);
  const isEnd = seen === null && certain.length === limit;
  return {
    events,
    next: isEnd || last === undefined ? null : { timestamp: last.timestamp, id: last.id },
    segmentsOpened,
  };
}

/** The last place a tail tells about; null when it tells everything. */
function cutOf({ events, isCut }: Tail, limit: number): Cursor | null {
  return isCut === true || events.length > limit ? (events.at(-1) ?? null) : null;
}

function earliest(places: readonly (Cursor | null)[], order: Order): Cursor | null {
  const known = places.filter((place) => place !== null);
  return known.toSorted((a, b) => comparePlaces(a, b, order))[0] ?? null;
}
