import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonValue } from "../../../core/events/event.ts";
import { compileEventExpression, ExpressionError } from "../../../core/expressions/expression.ts";
import { evaluate, expressionIn, valuesOf } from "./run.ts";

type Tree =
  | { readonly kind: "literal"; readonly value: JsonValue }
  | { readonly kind: "field"; readonly name: string }
  | { readonly kind: "unary"; readonly operator: string; readonly operand: Tree }
  | { readonly kind: "binary"; readonly operator: string; readonly left: Tree; readonly right: Tree }
  | { readonly kind: "choice"; readonly condition: Tree; readonly yes: Tree; readonly no: Tree };

/** From loosest to tightest, all of them left-associative. */
const LEVELS = [["||"], ["&&"], ["==", "!="], ["<", "<=", ">", ">=", "in"], ["+", "-"], ["*", "/", "%"]];
const UNARY_LEVEL = LEVELS.length;
const levelOf = (operator: string) => LEVELS.findIndex((operators) => operators.includes(operator));

const primitive = fc.oneof(
  fc.nat(5),
  fc.constantFrom(0.5, 2.25, 1e308),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom("", "a", "b", "é"),
);
const value = fc.oneof(
  { weight: 5, arbitrary: primitive },
  { weight: 1, arbitrary: fc.array(primitive, { maxLength: 3 }) },
);
const data = fc.dictionary(fc.constantFrom("a", "b", "c"), fc.oneof(value, fc.constant(-3)));
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("literal" as const), value }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("field" as const), name: fc.constantFrom("a", "b", "c") }) },
    fc.record({ kind: fc.constant("unary" as const), operator: fc.constantFrom("!", "-"), operand: tie("tree") }),
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("binary" as const),
        operator: fc.constantFrom(...LEVELS.flat()),
        left: tie("tree"),
        right: tie("tree"),
      }),
    },
    fc.record({ kind: fc.constant("choice" as const), condition: tie("tree"), yes: tie("tree"), no: tie("tree") }),
  ),
}));

/** Writes a tree with no more parentheses than CEL's precedence needs. */
function write(node: Tree, least = -1): string {
  const [text, level] = writeBare(node);
  return level < least ? `(${text})` : text;
}

function writeBare(node: Tree): [string, number] {
  switch (node.kind) {
    case "literal":
      return [JSON.stringify(node.value), UNARY_LEVEL + 1];
    case "field":
      return [`event.data.${node.name}`, UNARY_LEVEL + 1];
    case "unary":
      return [`${node.operator}${write(node.operand, UNARY_LEVEL)}`, UNARY_LEVEL];
    case "binary": {
      const level = levelOf(node.operator);
      return [`${write(node.left, level)} ${node.operator} ${write(node.right, level + 1)}`, level];
    }
    case "choice":
      return [`${write(node.condition, 0)} ? ${write(node.yes)} : ${write(node.no)}`, -1];
  }
}

class Wrong extends Error {}

/** The rules again, in the plainest way. @throws Wrong */
function interpret(node: Tree, fields: Readonly<Record<string, JsonValue>>): JsonValue {
  switch (node.kind) {
    case "literal":
      return node.value;
    case "field":
      return fields[node.name] ?? null;
    case "unary": {
      const operand = interpret(node.operand, fields);
      if (node.operator === "!" && typeof operand === "boolean") return !operand;
      if (node.operator === "-" && typeof operand === "number") return -operand;
      throw new Wrong();
    }
    case "choice": {
      const condition = interpret(node.condition, fields);
      if (typeof condition !== "boolean") throw new Wrong();
      return interpret(condition ? node.yes : node.no, fields);
    }
    case "binary":
      if (node.operator === "||" || node.operator === "&&")
        return interpretLogic(node.operator === "||", node.left, node.right, fields);
      return apply(node.operator, interpret(node.left, fields), interpret(node.right, fields));
  }
}

function interpretLogic(
  decisive: boolean,
  left: Tree,
  right: Tree,
  fields: Readonly<Record<string, JsonValue>>,
): boolean {
  const sides = [left, right].map((side) => {
    try {
      return interpret(side, fields);
    } catch (error) {
      if (error instanceof Wrong) return "wrong";
      throw error;
    }
  });
  if (sides.includes(decisive)) return decisive;
  if (sides.every((side) => side === !decisive)) return !decisive;
  throw new Wrong();
}

