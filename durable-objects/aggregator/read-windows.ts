import type { JsonValue } from "../../core/events/event.ts";
import type { WindowJson } from "../../core/live/protocol.ts";
import { type Aggregation, groupJson, valuesOf } from "../../core/windows/aggregation.ts";
import { CalendarFrame, type CalendarUnit } from "../../core/windows/calendar.ts";
import { FixedFrame, type Frame } from "../../core/windows/frame.ts";
import { firstGroups, groupWindowJson } from "../../core/windows/window-json.ts";
import type { Portion, StoredKeys } from "../../core/windows/window-set.ts";
import { emptyGroup, type GroupState, mergeGroup } from "../../core/windows/window-state.ts";
import type { ShardTables } from "./tables.ts";

/** Windows read for one range query; a year of one-minute windows is 525,600, so ask such ranges of a coarser aggregation. */
export const MAX_WINDOWS_PER_QUERY = 50_000;
/** Rows of one range query's answer. */
export const MAX_RANGE_ROWS = 20_000;

/** Group values wanted, by path text; the text of a value or its JSON. */
export type GroupFilter = Readonly<Record<string, string>>;

export interface WindowsQuery {
  /** Epoch ms: windows that start at or after it; null = no bound. */
  readonly from: number | null;
  /** Epoch ms: windows that start before it; null = no bound. */
  readonly to: number | null;
  readonly status: "all" | "open" | "closed";
  readonly groups: GroupFilter;
  readonly limit: number;
  readonly after: WindowPlace | null;
}

/** Where a page ended: the last window's start and its group's key. */
export interface WindowPlace {
  readonly start: number;
  readonly key: string;
}

export interface WindowPage {
  readonly watermark: number | null;
  readonly windows: readonly WindowJson[];
  readonly lateEvents: number;
  readonly filterErrors: number;
  readonly next: WindowPlace | null;
}

export interface RangeQuery {
  readonly from: number | null;
  readonly to: number | null;
  /** Length of a step in ms, counted from `from`, or null for one step over everything or for a calendar's steps. */
  readonly stepMs: number | null;
  /** Steps of a time zone's calendar. */
  readonly calendarStep?: { readonly unit: CalendarUnit; readonly timezone: string };
  readonly groups: GroupFilter;
}

export interface RangeRow {
  /** Epoch ms. */
  readonly start: number;
  readonly end: number;
  readonly group: Record<string, JsonValue>;
  readonly values: Record<string, JsonValue>;
  /** True when some window in it was. */
  readonly partial: boolean;
}

export type RangeResult =
  | { readonly ok: true; readonly rows: readonly RangeRow[] }
  | { readonly ok: false; readonly limit: number };

/** Windows by start, then group, one entry per group. */
export function listWindows(aggregation: Aggregation, tables: ShardTables, query: WindowsQuery): WindowPage {
  const windows: WindowJson[] = [];
  let next: WindowPlace | null = null;
  const from = query.after === null ? query.from : query.after.start;
  const isFiltered = Object.keys(query.groups).length > 0;
  for (const window of aggregation.windows.list(from ?? -Infinity, query.to ?? Infinity, keysOf(aggregation, tables))) {
    if (query.status !== "all" && (query.status === "closed") !== window.closed) continue;
    const after = query.after !== null && query.after.start === window.start ? query.after.key : null;
    const isWanted = (key: string): boolean => !isFiltered || matches(groupJson(aggregation.plan, key), query.groups);
    // One more than the page holds, to know whether there is another.
    for (const group of firstGroups(window, after, isWanted, query.limit - windows.length + 1)) {
      if (windows.length === query.limit) return page(aggregation, windows, next);
      windows.push(groupWindowJson(aggregation, window, group));
      next = { start: window.start, key: group.key };
    }
  }
  return page(aggregation, windows, null);
}

/** Merges the accumulators of everything that starts in the range, per step and group: windows, slices of hopping ones, sessions. */
export function queryRange(aggregation: Aggregation, tables: ShardTables, query: RangeQuery): RangeResult {
  const steps = new Map<string, Step>();
  const frame = stepsOf(query);
  let read = 0;
  const portions = aggregation.windows.portions(
    query.from ?? -Infinity,
    query.to ?? Infinity,
    keysOf(aggregation, tables),
  );
  for (const portion of portions) {
    if (++read > MAX_WINDOWS_PER_QUERY) return { ok: false, limit: MAX_WINDOWS_PER_QUERY };
    const start = frame?.startOf(portion.start);
    for (const group of portion.groups.values()) {
      if (!matches(groupJson(aggregation.plan, group.key), query.groups)) continue;
      const name = `${start ?? ""} ${group.key}`;
      let step = steps.get(name);
      if (step === undefined) {
        if (steps.size === MAX_RANGE_ROWS) return { ok: false, limit: MAX_RANGE_ROWS };
        step = newStep(portion, start, frame, emptyGroup(group.key, aggregation.plan));
        steps.set(name, step);
      }
      addTo(step, portion, frame === null, group);
    }
  }
  return { ok: true, rows: [...steps.values()].sort(byStartThenGroup).map((step) => rowOf(aggregation, step)) };
}

interface Step {
  start: number;
  end: number;
  partial: boolean;
  readonly group: GroupState;
}

/** The steps of a query, or null for one over everything. */
function stepsOf({ from, stepMs, calendarStep }: RangeQuery): Frame | null {
  if (calendarStep !== undefined) return new CalendarFrame(calendarStep.unit, calendarStep.timezone);
  return stepMs === null ? null : new FixedFrame(stepMs, from ?? 0);
}

function newStep(portion: Portion, start: number | undefined, frame: Frame | null, group: GroupState): Step {
  return {
    start: start ?? portion.start,
    end: start === undefined || frame === null ? portion.end : frame.endOf(start),
    partial: false,
    group,
  };
}

/** @param isTotal whether the step is as long as what is in it */
function addTo(step: Step, portion: Portion, isTotal: boolean, group: GroupState): void {
  if (isTotal) {
    step.start = Math.min(step.start, portion.start);
    step.end = Math.max(step.end, portion.end);
  }
  step.partial ||= portion.partial;
  mergeGroup(step.group, group);
}

function byStartThenGroup(a: Step, b: Step): number {
  return a.start - b.start || (a.group.key < b.group.key ? -1 : 1);
}

function rowOf({ plan }: Aggregation, { start, end, partial, group }: Step): RangeRow {
  return { start, end, partial, group: groupJson(plan, group.key), values: valuesOf(plan, group, end - start) };
}

/** Where an aggregation has windows on disk. */
export function keysOf(aggregation: Aggregation, tables: ShardTables): StoredKeys {
  return (from, to, limit) => tables.windowKeys(aggregation.id, from, to, limit);
}

function page(aggregation: Aggregation, windows: readonly WindowJson[], next: WindowPlace | null): WindowPage {
  return {
    watermark: Number.isFinite(aggregation.watermark) ? aggregation.watermark : null,
    windows,
    lateEvents: aggregation.lateEvents,
    filterErrors: aggregation.filterErrors,
    next,
  };
}

function matches(group: Readonly<Record<string, JsonValue>>, wanted: GroupFilter): boolean {
  return Object.entries(wanted).every(([path, text]) => {
    const value = group[path];
    return (
      value === text || JSON.stringify(value ?? null) === text || (typeof value === "number" && value === Number(text))
    );
  });
}
