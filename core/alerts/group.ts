import type { JsonValue } from "../events/event.ts";

/** Values of `group_by`, by path: `{"data.status": 404}`; empty when the aggregation has no `group_by`. */
export type Group = Readonly<Record<string, JsonValue>>;
/** Results of an aggregation's measures, by name. */
export type Values = Readonly<Record<string, JsonValue>>;

/** When an alert's condition held: a window without its groups. */
export interface WindowTime {
  readonly start: number;
  readonly end: number;
}

/** A text that two groups share only when they are the same group: entries sorted by path, as JSON. */
export function groupKey(group: Group): string {
  const paths = Object.keys(group);
  if (paths.length === 1) return JSON.stringify([paths[0], group[paths[0] ?? ""]]);
  return JSON.stringify(paths.sort().map((path) => [path, group[path]]));
}
