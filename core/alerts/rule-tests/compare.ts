import { groupKey } from "../group.ts";
import type { Instance } from "../instance.ts";
import type { RuleSpec } from "../rule.ts";
import type { ExpectedAlert } from "./file.ts";

/** An alert as it is, to be compared. */
export interface SeenAlert extends Omit<ExpectedAlert, "level" | "labels" | "annotations" | "values"> {
  readonly level: RuleSpec["level"];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly values: Instance["values"];
}

/** What was not as expected, at one time. */
export interface Mismatch {
  /** Ms after the test's start. */
  readonly atMs: number;
  readonly rule: string;
  readonly phase: "firing" | "pending";
  /** Expected and not there, or there with something else. */
  readonly missing: readonly ExpectedAlert[];
  /** There and not expected, or expected with something else. */
  readonly surplus: readonly SeenAlert[];
}

/** An open alert as a test may expect it. */
export function seenAlert(spec: RuleSpec, { group, values, kind }: Instance): SeenAlert {
  const isNoData = kind === "no_data";
  const level = isNoData ? (spec.no_data?.level ?? spec.level) : spec.level;
  return { group, level, labels: spec.labels, annotations: spec.annotations, values, no_data: isNoData };
}

/** @returns one mismatch, or none */
export function compared(
  common: Pick<Mismatch, "atMs" | "rule" | "phase">,
  expected: readonly ExpectedAlert[],
  seen: readonly SeenAlert[],
): Mismatch[] {
  const left = [...seen];
  const missing = expected.filter((alert) => {
    const found = left.findIndex((one) => agrees(alert, one));
    if (found !== -1) left.splice(found, 1);
    return found === -1;
  });
  return missing.length + left.length === 0 ? [] : [{ ...common, missing, surplus: left }];
}

function agrees(expected: ExpectedAlert, seen: SeenAlert): boolean {
  return (
    groupKey(expected.group) === groupKey(seen.group) &&
    expected.no_data === seen.no_data &&
    (expected.level ?? seen.level) === seen.level &&
    holds(expected.labels ?? {}, seen.labels) &&
    holds(expected.annotations ?? {}, seen.annotations) &&
    holds(expected.values ?? {}, seen.values)
  );
}

/** Every entry that is given is there. */
function holds(expected: Readonly<Record<string, unknown>>, seen: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(expected).every(
    ([name, value]) => Object.hasOwn(seen, name) && JSON.stringify(seen[name]) === JSON.stringify(value),
  );
}
