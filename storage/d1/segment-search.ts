import { probesOf } from "../../core/events/bloom.ts";
import type { Cursor, EventQuery } from "../../core/events/query.ts";
import { filterKeys, sourceKey, typeKey } from "../../core/events/segment-summary.ts";
import type { SegmentPlace } from "../../core/events/segments.ts";
import type { SegmentKey } from "./segment-store.ts";

/** What the index says about a segment that was found. */
export interface StoredSegment extends SegmentKey, SegmentPlace {
  /** Exclusive. */
  readonly seqTo: number;
  readonly events: number;
  /** Body size before base64. */
  readonly bytes: number;
}

/** Which segments are wanted next. */
export interface SegmentSearch {
  readonly query: EventQuery;
  /** Segments with nothing beyond this place are left out; null = from the beginning. */
  readonly after: Cursor | null;
  /** The last segment of the search before; null for the first. */
  readonly beyond: StoredSegment | null;
  readonly count: number;
}

/** A piece of SQL with `?` for its parameters. */
interface Condition {
  readonly sql: string;
  readonly values: readonly (string | number)[];
}

/** All byte values in order: SQLite has no function for the number of a byte, but `instr` finds its place in here. */
const EVERY_BYTE = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0")).join("");

const READING_ORDER = {
  desc: { key: ["max_ts", "shard", "incarnation", "seq_from"], direction: "desc", compare: "<" },
  // No index serves this one: the tenant's range is read and sorted, which takes some 20 ms at 10,000 segments and saves a row per write.
  asc: { key: ["min_ts", "max_ts", "shard", "incarnation", "seq_from"], direction: "asc", compare: ">" },
} as const;

/**
 * Segments that may hold wanted events, nearest first: by newest event for desc, by oldest for asc. Their bodies are not
 * touched; types, sources and Bloom filters are tested inside D1.
 * @returns at most `count`; fewer only when there are no more
 */
export async function findSegments(db: D1Database, tenant: string, search: SegmentSearch): Promise<StoredSegment[]> {
  const { sql, values } = searchStatement(tenant, search);
  const { results } = await db
    .prepare(sql)
    .bind(...values)
    .all<IndexRow>();
  return results.map((row) => ({
    tenant,
    shard: row.shard,
    incarnation: row.incarnation,
    seqFrom: row.seq_from,
    seqTo: row.seq_to,
    events: row.events,
    bytes: row.bytes,
    minTimestamp: row.min_ts,
    maxTimestamp: row.max_ts,
  }));
}

interface IndexRow {
  readonly shard: number;
  readonly incarnation: string;
  readonly seq_from: number;
  readonly seq_to: number;
  readonly events: number;
  readonly bytes: number;
  readonly min_ts: number;
  readonly max_ts: number;
}

/** The statement of a search: under 100 parameters and 100 KB for any query within the limits of core/events/query-parse.ts. */
export function searchStatement(tenant: string, { query, after, beyond, count }: SegmentSearch): Condition {
  const { key, direction, compare } = READING_ORDER[query.order];
  const conditions = [
    { sql: "tenant = ?", values: [tenant] },
    ...timeConditions(query, after),
    ...(beyond === null
      ? []
      : [
          {
            sql: `(${key.join(", ")}) ${compare} (${key.map(() => "?").join(", ")})`,
            values: keyValues(beyond, query),
          },
        ]),
    ...listConditions("types", query.types, typeKey),
    ...listConditions("sources", query.sources, sourceKey),
    ...filterKeys(query).map((keys) => ({ sql: anyInFilter(keys), values: [] })),
  ];
  const sql = `
    with every_byte as materialized (select x'${EVERY_BYTE}' as byte_values)
    select shard, incarnation, seq_from, seq_to, events, bytes, min_ts, max_ts
    from segment_index cross join every_byte
    where ${conditions.map((condition) => condition.sql).join(" and ")}
    order by ${key.map((column) => `${column} ${direction}`).join(", ")}
    limit ?`;
  return { sql, values: [...conditions.flatMap((condition) => condition.values), count] };
}

/** What has been read through reaches to `after`, so a segment must have something at or beyond its timestamp. */
function timeConditions({ fromMs, toMs, order }: EventQuery, after: Cursor | null): Condition[] {
  const conditions: Condition[] = [];
  if (fromMs !== null) conditions.push({ sql: "max_ts >= ?", values: [fromMs] });
  if (toMs !== null) conditions.push({ sql: "min_ts < ?", values: [toMs] });
  if (after !== null)
    conditions.push({ sql: order === "desc" ? "min_ts <= ?" : "max_ts >= ?", values: [after.timestamp] });
  return conditions;
}

function keyValues(
  { minTimestamp, maxTimestamp, shard, incarnation, seqFrom }: StoredSegment,
  { order }: EventQuery,
): (string | number)[] {
  const key = [maxTimestamp, shard, incarnation, seqFrom];
  return order === "desc" ? key : [minTimestamp, ...key];
}

/**
 * A list column is JSON text, searched for the value as JSON, quotes and all. That can find too much (`"x"` inside `"a\"x"`)
 * but never too little, and is several times faster than json_each for every row.
 */
function listConditions(
  column: "types" | "sources",
  wanted: readonly string[],
  keyOf: (value: string) => string,
): Condition[] {
  if (wanted.length === 0) return [];
  const listed = wanted.map(() => `instr(${column}, ?) > 0`).join(" or ");
  const sql = `((${column} is null and ${anyInFilter(wanted.map(keyOf))}) or ${listed})`;
  return [{ sql, values: wanted.map((value) => JSON.stringify(value)) }];
}

function anyInFilter(keys: readonly string[]): string {
  return `(${keys.map((key) => `(${probesOf(key).map(probeSql).join(" and ")})`).join(" or ")})`;
}

/** Only numbers that were computed here get into the text. In an empty filter `%` is null, which counts as not found. */
function probeSql({ hash, mask }: { hash: number; mask: number }): string {
  return `((instr(byte_values, substr(filter, ${hash} % length(filter) + 1, 1)) - 1) & ${mask}) <> 0`;
}
