import type { JsonValue } from "./event.ts";
import type { EventBatch } from "./event-batch.ts";
import type { EventQuery } from "./query.ts";

/**
 * A test for the rows of one batch, compiled once: each wanted field is compared per distinct value of its column, not
 * per row, which is what makes the columnar form quick to filter.
 * @returns a function of the row number, true when the row is wanted
 */
export function rowMatcher(batch: EventBatch, query: EventQuery): (row: number) => boolean {
  const from = query.fromMs ?? -Infinity;
  const to = query.toMs ?? Infinity;
  const ids = query.ids.length === 0 ? null : new Set(query.ids);
  const tests = columnTests(batch, query);
  return (row) => {
    const at = batch.timestamps[row] ?? Number.NaN;
    return at >= from && at < to && (ids === null || ids.has(batch.ids[row] ?? "")) && tests.every((test) => test(row));
  };
}

function columnTests(batch: EventBatch, query: EventQuery): ((row: number) => boolean)[] {
  const wanted: readonly (readonly [string, readonly string[]])[] = [
    ["type", query.types],
    ["source", query.sources],
    ["user_id", query.userIds],
    ["session_id", query.sessionIds],
    ["correlation_id", query.correlationIds],
    ["severity", query.severities],
    ["tags", query.tags],
  ];
  return wanted
    .filter(([, values]) => values.length > 0)
    .map(([field, values]) => columnTest(batch, field, new Set(values)));
}

function columnTest(batch: EventBatch, field: string, wanted: ReadonlySet<JsonValue>): (row: number) => boolean {
  const { values, index } = batch.column([field]);
  const hits = Uint8Array.from(values, (value) => (isWanted(value, wanted) ? 1 : 0));
  return (row) => hits[index[row] ?? 0] === 1;
}

/** Tags are a list, of which one must be wanted. */
function isWanted(value: JsonValue | undefined, wanted: ReadonlySet<JsonValue>): boolean {
  return Array.isArray(value) ? value.some((item) => wanted.has(item)) : value !== undefined && wanted.has(value);
}
