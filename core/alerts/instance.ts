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

/** Characters per page: three bytes each at worst stay under the 2 MB that one row may hold. */
export const MAX_PAGE_CHARS = 400_000;

/** Writes open alerts as a few JSON texts, one row each, so that a window costs a few rows written and not one per alert. */
export function packInstances(instances: Instances, maxPageChars = MAX_PAGE_CHARS): string[] {
  return packPages(instances.values(), maxPageChars);
}

/** Reads what `packInstances` wrote. */
export function unpackInstances(pages: readonly string[]): Map<string, Instance> {
  const instances = new Map<string, Instance>();
  for (const page of pages) {
    const list: readonly Instance[] = JSON.parse(page);
    for (const instance of list) instances.set(instanceKey(instance), instance);
  }
  return instances;
}

/** JSON arrays of the items in order, each of at most `maxPageChars` characters unless one item alone is longer. */
export function packPages(items: Iterable<unknown>, maxPageChars = MAX_PAGE_CHARS): string[] {
  const pages: string[] = [];
  let page: string[] = [];
  let chars = 1;
  for (const item of items) {
    const text = JSON.stringify(item);
    if (page.length > 0 && chars + text.length + 1 > maxPageChars) {
      pages.push(`[${page.join(",")}]`);
      page = [];
      chars = 1;
    }
    page.push(text);
    chars += text.length + 1;
  }
  if (page.length > 0) pages.push(`[${page.join(",")}]`);
  return pages;
}
