import type { Mismatch, SeenAlert } from "../../core/alerts/rule-tests/compare.ts";
import type { ExpectedAlert } from "../../core/alerts/rule-tests/file.ts";
import { groupKey } from "../../core/alerts/group.ts";

const UNITS = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "m"],
  [1_000, "s"],
  [1, "ms"],
] as const;

/** What was expected and not seen (`-`), and what was seen and not expected (`+`). */
export function mismatchLines({ atMs, rule, phase, missing, surplus }: Mismatch): string[] {
  return [
    `after ${durationText(atMs)}, "${rule}", ${phase}:`,
    ...missing.map((alert) => `- ${alertText(alert)}`),
    ...surplus.map((alert) => `+ ${alertText(relevant(alert, missing))}`),
  ];
}

/** Of an alert that was expected with something else, what the expectation speaks of; of one that was not, all. */
function relevant(seen: SeenAlert, missing: readonly ExpectedAlert[]): ExpectedAlert {
  const expected = missing.find(({ group }) => groupKey(group) === groupKey(seen.group));
  const { group, values, no_data: noData } = seen;
  if (expected === undefined) return { group, values, no_data: noData };
  return {
    group,
    no_data: noData,
    ...(expected.level === undefined ? {} : { level: seen.level }),
    ...(expected.labels === undefined ? {} : { labels: pick(seen.labels, expected.labels) }),
    ...(expected.annotations === undefined ? {} : { annotations: pick(seen.annotations, expected.annotations) }),
    ...(expected.values === undefined ? {} : { values: pick(seen.values, expected.values) }),
  };
}

/** The entries whose names are asked for. */
function pick<Value>(all: Readonly<Record<string, Value>>, asked: object): Record<string, Value> {
  return Object.fromEntries(Object.entries(all).filter(([name]) => Object.hasOwn(asked, name)));
}

function alertText({ group, no_data: noData, ...rest }: ExpectedAlert): string {
  const parts = Object.entries(rest).flatMap(([name, value]) =>
    value === undefined ? [] : `${name} ${JSON.stringify(value)}`,
  );
  return [JSON.stringify(group), ...(noData ? ["no_data"] : []), ...parts].join(" ");
}

/** `1h30m`; `0s` for nothing. */
function durationText(ms: number): string {
  let left = ms;
  let text = "";
  for (const [unitMs, unit] of UNITS) {
    const count = Math.floor(left / unitMs);
    if (count > 0) text += `${count}${unit}`;
    left -= count * unitMs;
  }
  return text === "" ? "0s" : text;
}
