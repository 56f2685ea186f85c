import type { JsonValue } from "../events/event.ts";
import type { GoneWindow, WindowJson } from "../live/protocol.ts";
import { type Aggregation, groupJson, valuesOf } from "./aggregation.ts";
import { compareText, type WindowName, type WindowView } from "./window-set.ts";
import type { GroupState } from "./window-state.ts";

/** A window as its rule sees it; times are epoch ms. All groups of the window in one. */
export interface ClosedWindow {
  readonly aggregation: string;
  readonly version: number;
  readonly start: number;
  readonly end: number;
  readonly revision: number;
  readonly groups: readonly WindowGroup[];
  /** What rules look back to, by name (`previous`, `at:7d`); a window that is not there is missing. */
  readonly past?: Readonly<Record<string, readonly WindowGroup[]>>;
  /** Windows end so many ms after each other; absent where that differs, as in calendars and sessions. */
  readonly stepMs?: number;
}

/** One group of a window and the results of its measures. */
export interface WindowGroup {
  readonly group: Readonly<Record<string, JsonValue>>;
  readonly values: Readonly<Record<string, JsonValue>>;
}

/** One entry per group, ordered by group. @param most entries wanted; of the others nothing is decoded */
export function windowJson(aggregation: Aggregation, window: WindowView, most = Infinity): WindowJson[] {
  const groups = most === Infinity ? sortedGroups(window) : firstGroups(window, null, () => true, most);
  return groups.map((group) => groupWindowJson(aggregation, window, group));
}

/** One group's entry. */
export function groupWindowJson({ plan }: Aggregation, window: WindowView, group: GroupState): WindowJson {
  return {
    start: new Date(window.start).toISOString(),
    end: new Date(window.end).toISOString(),
    status: window.closed ? "closed" : "open",
    revision: window.revision,
    partial: window.partial,
    group: groupJson(plan, group.key),
    values: valuesOf(plan, group, window.end - window.start),
  };
}

/** Groups in the one order that pages and cursors use: by the JSON text of their values. */
export function sortedGroups(window: WindowView): GroupState[] {
  return [...window.groups.values()].sort((a, b) => compareText(a.key, b.key));
}

/** Of the groups after `after`, in the order of pages, the first that are wanted: those of a large window are decoded one by one. */
export function firstGroups(
  { groups }: WindowView,
  after: string | null,
  isWanted: (key: string) => boolean,
  most: number,
): GroupState[] {
  let keys: string[] = [];
  for (const key of groups.keys()) {
    if ((after !== null && key <= after) || !isWanted(key)) continue;
    keys.push(key);
    // So that a page of a hundred does not sort hundreds of thousands.
    if (keys.length >= SORTED_PER_PAGE * most) keys = keys.sort(compareText).slice(0, most);
  }
  return keys
    .sort(compareText)
    .slice(0, most)
    .flatMap((key) => groups.get(key) ?? []);
}

const SORTED_PER_PAGE = 8;

export function closedWindow({ plan, version }: Aggregation, window: WindowView): ClosedWindow {
  return {
    aggregation: plan.definition.name,
    version,
    start: window.start,
    end: window.end,
    revision: window.revision,
    groups: sortedGroups(window).map((group) => ({
      group: groupJson(plan, group.key),
      values: valuesOf(plan, group, window.end - window.start),
    })),
  };
}

/** Sessions that end at the same time, as one: it begins with the first of them and has the largest revision. Null without any. */
export function closedSessions(aggregation: Aggregation, sessions: readonly WindowView[]): ClosedWindow | null {
  const told = sessions.map((session) => closedWindow(aggregation, session));
  const [first] = told;
  if (first === undefined) return null;
  return {
    ...first,
    start: Math.min(...told.map(({ start }) => start)),
    revision: Math.max(...told.map(({ revision }) => revision)),
    groups: told.flatMap(({ groups }) => groups),
  };
}

/** What readers knew a window by that is no more: its start and its group. */
export function goneJson({ plan }: Aggregation, { start, session }: WindowName): GoneWindow {
  return { start: new Date(start).toISOString(), group: groupJson(plan, session ?? "[]") };
}
