import { EventBatch } from "../../core/events/event-batch.ts";
import type { Cursor, EventQuery } from "../../core/events/query.ts";
import type { SegmentSource } from "../../core/events/segments.ts";
import { splitChunks, unpackChunk } from "../chunk.ts";
import { fromBase64 } from "./base64.ts";
import { groupBySize } from "./groups.ts";
import { findSegments, type StoredSegment } from "./segment-search.ts";
import type { SegmentKey } from "./segment-store.ts";

/** Bodies loaded by one statement: D1 answers with all of them at once, base64 text and bytes side by side in memory. */
const BODIES_PER_QUERY = { maxItems: 20, maxBytes: 3_000_000 };

/** Keys go in as one JSON parameter, and come out in the same order. */
const SELECT_BODIES = `
  select b.body from json_each(?2) as k
  cross join segment_bodies as b
    on b.tenant = ?1 and b.shard = k.value ->> 0 and b.incarnation = k.value ->> 1 and b.seq_from = k.value ->> 2
  order by k.key`;

/** The index names a segment whose body is not there. */
export class MissingBodyError extends Error {
  override readonly name = "MissingBodyError";
}

/** The event store of a tenant as one query sees it, see `readPage`. */
export function segmentSource(
  db: D1Database,
  tenant: string,
  query: EventQuery,
  after: Cursor | null,
): SegmentSource<StoredSegment> {
  return {
    list: (beyond, count) => findSegments(db, tenant, { query, after, beyond, count }),
    open: async (segments, visit) => {
      for (const group of groupBySize(segments, ({ bytes }) => bytes, BODIES_PER_QUERY)) {
        for (const body of await loadBodies(db, group)) visitBatches(body, query, visit);
      }
    },
  };
}

/**
 * Bodies of segments of one tenant, in the order asked for: at most 20 and a few MB at once.
 * @throws MissingBodyError
 */
export async function loadBodies(db: D1Database, keys: readonly SegmentKey[]): Promise<Uint8Array[]> {
  const [first] = keys;
  if (first === undefined) return [];
  const places = keys.map(({ shard, incarnation, seqFrom }) => [shard, incarnation, seqFrom]);
  const { results } = await db
    .prepare(SELECT_BODIES)
    .bind(first.tenant, JSON.stringify(places))
    .all<{ body: string }>();
  if (results.length !== keys.length)
    throw new MissingBodyError(`${keys.length - results.length} of ${keys.length} bodies of ${first.tenant}`);
  return results.map(({ body }) => fromBase64(body));
}

/** One chunk is inflated at a time. A wanted id must stand in the text as it is, so text without it need not be parsed. */
function visitBatches(body: Uint8Array, { ids }: EventQuery, visit: (batch: EventBatch) => void): void {
  for (const chunk of splitChunks(body)) {
    const text = unpackChunk(chunk);
    if (ids.length === 0 || ids.some((id) => text.includes(id))) visit(EventBatch.fromText(text));
  }
}
