import { canonicalJson } from "../aggregates/canonical-json.ts";
import { hashValue } from "../aggregates/hash.ts";
import type { EventBatch } from "../events/event-batch.ts";
import { BatchView } from "../windows/batch-view.ts";
import { MAX_GROUP_KEY_LENGTH } from "../windows/group-keys.ts";
import type { ForwardedRows } from "./keeper-machine.ts";
import { PATTERN_TYPE_PREFIX } from "./match-event.ts";
import type { PatternPlan } from "./plan.ts";

/** Keepers of a tenant. Fixed for ever: it decides where a key's events are. */
export const KEEPERS = 8;

/** The key of a pattern without one. */
const ALL_TOGETHER = "null";

/** What a pattern made of the events it was tried on. */
export interface FeedCounts {
  /** Times a filter failed; such an event does not match. */
  filterErrors: number;
  /** Events that matched a step and have no key (it is missing or null), or one too long. */
  unkeyed: number;
}

/** Rows for one keeper, being gathered. */
export type GatheredRows = { readonly [Column in keyof ForwardedRows]: ForwardedRows[Column][number][] };

/** The keeper of a pattern's key. The pattern counts too, so that patterns without a key do not all share one keeper. */
export function keeperOf(patternId: number, key: string): number {
  const words = new Uint32Array(2);
  hashValue(`${patternId} ${key}`, words, 0);
  return (words[0] ?? 0) % KEEPERS;
}

/**
 * Gathers the events that some pattern waits for, by keeper. Events about patterns are passed over.
 * @param into     rows by keeper, added to
 * @param countsOf where a pattern's counts are kept
 * @returns rows gathered
 */
export function gather(
  plans: readonly PatternPlan[],
  batch: EventBatch,
  rows: Uint32Array,
  into: Map<number, GatheredRows>,
  countsOf: (plan: PatternPlan) => FeedCounts,
): number {
  const view = new BatchView(batch, withoutPatternEvents(batch, rows));
  let gathered = 0;
  for (const plan of plans) {
    const counts = countsOf(plan);
    const { rows: marked, steps } = markSteps(plan, view, counts);
    const keys = plan.keyPath === undefined ? undefined : batch.column(plan.keyPath);
    const known = new Map<number, KeyPlace | null>();
    for (const row of marked) {
      const position = keys?.index[row] ?? 0;
      let place = known.get(position);
      if (place === undefined) {
        place = placeOf(plan, keys === undefined ? ALL_TOGETHER : keyText(keys.values[position]), into);
        known.set(position, place);
      }
      if (place === null) {
        counts.unkeyed++;
        continue;
      }
      const { key, to } = place;
      to.pattern.push(plan.id);
      to.key.push(key);
      to.at.push(batch.timestamps[row] ?? 0);
      to.id.push(batch.ids[row] ?? "");
      to.steps.push(steps[row] ?? 0);
      gathered++;
    }
  }
  return gathered;
}

/** Appends one row of others. */
export function appendRow(to: GatheredRows, { pattern, key, at, id, steps }: ForwardedRows, row: number): void {
  to.pattern.push(pattern[row] ?? 0);
  to.key.push(key[row] ?? "");
  to.at.push(at[row] ?? 0);
  to.id.push(id[row] ?? "");
  to.steps.push(steps[row] ?? 0);
}

export function noRows(): GatheredRows {
  return { pattern: [], key: [], at: [], id: [], steps: [] };
}

/** A key and where its rows go. */
interface KeyPlace {
  readonly key: string;
  readonly to: GatheredRows;
}

function placeOf({ id }: PatternPlan, key: string | null, into: Map<number, GatheredRows>): KeyPlace | null {
  return key === null ? null : { key, to: rowsOf(into, keeperOf(id, key)) };
}

function rowsOf(into: Map<number, GatheredRows>, keeper: number): GatheredRows {
  const known = into.get(keeper);
  if (known !== undefined) return known;
  const made = noRows();
  into.set(keeper, made);
  return made;
}

function withoutPatternEvents(batch: EventBatch, rows: Uint32Array): Uint32Array {
  const { values, index } = batch.column(["type"]);
  const isOwn = values.map((type) => String(type).startsWith(PATTERN_TYPE_PREFIX));
  return isOwn.includes(true) ? rows.filter((row) => isOwn[index[row] ?? 0] !== true) : rows;
}

/** The rows that pass a step's filter, in order, and for each row of the batch the bits of those steps. */
function markSteps(plan: PatternPlan, view: BatchView, counts: FeedCounts): { rows: number[]; steps: Uint8Array } {
  const steps = new Uint8Array(view.batch.length);
  for (const { filter, bit } of plan.steps) {
    const { rows, errors } = view.select(filter);
    counts.filterErrors += errors;
    for (const row of rows) steps[row] = (steps[row] ?? 0) | bit;
  }
  const rows: number[] = [];
  for (const [row, bits] of steps.entries()) if (bits !== 0) rows.push(row);
  return { rows, steps };
}

function keyText(value: Parameters<typeof canonicalJson>[0] | undefined): string | null {
  if (value === undefined || value === null) return null;
  const text = canonicalJson(value);
  return text.length <= MAX_GROUP_KEY_LENGTH ? text : null;
}
