import { lookBacksOf } from "./rule-logic.ts";
import type { RuleLogic } from "./rule-logic.ts";
import type { RuleSpec } from "./rule.ts";

/** What the rules of one aggregation want to be told: its closed windows, and more. */
export interface RuleWatch {
  readonly aggregation: string;
  /** Earlier windows that come with each, by name, and which measures of them. */
  readonly lookBacks: readonly (readonly [name: string, measures: readonly string[]])[];
  /** Rules that an open window may fire. Whether their conditions can only become truer is for whoever has the measures to say. */
  readonly early: readonly EarlyRule[];
}

/** A rule that may fire before its window closes. */
export interface EarlyRule {
  readonly id: string;
  /** Tells one writing of the rule from another. */
  readonly version: number;
  readonly condition: string;
  readonly threshold: number | null;
}

/** An enabled rule with what its watch is made of. */
export interface WatchedRule {
  readonly logic: RuleLogic;
  readonly spec: RuleSpec;
  readonly version: number;
}

/** What the rules of one aggregation want to be told. A rule with `for` waits for closes. */
export function watchOf(aggregation: string, rules: readonly WatchedRule[]): RuleWatch {
  const lookBacks = [...lookBacksOf(rules.map(({ logic }) => logic))].map(
    ([name, measures]) => [name, [...measures].sort()] as const,
  );
  const early = rules
    .filter(({ logic }) => logic.forMs === 0)
    .map(({ logic, spec, version }) => {
      return { id: logic.id, version, condition: spec.condition, threshold: spec.threshold ?? null };
    });
  return { aggregation, lookBacks, early };
}
