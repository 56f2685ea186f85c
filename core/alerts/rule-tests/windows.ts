import { earlierWindow } from "../../windows/look-back.ts";
import type { ClosedWindow, WindowGroup } from "../../windows/window-json.ts";
import { groupKey } from "../group.ts";
import type { RuleTest } from "./file.ts";

/** Earlier windows that rules read, by name, and which measures of them. */
export type LookBacks = ReadonlyMap<string, ReadonlySet<string>>;

type Written = RuleTest["series"][number];

/** The windows that a test's series of one aggregation make, empty ones among them, with what rules look back to. */
export function windowsOf(test: RuleTest, aggregation: string, lookBacks: LookBacks): ClosedWindow[] {
  const { window: sizeMs, start: from } = test;
  const series = test.series.filter((one) => one.aggregation === aggregation);
  const count = Math.max(0, ...test.series.flatMap(({ values }) => Object.values(values).map(({ length }) => length)));
  const groups = Array.from({ length: count }, (_, nth) => groupsAt(series, nth));
  const shape = { type: "tumbling" as const, sizeMs, offsetMs: ((from % sizeMs) + sizeMs) % sizeMs };
  return groups.map((own, nth) => {
    const [start, end] = [from + nth * sizeMs, from + (nth + 1) * sizeMs];
    const past: Record<string, WindowGroup[]> = {};
    for (const [name, measures] of lookBacks) {
      const earlier = earlierWindow(shape, { start, end }, name);
      const there = earlier === null ? undefined : groups[(earlier - from) / sizeMs];
      if (there !== undefined) past[name] = there.map((group) => only(group, measures));
    }
    return { aggregation, version: 1, start, end, revision: 0, groups: own, stepMs: sizeMs, past };
  });
}

/** A group has the measures that have a value in this window, and is absent when none has. */
function groupsAt(series: readonly Written[], nth: number): WindowGroup[] {
  const groups = new Map<string, { group: WindowGroup["group"]; values: Record<string, number> }>();
  for (const { group, values: written } of series) {
    const key = groupKey(group);
    for (const [name, numbers] of Object.entries(written)) {
      const value = numbers[nth] ?? null;
      if (value === null) continue;
      const known = groups.get(key) ?? { group, values: {} };
      groups.set(key, known);
      known.values[name] = value;
    }
  }
  return [...groups.values()];
}

function only({ group, values }: WindowGroup, measures: ReadonlySet<string>): WindowGroup {
  return { group, values: Object.fromEntries(Object.entries(values).filter(([name]) => measures.has(name))) };
}
