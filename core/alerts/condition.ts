import type { JsonValue } from "../events/event.ts";
import { compileRuleExpression, ExpressionError } from "../expressions/expression.ts";
import type { ValueOf, Verdict } from "../expressions/expression.ts";
import type { Group, Values, WindowTime } from "./group.ts";

/** What a rule's condition may read: one group of one closed window. */
export interface ConditionInput {
  readonly group: Group;
  readonly values: Values;
  readonly window: WindowTime;
  /** The same group's values in the window that ended where this one starts; undefined when it had none. */
  readonly previous: Values | undefined;
}

export interface Condition {
  readonly source: string;
  /** Measures that are read as `previous.x`: the only ones worth remembering. */
  readonly previousMeasures: readonly string[];
  /** `error` is otherwise a `fail`: an alert never opens on a condition that could not be evaluated. */
  verdict(input: ConditionInput): Verdict;
  /** Why the verdict on `input` is `error`; empty when it is not. */
  explain(input: ConditionInput): string;
}

/** Where and why a condition was refused. */
export interface ConditionProblem {
  readonly message: string;
  /** 1-based place in the source, when there is one. */
  readonly line?: number;
  readonly column?: number;
}

type Read = (input: ConditionInput) => JsonValue | undefined;

/**
 * Compiles a rule's condition.
 * @param measures  names of the aggregation's measures
 * @param threshold the rule's, undefined when it has none
 */
export function compileCondition(
  source: string,
  measures: readonly string[],
  threshold: number | undefined,
): { readonly ok: true; readonly condition: Condition } | ({ readonly ok: false } & ConditionProblem) {
  const compiled = compileRuleExpression(source, measures);
  if (!compiled.ok) return compiled;
  const { expression } = compiled;
  const problem = unreadable(expression.paths, threshold);
  if (problem !== null) return { ok: false, message: problem };
  const reads = expression.paths.map((path) => reader(path, threshold));
  const valueOf =
    (input: ConditionInput): ValueOf =>
    (path) =>
      reads[path]?.(input);
  const condition: Condition = {
    source,
    previousMeasures: previousMeasures(expression.paths),
    verdict: (input) => expression.verdict(valueOf(input)),
    explain(input) {
      try {
        expression.test(valueOf(input));
        return "";
      } catch (error) {
        if (error instanceof ExpressionError) return error.message;
        throw error;
      }
    },
  };
  return { ok: true, condition };
}

function unreadable(paths: readonly (readonly string[])[], threshold: number | undefined): string | null {
  for (const [root] of paths) {
    if (root?.startsWith("at:") === true) return "at(…) is not supported yet; previous.<measure> is";
    if (root === "threshold" && threshold === undefined) return "uses threshold, but the rule has none";
  }
  return null;
}

function previousMeasures(paths: readonly (readonly string[])[]): string[] {
  const names = paths.flatMap(([root, name]) => (root === "previous" && name !== undefined ? [name] : []));
  return [...new Set(names)];
}

function reader(path: readonly string[], threshold: number | undefined): Read {
  const [root = "", name] = path;
  switch (root) {
    case "threshold":
      return () => threshold;
    case "group":
      return ({ group }) => (name === undefined ? group : own(group, name));
    case "window":
      return ({ window }) => (name === "start" ? window.start : window.end);
    case "previous":
      return ({ previous }) => (previous === undefined || name === undefined ? previous : own(previous, name));
    default:
      return ({ values }) => own(values, root);
  }
}

/** Own properties only: a group path or a measure may be called `constructor`. */
function own(map: Readonly<Record<string, JsonValue>>, name: string): JsonValue | undefined {
  return Object.hasOwn(map, name) ? map[name] : undefined;
}