const areSame = (a: JsonValue, b: JsonValue) => JSON.stringify(a) === JSON.stringify(b);

function apply(operator: string, a: JsonValue, b: JsonValue): JsonValue {
  if (operator === "==") return areSame(a, b);
  if (operator === "!=") return !areSame(a, b);
  if (operator === "in") {
    if (Array.isArray(b)) return b.some((item: JsonValue) => areSame(item, a));
    throw new Wrong();
  }
  if (typeof a === "number" && typeof b === "number") return applyToNumbers(operator, a, b);
  if (operator === "+" && typeof a === "string" && typeof b === "string") return a + b;
  if (operator === "+" && Array.isArray(a) && Array.isArray(b)) return a.concat(b);
  const areOrdered =
    (typeof a === "string" && typeof b === "string") || (typeof a === "boolean" && typeof b === "boolean");
  if (!areOrdered) throw new Wrong();
  return applyToNumbers(operator, Number(a > b), Number(b > a), ["<", "<=", ">", ">="]);
}

function applyToNumbers(operator: string, a: number, b: number, allowed: readonly string[] = LEVELS.flat()): JsonValue {
  if (!allowed.includes(operator)) throw new Wrong();
  const results: Readonly<Record<string, number | boolean>> = {
    "<": a < b,
    "<=": a <= b,
    ">": a > b,
    ">=": a >= b,
    "+": a + b,
    "-": a - b,
    "*": a * b,
    "/": a / b,
    "%": a % b,
  };
  const result = results[operator];
  if (result === undefined || (typeof result === "number" && !Number.isFinite(result))) throw new Wrong();
  return result;
}

describe("against an interpreter of the same rules", () => {
  test("arithmetic, comparison, logic and choice agree, errors included", () => {
    fc.assert(
      fc.property(tree, data, (node, fields) => {
        let expected: JsonValue | "an error";
        try {
          expected = interpret(node, fields);
        } catch (error) {
          if (!(error instanceof Wrong)) throw error;
          expected = "an error";
        }
        let actual: JsonValue | "an error";
        try {
          actual = evaluate(write(node), { data: fields });
        } catch (error) {
          if (!(error instanceof ExpressionError)) throw error;
          actual = "an error";
        }
        expect(JSON.stringify(actual)).toBe(JSON.stringify(expected));
      }),
      { numRuns: 3000 },
    );
  });
});

const TOKENS = [
  ..."event event.type event.data.x event.data x true false null 1 2.5 'a' \"b\" ( ) [ ] { } , : ? . ! - + * / % == != < <= > >= && || in".split(
    " ",
  ),
  ..."has( size( int( string( double( duration( .exists(x, .all(x, .map(x, .filter(x, .exists_one(x, .contains( .matches( .size() at(".split(
    " ",
  ),
];

describe("any text", () => {
  test("compiles or is refused at a place inside it, and evaluates to JSON or an ExpressionError", () => {
    const soup = fc.array(fc.constantFrom(...TOKENS), { maxLength: 12 }).map((tokens) => tokens.join(" "));
    fc.assert(
      fc.property(
        fc.oneof(
          soup,
          fc.string({ unit: "binary", maxLength: 30 }),
          tree.map((node) => write(node)),
        ),
        data,
        (source, fields) => {
          const compiled = compileEventExpression(source);
          if (!compiled.ok) {
            const lines = source.split("\n");
            expect(compiled.line).toBeLessThanOrEqual(lines.length);
            expect(compiled.column).toBeLessThanOrEqual([...(lines[compiled.line - 1] ?? "")].length + 1);
            return;
          }
          const expression = expressionIn(compiled);
          const event = { type: "a", data: { ...fields, x: [fields] } };
          const verdict = expression.verdict(valuesOf(expression, event));
          try {
            const result = evaluate(source, event);
            expect(JSON.parse(JSON.stringify(result))).toEqual(result === 0 ? 0 : result);
            expect(verdict).toBe(result === true ? "pass" : result === false ? "fail" : "error");
          } catch (error) {
            expect(error).toBeInstanceOf(ExpressionError);
            expect(verdict).toBe("error");
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});
