import { Candidates } from "../../core/events/candidates.ts";
import { toEventJson } from "../../core/events/json.ts";
import { fittingEvents } from "../../core/events/page-bytes.ts";
import { readPage } from "../../core/events/page.ts";
import { ALL_EVENTS, type Cursor, type EventQuery, type Order } from "../../core/events/query.ts";
import type { Tail } from "../../core/events/segments.ts";
import type { EventsSnapshot } from "../../core/live/protocol.ts";
import { segmentSource } from "../../storage/d1/segment-reader.ts";
import type { LogChunk } from "./chunk-log.ts";
import { LATEST_EVENTS } from "./live-feed.ts";
import type { Shard } from "./shard.ts";

/** What an object answers of its tail. */
export interface ShardTail extends Omit<Tail, "shard"> {
  /** Further objects to ask; home knows them. */
  readonly others: readonly number[];
}

/** Another of the tenant's objects, whose tail can be asked for. */
export interface TailReader {
  readonly object: number;
  readonly read: (query: EventQuery, after: Cursor | null, limit: number) => Promise<ShardTail>;
}

/** The unsealed events of a query, in its order, as many as one call can carry. The store has everything before `sealedThrough`. */
export function tailOf(
  { log, sealer, owner }: Shard,
  query: EventQuery,
  after: Cursor | null,
  limit: number,
): Omit<Tail, "shard"> {
  const candidates = new Candidates(query, after, limit);
  for (const chunk of nearestFirst(log.chunks, query.order)) {
    if (candidates.mayTake(chunk)) candidates.add(log.batch(chunk));
  }
  const events = fittingEvents(candidates.events);
  const isCut = events.length < candidates.events.length;
  return { events, isCut, sealedThrough: sealer.sealedThrough, incarnation: owner.incarnation };
}

/** So that the first chunks opened fill the page, and the others are beyond it. */
function nearestFirst(chunks: readonly LogChunk[], order: Order): LogChunk[] {
  return chunks.toSorted((a, b) =>
    order === "desc" ? b.maxTimestamp - a.maxTimestamp : a.minTimestamp - b.minTimestamp,
  );
}

/**
 * The latest events, from the tails and the store: an object that woke to be asked has seen none yet.
 * @param others the same from the tenant's other objects, in parallel
 */
export async function latestEvents(
  shard: Shard,
  db: D1Database,
  others: readonly TailReader[],
): Promise<EventsSnapshot> {
  const request = { query: ALL_EVENTS, after: null, limit: LATEST_EVENTS };
  const own = { shard: shard.owner.shard, ...tailOf(shard, ALL_EVENTS, null, LATEST_EVENTS + 1) };
  const theirs = await Promise.all(
    others.map(async ({ object, read }) => ({ ...(await read(ALL_EVENTS, null, LATEST_EVENTS + 1)), shard: object })),
  );
  const page = await readPage(request, [own, ...theirs], segmentSource(db, shard.owner.tenant, ALL_EVENTS, null));
  return { events: page.events.map(toEventJson) };
}
