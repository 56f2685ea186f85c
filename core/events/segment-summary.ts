import { buildBloom } from "./bloom.ts";
import type { EventBatch } from "./event-batch.ts";
import type { EventQuery } from "./query.ts";

/** What the segment index says about a segment, so that a query can skip it without reading it. */
export interface SegmentSummary {
  readonly events: number;
  /** Epoch ms of the oldest event. */
  readonly minTimestamp: number;
  /** Epoch ms of the newest event. */
  readonly maxTimestamp: number;
  /** Every type inside; null when they are too many to list, and then they are keys of `filter`. */
  readonly types: readonly string[] | null;
  /** Every source inside; null as for `types`. */
  readonly sources: readonly string[] | null;
  /** Bloom filter over the keys of `filterKeys`. A search trusts that all of them are in: build it nowhere else. */
  readonly filter: Uint8Array;
}

/** Longest list of types or of sources kept as such, characters of JSON: the index row should stay within one page cell. */
export const MAX_LIST_CHARACTERS = 120;

/**
 * One letter per field, so that a user and a session of the same name are different keys. Part of the stored format.
 * Types and sources are keys only where their list was too long.
 */
const KEYED_FIELDS = [
  { field: "user_id", prefix: "u:", wanted: "userIds" },
  { field: "session_id", prefix: "s:", wanted: "sessionIds" },
  { field: "correlation_id", prefix: "c:", wanted: "correlationIds" },
  { field: "tags", prefix: "g:", wanted: "tags" },
  { field: "severity", prefix: "v:", wanted: "severities" },
] as const;
const TYPE_PREFIX = "t:";
const SOURCE_PREFIX = "o:";

/** @param batches the segment's events, at least one in all */
export function summarizeSegment(batches: readonly EventBatch[]): SegmentSummary {
  const types = distinct(batches, "type");
  const sources = distinct(batches, "source");
  const keys = KEYED_FIELDS.flatMap(({ field, prefix }) =>
    [...distinct(batches, field)].map((value) => prefix + value),
  );
  const typeList = listIfShort(types, TYPE_PREFIX, keys);
  const sourceList = listIfShort(sources, SOURCE_PREFIX, keys);
  const [minTimestamp, maxTimestamp] = timeRange(batches);
  const events = batches.reduce((sum, batch) => sum + batch.length, 0);
  return { events, minTimestamp, maxTimestamp, types: typeList, sources: sourceList, filter: buildBloom(keys) };
}

/** For each field the query asks about, the filter keys of its values: a segment needs one of every list. */
export function filterKeys(query: EventQuery): readonly (readonly string[])[] {
  return KEYED_FIELDS.map(({ wanted, prefix }) => query[wanted].map((value) => prefix + value)).filter(
    (keys) => keys.length > 0,
  );
}

/** The key that stands for a type in the filter of a segment without a list of types. */
export const typeKey = (type: string): string => TYPE_PREFIX + type;
/** The key that stands for a source in the filter of a segment without a list of sources. */
export const sourceKey = (source: string): string => SOURCE_PREFIX + source;

function listIfShort(values: ReadonlySet<string>, prefix: string, keys: string[]): readonly string[] | null {
  const list = [...values].sort();
  if (JSON.stringify(list).length <= MAX_LIST_CHARACTERS) return list;
  for (const value of list) keys.push(prefix + value);
  return null;
}

/** By column value, not by row. A dictionary may hold a value that no row uses: then the segment is opened in vain now and then. */
function distinct(batches: readonly EventBatch[], field: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const batch of batches) {
    for (const value of batch.column([field]).values) {
      for (const item of Array.isArray(value) ? value : [value]) if (typeof item === "string") found.add(item);
    }
  }
  return found;
}

function timeRange(batches: readonly EventBatch[]): readonly [number, number] {
  let min = Infinity;
  let max = -Infinity;
  for (const { timestamps } of batches) {
    for (const at of timestamps) {
      if (at < min) min = at;
      if (at > max) max = at;
    }
  }
  return [min, max];
}
