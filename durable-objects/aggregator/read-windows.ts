import type { JsonValue } from "../../core/events/event.ts";
import type { WindowJson } from "../../core/live/protocol.ts";
import { type Aggregation, groupJson, valuesOf } from "../../core/windows/aggregation.ts";
import { sortedGroups, windowJson } from "../../core/windows/window-json.ts";
import type { GroupState, WindowState } from "../../core/windows/window-state.ts";
import type { ShardTables } from "./tables.ts";

/** Windows read for one range query; a year of one-minute windows is 525,600, so ask such ranges of a coarser aggregation. */
export const MAX_WINDOWS_PER_QUERY = 50_000;
/** Rows of one range query's answer. */
export const MAX_RANGE_ROWS = 20_000;
const STARTS_PER_READ = 500;

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
  /** Length of a step in ms, or null for one step over everything. */
  readonly stepMs: number | null;
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
  for (const window of windowsFrom(aggregation, tables, from, query.to)) {
    if (query.status !== "all" && (query.status === "closed") !== window.closed) continue;
    const shown = windowJson(aggregation, window);
    for (const [k, group] of sortedGroups(window).entries()) {
      const place = { start: window.start, key: group.key };
      const json = shown[k];
      if (json === undefined || !isBeyond(place, query.after) || !matches(json.group, query.groups)) continue;
      if (windows.length === query.limit) return page(aggregation, windows, next);
      windows.push(json);
      next = place;
    }
  }
  return page(aggregation, windows, null);
}

/** Merges the accumulators of every window that starts in the range, per step and group. */
export function queryRange(aggregation: Aggregation, tables: ShardTables, query: RangeQuery): RangeResult {
  const steps = new Map<string, { start: number; end: number; partial: boolean; group: GroupState }>();
  let read = 0;
  for (const window of windowsFrom(aggregation, tables, query.from, query.to)) {
    if (++read > MAX_WINDOWS_PER_QUERY) return { ok: false, limit: MAX_WINDOWS_PER_QUERY };
    const stepStart = query.stepMs === null ? 0 : startOfStep(window.start, query.from ?? 0, query.stepMs);
    for (const group of window.groups.values()) {
      if (!matches(groupJson(aggregation.plan, group.key), query.groups)) continue;
      const name = `${stepStart} ${group.key}`;
      let step = steps.get(name);
      if (step === undefined) {
        if (steps.size === MAX_RANGE_ROWS) return { ok: false, limit: MAX_RANGE_ROWS };
        const fresh = {
          key: group.key,
          accumulators: aggregation.plan.measures.map(({ measure }) => measure.create()),
        };
        step = {
          start: query.stepMs === null ? window.start : stepStart,
          end: window.end,
          partial: false,
          group: fresh,
        };
        steps.set(name, step);
      }
      step.start = Math.min(step.start, window.start);
      step.end = query.stepMs === null ? Math.max(step.end, window.end) : stepStart + query.stepMs;
      step.partial ||= window.partial;
      for (const [m, accumulator] of group.accumulators.entries()) step.group.accumulators[m]?.merge(accumulator);
    }
  }
  const rows = [...steps.values()]
    .sort((a, b) => a.start - b.start || (a.group.key < b.group.key ? -1 : 1))
    .map(({ start, end, partial, group }) => ({
      start,
      end,
      partial,
      group: groupJson(aggregation.plan, group.key),
      values: valuesOf(aggregation.plan, group, end - start),
    }));
  return { ok: true, rows };
}

/** Every window that starts in [from, to), by start: those in storage and those only in memory, each once. */
function* windowsFrom(
  aggregation: Aggregation,
  tables: ShardTables,
  from: number | null,
  to: number | null,
): IterableIterator<WindowState> {
  let position = from ?? -Infinity;
  const end = to ?? Infinity;
  const resident = [...aggregation.windows.keys()]
    .filter((start) => start >= position && start < end)
    .sort((a, b) => a - b);
  for (;;) {
    const stored = tables.windowStarts(
      aggregation.id,
      Math.max(position, Number.MIN_SAFE_INTEGER),
      Math.min(end, Number.MAX_SAFE_INTEGER),
      STARTS_PER_READ,
    );
    const readThrough = stored.length < STARTS_PER_READ ? end : (stored.at(-1) ?? end) + 1;
    const starts = new Set([...stored, ...resident.filter((start) => start >= position && start < readThrough)]);
    for (const start of [...starts].sort((a, b) => a - b)) {
      const window = aggregation.window(start);
      if (window !== undefined) yield window;
    }
    if (stored.length < STARTS_PER_READ) return;
    position = readThrough;
  }
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

function isBeyond(place: WindowPlace, after: WindowPlace | null): boolean {
  return after === null || place.start > after.start || (place.start === after.start && place.key > after.key);
}

function matches(group: Readonly<Record<string, JsonValue>>, wanted: GroupFilter): boolean {
  return Object.entries(wanted).every(([path, text]) => {
    const value = group[path];
    return (
      value === text || JSON.stringify(value ?? null) === text || (typeof value === "number" && value === Number(text))
    );
  });
}

function startOfStep(start: number, origin: number, stepMs: number): number {
  return Math.floor((start - origin) / stepMs) * stepMs + origin;
}
