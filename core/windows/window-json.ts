import type { JsonValue } from "../events/event.ts";
import type { WindowJson } from "../live/protocol.ts";
import { type Aggregation, groupJson, valuesOf } from "./aggregation.ts";
import type { GroupState, WindowState } from "./window-state.ts";

/** A window as its rule sees it; times are epoch ms. All groups of the window in one. */
export interface ClosedWindow {
  readonly aggregation: string;
  readonly version: number;
  readonly start: number;
  readonly end: number;
  readonly revision: number;
  readonly groups: readonly { readonly group: Record<string, JsonValue>; readonly values: Record<string, JsonValue> }[];
}

/** One entry per group, ordered by group. */
export function windowJson(aggregation: Aggregation, window: WindowState): WindowJson[] {
  const { plan } = aggregation;
  return sortedGroups(window).map((group) => ({
    start: new Date(window.start).toISOString(),
    end: new Date(window.end).toISOString(),
    status: window.closed ? "closed" : "open",
    revision: window.revision,
    partial: window.partial,
    group: groupJson(plan, group.key),
    values: valuesOf(plan, group, window.end - window.start),
  }));
}

/** Groups in the one order that pages and cursors use: by the JSON text of their values. */
export function sortedGroups(window: WindowState): GroupState[] {
  return [...window.groups.values()].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}

export function closedWindow(aggregation: Aggregation, window: WindowState): ClosedWindow {
  const { plan, version } = aggregation;
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
