import type { JsonValue } from "../events/event.ts";
import { compileRuleExpression, ExpressionError } from "../expressions/expression.ts";
import { parse } from "../expressions/parse.ts";
import type { ValueOf, Verdict } from "../expressions/expression.ts";
import type { Group, Values, WindowTime } from "./group.ts";
import { MAX_LOOK_BACKS } from "./limits.ts";

/** What a rule's condition may read: one group of one closed window. */
export interface ConditionInput {
  readonly group: Group;
  readonly values: Values;
  readonly window: WindowTime;
  /** The same group's values in an earlier window, by the name of a look-back; undefined when it had none. */
  readonly past: (name: LookBackName) => Values | undefined;
}

/** How a condition names an earlier window: `previous`, or `at:7d` for `at('7d')`. */
export type LookBackName = string;

/** An earlier window that a condition reads, and the measures that it reads of it. */
export interface LookBack {
  readonly name: LookBackName;
  readonly measures: readonly string[];
}

/** A compiled condition. */
export interface Condition {
  readonly source: string;
  readonly lookBacks: readonly LookBack[];
  /** Names of the measures that it reads of the window itself. */
  readonly measures: ReadonlySet<string>;
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
  const problem = unreadable(expression.paths, threshold) ?? untrue(source);
  if (problem !== null) return { ok: false, message: problem };
  const reads = expression.paths.map((path) => reader(path, threshold));
  const valueOf =
    (input: ConditionInput): ValueOf =>
    (path) =>
      reads[path]?.(input);
  const condition: Condition = {
    source,
    lookBacks: lookBacksOf(expression.paths),
    measures: new Set(expression.paths.flatMap(([root = ""]) => (measures.includes(root) ? root : []))),
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
  const needsThreshold = threshold === undefined && paths.some(([root]) => root === "threshold");
  if (needsThreshold) return "uses threshold, but the rule has none";
  return lookBacksOf(paths).length > MAX_LOOK_BACKS ? `looks back to more than ${MAX_LOOK_BACKS} windows` : null;
}

/** What surely is neither true nor false would never fire, and nobody would know. */
const NO_TRUTHS: ReadonlySet<string> = new Set(["+", "-", "*", "/", "%", "-_", "list", "map"]);

function untrue(source: string): string | null {
  const node = parse(source);
  const isTruth = node.op === "value" ? typeof node.args === "boolean" : !NO_TRUTHS.has(node.op);
  return isTruth ? null : "is neither true nor false: compare it with something, as in … > 5";
}

function lookBacksOf(paths: readonly (readonly string[])[]): LookBack[] {
  const measures = new Map<LookBackName, Set<string>>();
  for (const [root = "", name] of paths) {
    if (!isLookBack(root) || name === undefined) continue;
    measures.set(root, (measures.get(root) ?? new Set()).add(name));
  }
  return [...measures].map(([name, read]) => ({ name, measures: [...read] }));
}

function isLookBack(root: string): boolean {
  return root === "previous" || root.startsWith("at:");
}

function reader(path: readonly string[], threshold: number | undefined): Read {
  const [root = "", name] = path;
  if (isLookBack(root)) {
    return ({ past }) => {
      const values = past(root);
      return values === undefined || name === undefined ? values : own(values, name);
    };
  }
  switch (root) {
    case "threshold":
      return () => threshold;
    case "group":
      return ({ group }) => (name === undefined ? group : own(group, name));
    case "window":
      return ({ window }) => (name === "start" ? window.start : window.end);
    default:
      return ({ values }) => own(values, root);
  }
}

/** Own properties only: a group path or a measure may be called `constructor`. */
function own(map: Readonly<Record<string, JsonValue>>, name: string): JsonValue | undefined {
  return Object.hasOwn(map, name) ? map[name] : undefined;
}
