import { durationMs } from "../windows/duration.ts";
import { compileCondition } from "./condition.ts";
import type { Condition, ConditionProblem } from "./condition.ts";
import { patienceOf } from "./rule.ts";
import type { RuleSpec } from "./rule.ts";
import type { Patience } from "./timer.ts";

/** How long a group may be without data: so many ms of event time, or so many windows. */
export type Silence = { readonly afterMs: number } | { readonly windows: number };

/** What is evaluated of a rule. */
export interface RuleLogic extends Patience {
  readonly id: string;
  readonly condition: Condition;
  /** A firing alert holds until this is true; null: until `condition` is false. */
  readonly resolve: Condition | null;
  /** When a group that was seen has an alert of its own for being quiet; null: never. */
  readonly noData: Silence | null;
}

/** A rule that can be evaluated, or what is wrong with which of its conditions. */
export type CompiledRule =
  | { readonly ok: true; readonly logic: RuleLogic }
  | ({ readonly ok: false; readonly field: "condition" | "resolve_condition" } & ConditionProblem);

/** What is evaluated of a rule. @param measures names of its aggregation's measures */
export function compileRule(id: string, spec: RuleSpec, measures: readonly string[]): CompiledRule {
  const condition = compileCondition(spec.condition, measures, spec.threshold);
  if (!condition.ok) return { ...condition, field: "condition" };
  const base = { id, condition: condition.condition, ...patienceOf(spec), noData: silenceOf(spec) };
  if (spec.resolve_condition === undefined) return { ok: true, logic: { ...base, resolve: null } };
  const resolve = compileCondition(spec.resolve_condition, measures, spec.threshold);
  if (!resolve.ok) return { ...resolve, field: "resolve_condition" };
  return { ok: true, logic: { ...base, resolve: resolve.condition } };
}

function silenceOf({ no_data: noData }: RuleSpec): Silence | null {
  if (noData === undefined) return null;
  if (noData.windows !== undefined) return { windows: noData.windows };
  return { afterMs: durationMs(noData.after ?? "") };
}

/** Everything that conditions of these rules look back to, each window once. */
export function lookBacksOf(rules: readonly RuleLogic[]): ReadonlyMap<string, ReadonlySet<string>> {
  const all = new Map<string, Set<string>>();
  for (const { condition, resolve } of rules) {
    for (const { name, measures } of [...condition.lookBacks, ...(resolve?.lookBacks ?? [])]) {
      const known = all.get(name) ?? new Set();
      for (const measure of measures) known.add(measure);
      all.set(name, known);
    }
  }
  return all;
}
