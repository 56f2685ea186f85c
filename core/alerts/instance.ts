import { groupKey } from "./group.ts";
import type { Group, Values, WindowTime } from "./group.ts";
import { MAX_SHOWN_VALUES_CHARS } from "./limits.ts";
import type { Timer } from "./timer.ts";

/** An open alert: one group of one rule, pending or firing. */
export interface Instance {
  readonly alertId: string;
  /** Its group has no data; absent when its condition holds. */
  readonly kind?: "no_data" | undefined;
  /** End (epoch ms) of the window that was still open when it opened the alert; absent once that has closed. */
  readonly earlyEnd?: number | undefined;
  readonly group: Group;
  readonly timer: Timer;
  /** The newest window in which the condition held, its revision, and the values it held for. */
  readonly window: WindowTime;
  readonly revision: number;
  readonly values: Values;
}

/** Open alerts of one rule, by `instanceKey`. */
export type Instances = ReadonlyMap<string, Instance>;

/** A group may have two alerts of one rule: that its condition holds, and that it went quiet. */
export function instanceKey({ kind, group }: Pick<Instance, "kind" | "group">): string {
  return kind === "no_data" ? noDataKey(groupKey(group)) : groupKey(group);
}

/** No group's key begins like this: they are JSON. */
export function noDataKey(key: string): string {
  return `no_data ${key}`;
}

/** The values an alert shows: measures in their order, without those that would take the JSON text over the limit. */
export function shownValues(values: Values): Values {
  if (isShort(values)) return values;
  const shown: [string, Values[string]][] = [];
  let chars = 2;
  for (const [name, value] of Object.entries(values)) {
    const cost = name.length + JSON.stringify(value).length + 4;
    if (chars + cost > MAX_SHOWN_VALUES_CHARS) continue;
    chars += cost;
    shown.push([name, value]);
  }
  return Object.fromEntries(shown);
}

/** Characters that a number, a truth or null takes at most as JSON, with what stands around it. */
const MAX_SCALAR_CHARS = 30;

/** True when the values surely fit: a few numbers, as nearly always, without writing them out to see. */
function isShort(values: Values): boolean {
  let chars = 2;
  for (const name in values) {
    const value = values[name];
    if (typeof value === "string" || (typeof value === "object" && value !== null)) return false;
    chars += name.length + MAX_SCALAR_CHARS;
  }
  return chars <= MAX_SHOWN_VALUES_CHARS;
}

/** Characters per page: three bytes each at worst stay under the 2 MB that one row may hold. */
const MAX_PAGE_CHARS = 400_000;

/** An open alert as it is written down: without the names of its fields, which would be most of the text. */
type Row = readonly [
  alertId: string,
  group: Group,
  isFiring: 0 | 1,
  since: number,
  falseSince: number | null,
  start: number,
  end: number,
  revision: number,
  values: Values,
  kind?: Instance["kind"] | null,
  earlyEnd?: number | null,
];

/** Writes open alerts as a few JSON texts, one row each, so that a window costs a few rows written and not one per alert. */
export function packInstances(instances: Instances, maxPageChars = MAX_PAGE_CHARS): string[] {
  const rows: Row[] = [];
  for (const instance of instances.values()) rows.push(rowOf(instance));
  return packPages(rows, maxPageChars);
}

/** Reads what `packInstances` wrote. */
export function unpackInstances(pages: readonly string[]): Map<string, Instance> {
  const instances = new Map<string, Instance>();
  for (const page of pages) {
    const list: readonly (Row | Instance)[] = JSON.parse(page);
    for (const row of list) {
      const instance = "alertId" in row ? row : instanceOf(row);
      instances.set(instanceKey(instance), instance);
    }
  }
  return instances;
}

function rowOf({ alertId, group, timer, window, revision, values, kind, earlyEnd }: Instance): Row {
  const { phase, since, falseSince } = timer;
  const isFiring = phase === "firing" ? 1 : 0;
  if (kind === undefined && earlyEnd === undefined)
    return [alertId, group, isFiring, since, falseSince, window.start, window.end, revision, values];
  const { start, end } = window;
  return [alertId, group, isFiring, since, falseSince, start, end, revision, values, kind ?? null, earlyEnd ?? null];
}

function instanceOf([
  alertId,
  group,
  isFiring,
  since,
  falseSince,
  start,
  end,
  revision,
  values,
  kind,
  early,
]: Row): Instance {
  const timer: Timer = { phase: isFiring === 1 ? "firing" : "pending", since, falseSince };
  const instance = { alertId, group, timer, window: { start, end }, revision, values };
  return kind === undefined ? instance : { ...instance, kind: kind ?? undefined, earlyEnd: early ?? undefined };
}

/** Items whose length is measured to guess how many fit into a page. */
const SAMPLE = 50;

/** JSON arrays of the items in order, each of at most `maxPageChars` characters unless one item alone is longer. */
export function packPages(items: readonly unknown[], maxPageChars = MAX_PAGE_CHARS): string[] {
  const pages: string[] = [];
  const sample = items.slice(0, SAMPLE);
  // Many items written at once are written several times faster than one by one.
  const usual = (maxPageChars / JSON.stringify(sample).length) * sample.length;
  let size = Math.max(1, Math.floor(usual * 0.9));
  for (let from = 0; from < items.length;) {
    const part = items.slice(from, from + size);
    const text = JSON.stringify(part);
    if (text.length > maxPageChars && part.length > 1) {
      size = Math.max(1, Math.floor(part.length / 2));
      continue;
    }
    pages.push(text);
    from += part.length;
  }
  return pages;
}
