import { parseStoredJson } from "../aggregates/canonical-json.ts";
import { jsonOf, keyOf } from "../aggregates/value-key.ts";
import { type ByteReader, type ByteWriter, CorruptStateError } from "../bytes.ts";
import type { FacetValue, OverviewCounts } from "../live/overview-meter.ts";
import type { EventStats } from "./store-stats.ts";

// The counts that a delta carries beside windows, as bytes. Each `read` throws CorruptStateError on what its `write` did not write.

/** Totals over the events of a delta. */
export function writeStats(into: ByteWriter, { total, byType, bySource, oldest, newest }: EventStats): void {
  into.varint(total);
  writeCounts(into, Object.entries(byType));
  writeCounts(into, Object.entries(bySource));
  into.f64(oldest ?? Number.NaN);
  into.f64(newest ?? Number.NaN);
}

/** @throws CorruptStateError */
export function readStats(from: ByteReader): EventStats {
  const total = from.varint();
  const byType = Object.fromEntries(readCounts(from));
  const bySource = Object.fromEntries(readCounts(from));
  const [oldest, newest] = [from.f64(), from.f64()];
  const isTime = total === 0 ? Number.isNaN : Number.isFinite;
  if (!isTime(oldest) || !isTime(newest)) throw new CorruptStateError("times do not fit the number of events");
  return { total, byType, bySource, oldest: total === 0 ? null : oldest, newest: total === 0 ? null : newest };
}

/** What a meter counted. */
export function writeOverview(into: ByteWriter, { seconds, facets }: OverviewCounts): void {
  into.varint(seconds.length);
  for (const { at, total, byType } of seconds) {
    into.varint(at);
    into.varint(total);
    writeCounts(into, byType);
  }
  into.varint(facets.length);
  for (const minutes of facets) {
    into.varint(minutes.length);
    for (const { minute, values } of minutes) {
      into.varint(minute);
      into.varint(values.length);
      for (const [value, count] of values) {
        into.string(jsonOf(keyOf(value)));
        into.varint(count);
      }
    }
  }
}

/** @throws CorruptStateError */
export function readOverview(from: ByteReader): OverviewCounts {
  const seconds = from.list(() => ({ at: from.varint(), total: from.varint(), byType: readCounts(from) }));
  const facets = from.list(() =>
    from.list(() => ({
      minute: from.varint(),
      values: from.list((): readonly [FacetValue, number] => [facetValue(from.string()), from.varint()]),
    })),
  );
  return { seconds, facets };
}

function facetValue(text: string): FacetValue {
  const value = parseStoredJson(text);
  if (value === null || typeof value === "object") throw new CorruptStateError("a facet's value is no scalar");
  return value;
}

function writeCounts(into: ByteWriter, counts: readonly (readonly [string, number])[]): void {
  into.varint(counts.length);
  for (const [name, count] of counts) {
    into.string(name);
    into.varint(count);
  }
}

function readCounts(from: ByteReader): (readonly [string, number])[] {
  return from.list((): readonly [string, number] => [from.string(), from.varint()]);
}
