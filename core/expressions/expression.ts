/**
 * Filters and conditions: CEL syntax over JSON. All numbers are doubles; what is missing is null; null can be compared
 * with == and != only; an error somewhere is absorbed by || and && when the other side decides.
 */
import type { JsonValue } from "../events/event.ts";
import { compileTree } from "./compile.ts";
import { type Code, type Frame, outOfSteps, spendOnSize, type ValueOf } from "./frame.ts";
import { parse } from "./parse.ts";
import { CompileError, type Position, positionOf } from "./position.ts";
import { eventScope, RULE_NAMES, ruleScope, type Scope } from "./scope.ts";
import { Failure, kindOf, type Value } from "./value.ts";

export type { ValueOf } from "./frame.ts";

/** What a filter says about a row: `error` counts in `filter_errors` and is otherwise a `fail`. */
export type Verdict = "pass" | "fail" | "error";

/** A compiled expression. Evaluations of one expression must not nest. */
export interface Expression {
  readonly source: string;
  /**
   * Longest static paths that it reads, each once. Under an event: ["data", "status"], [] being all of it. In a rule:
   * ["requests"], ["threshold"], ["group", "data.status"], ["window", "start"], ["previous", "requests"], ["at:7d", "requests"].
   */
  readonly paths: readonly (readonly string[])[];
  /** @throws ExpressionError */
  evaluate(valueOf: ValueOf): JsonValue;
  /** @returns true only if the result is true. @throws ExpressionError, also when the result is neither true nor false */
  test(valueOf: ValueOf): boolean;
  /** The same as `test` without throwing, for rows by the million. */
  verdict(valueOf: ValueOf): Verdict;
}

/** An evaluation that failed for the row at hand. */
export class ExpressionError extends Error {
  readonly line: number;
  readonly column: number;

  constructor(message: string, { line, column }: Position) {
    super(`${message} (line ${line}, column ${column})`);
    this.name = "ExpressionError";
    this.line = line;
    this.column = column;
  }
}

/** An expression, or what is wrong with it and where: line and column from 1. */
export type Compilation =
  | { readonly ok: true; readonly expression: Expression }
  | { readonly ok: false; readonly message: string; readonly line: number; readonly column: number };

/** Compiles an expression over `event`, the event with the field names of the API and times in epoch ms. */
export function compileEventExpression(source: string): Compilation {
  return compileIn(eventScope, source);
}

/**
 * Compiles the condition of a rule.
 * @param variables the measures of its aggregation, see `isVariableName`
 */
export function compileRuleExpression(source: string, variables: readonly string[]): Compilation {
  return compileIn(ruleScope(variables), source);
}

/** True when a measure of that name can be read in a rule. */
export function isVariableName(name: string): boolean {
  if (RULE_NAMES.includes(name)) return false;
  const alone = compileIn({ ...eventScope, root: (id) => (id === name ? LONE_NAME : undefined) }, name);
  return alone.ok && alone.expression.paths.length === 1;
}

const LONE_NAME = { path: [], least: 0, most: 0, names: undefined };

function compileIn(scope: Scope, source: string): Compilation {
  try {
    const { code, paths } = compileTree(parse(source), scope);
    return { ok: true, expression: expressionOf(source, paths, code) };
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    return { ok: false, message: error.message, ...positionOf(source, error.offset) };
  }
}

const noValue: ValueOf = () => undefined;

function expressionOf(source: string, paths: Expression["paths"], code: Code): Expression {
  const frame: Frame = { valueOf: noValue, locals: [], steps: 0 };
  const run = (valueOf: ValueOf): Value => {
    frame.valueOf = valueOf;
    frame.steps = 0;
    const value = code.run(frame);
    // Otherwise the expression would keep the last batch alive.
    frame.valueOf = noValue;
    frame.locals.length = 0;
    return value;
  };
  const errorOf = (failure: Failure) => new ExpressionError(failure.describe(), positionOf(source, failure.offset));
  return {
    source,
    paths,
    evaluate(valueOf) {
      const value = run(valueOf);
      if (value instanceof Failure) throw errorOf(value);
      if (!spendOnSize(frame, value)) throw errorOf(outOfSteps(0));
      return value;
    },
    test(valueOf) {
      const value = run(valueOf);
      if (typeof value === "boolean") return value;
      throw errorOf(value instanceof Failure ? value : new Failure(0, `is ${kindOf(value)}, not true or false`));
    },
    verdict(valueOf) {
      const value = run(valueOf);
      if (value === true) return "pass";
      return value === false ? "fail" : "error";
    },
  };
}
