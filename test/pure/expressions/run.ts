import type { JsonValue } from "../../../core/events/event.ts";
import {
  type Compilation,
  compileEventExpression,
  compileRuleExpression,
  type Expression,
  type ValueOf,
} from "../../../core/expressions/expression.ts";

type Json = { readonly [key: string]: JsonValue };

/** @throws Error when it does not compile */
export function expressionIn(compiled: Compilation): Expression {
  if (compiled.ok) return compiled.expression;
  throw new Error(`${compiled.line}:${compiled.column} ${compiled.message}`);
}

/** Reads an expression's paths out of one event object. */
export function valuesOf(expression: Expression, event: Json): ValueOf {
  return (path) => follow(event, expression.paths[path] ?? []);
}

function follow(from: JsonValue | undefined, path: readonly string[]): JsonValue | undefined {
  const [name, ...rest] = path;
  if (name === undefined) return from;
  if (typeof from !== "object" || from === null || Array.isArray(from) || !Object.hasOwn(from, name)) return undefined;
  return follow(Object.entries(from).find(([key]) => key === name)?.[1], rest);
}

/** The value of an expression over one event. @throws ExpressionError */
export function evaluate(source: string, event: Json = {}): JsonValue {
  const expression = expressionIn(compileEventExpression(source));
  return expression.evaluate(valuesOf(expression, event));
}

/** @param values by path, its names joined by a blank: `{"previous requests": 3}` */
export function evaluateRule(source: string, measures: readonly string[], values: Json): JsonValue {
  const expression = expressionIn(compileRuleExpression(source, measures));
  return expression.evaluate((path) => values[(expression.paths[path] ?? []).join(" ")]);
}

/** `line:column message` of an expression that does not compile, undefined for one that does. */
export function refusal(compiled: Compilation): string | undefined {
  return compiled.ok ? undefined : `${compiled.line}:${compiled.column} ${compiled.message}`;
}
