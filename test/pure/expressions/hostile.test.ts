import { describe, expect, test } from "vitest";
import type { JsonValue } from "../../../core/events/event.ts";
import { MAX_DEPTH } from "../../../core/expressions/compile.ts";
import { compileEventExpression, ExpressionError } from "../../../core/expressions/expression.ts";
import { MAX_TEXT_LENGTH } from "../../../core/expressions/operators.ts";
import { MAX_NESTING, MAX_NODES, MAX_SOURCE_LENGTH } from "../../../core/expressions/parse.ts";
import { MAX_PATTERN_LENGTH } from "../../../core/expressions/pattern.ts";
import { evaluate, expressionIn, refusal, valuesOf } from "./run.ts";

const refusalOf = (source: string) => refusal(compileEventExpression(source));
const OUT_OF_STEPS = "takes more than 100000 steps";
const ofLength = (length: number) => `'${"x".repeat(length - 2)}'`;
const nested = (levels: number) => "(".repeat(levels) + "1" + ")".repeat(levels);
const doubled = (times: number) => `[[0]]${".map(x, [x, x])".repeat(times)}`;
const matching = (length: number) => `event.type.matches('${"x".repeat(length)}')`;
const deep = (levels: number): JsonValue => {
  let made: JsonValue = [];
  for (let level = 0; level < levels; level++) made = [made];
  return made;
};
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

describe("the size of an expression", () => {
  test(`is ${MAX_SOURCE_LENGTH} characters at most`, () => {
    expect(refusalOf(ofLength(MAX_SOURCE_LENGTH))).toBeUndefined();
    expect(refusalOf(ofLength(MAX_SOURCE_LENGTH + 1))).toBe("1:2001 longer than 2000 characters");
  });

  test(`is ${MAX_NESTING} levels of brackets and selections at most`, () => {
    expect(evaluate(nested(MAX_NESTING - 1))).toBe(1);
    expect(refusalOf(nested(MAX_NESTING))).toMatch(/more than 64 levels/);
    expect(evaluate(`event${".x".repeat(MAX_NESTING - 1)}`)).toBe(null);
    expect(refusalOf(`event${".x".repeat(MAX_NESTING)}`)).toMatch(/more than 64 levels/);
  });

  test(`is ${MAX_DEPTH} operators in each other at most`, () => {
    expect(evaluate(`1${"+1".repeat(MAX_DEPTH - 1)}`)).toBe(MAX_DEPTH);
    expect(refusalOf(`1${"+1".repeat(MAX_DEPTH)}`)).toMatch(/more than 256 operators in each other/);
    expect(evaluate(`${"!".repeat(MAX_DEPTH - 2)}true`)).toBe(true);
    expect(refusalOf(`${"!".repeat(MAX_DEPTH)}true`)).toMatch(/more than 256 operators in each other/);
  });

  test(`is ${MAX_NODES} nodes at most`, () => {
    expect(refusalOf(`[${"1,".repeat(MAX_NODES - 1)}]`)).toBeUndefined();
    expect(refusalOf(`[${"-1,-1,".repeat(MAX_NODES / 4)}1]`)).toMatch(/more than 1000 operators, names and values/);
  });

  test.each([
    "(",
    "[",
    "{",
    "{1:",
    "!",
    "-",
    "1?",
    "1?1:",
    "1+",
    "1||",
    "size(",
    "has(",
    "event.x[",
    "event.",
    "'",
    '"""',
    "0x",
    "r'",
    "[1].map(x,",
  ])("repeated %j is refused, not a crash", (part) => {
    const source = part.repeat(Math.floor((MAX_SOURCE_LENGTH - 1) / part.length));
    for (const tail of ["", "1"]) expect(refusalOf(source + tail)).toEqual(expect.any(String));
  });
});

describe("names that mean something to JavaScript", () => {
  const data: { readonly [key: string]: JsonValue } = JSON.parse(
    '{"__proto__": {"polluted": 1}, "constructor": 5, "plain": {}}',
  );

  test("are keys like any other where the event has them", () => {
    expect(evaluate("event.data.__proto__.polluted", { data })).toBe(1);
    expect(evaluate("event.data.constructor", { data })).toBe(5);
    expect(evaluate("event.data == {'__proto__': {'polluted': 1}, 'constructor': 5, 'plain': {}}", { data })).toBe(
      true,
    );
  });

  test.each(["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "length", "valueOf"])(
    "%s is missing elsewhere",
    (name) => {
      expect(evaluate(`event.data.plain['${name}']`, { data })).toBe(null);
      expect(evaluate(`event.data[string('plain')]['${name}']`, { data })).toBe(null);
      expect(evaluate(`has(event.data[event.x == null ? 'plain' : ''].${name})`, { data })).toBe(false);
      expect(evaluate(`[{}].exists(x, '${name}' in x || has(x['${name}']) || x['${name}'] != null)`)).toBe(false);
      expect(evaluate(`'text'['${name}'] == null && [1]['${name}'] == null`)).toBe(true);
    },
  );

  test("a map written in the expression keeps its __proto__ as a key", () => {
    const made = evaluate("{'__proto__': {'polluted': 1}}");
    expect(Object.keys(made ?? {})).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(made)).toBe(Object.prototype);
    expect(evaluate("{'__proto__': {'polluted': 1}}.polluted")).toBe(null);
  });
});

describe("work without end", () => {
  test("a macro over a long list works as long as it has steps", () => {
    expect(evaluate("event.data.list.exists(x, x > 20000)", { data: { list: numbers(10_000) } })).toBe(false);
    expect(() => evaluate("event.data.list.exists(x, x > 100000)", { data: { list: numbers(50_000) } })).toThrow(
      OUT_OF_STEPS,
    );
  });

  test.each([
    "event.data.list.all(a, event.data.list.all(b, a + b >= 0))",
    "event.data.list.all(a, a in event.data.list)",
    "event.data.list.all(a, event.data.list == event.data.list + [])",
    "event.data.list.map(a, event.data.list.map(b, event.data.list.map(c, 1)))",
    "event.data.list.exists(a, event.data.list.exists(b, b < 0) || a > 'x')",
    "event.data.list.map(a, event.data.text + 'x').size() > 0",
    "event.data.list.exists(a, event.data.text.contains('b'))",
    "event.data.list.exists(a, event.data.text.matches('(x+x+)+y'))",
    "event.data.list.exists(a, event.data.text.upperAscii() == '')",
    "event.data.list.map(a, event.data.list)",
  ])("%s stops", (source) => {
    const data = { list: numbers(5000), text: "x".repeat(20_000) };
    expect(() => evaluate(source, { data })).toThrow(OUT_OF_STEPS);
  });

  test("running out of steps is absorbed where the other side decides, and the next evaluation starts afresh", () => {
    const expression = expressionIn(
      compileEventExpression("event.data.list.all(a, event.data.list.all(b, a + b >= 0)) || event.data.ok"),
    );
    const verdictOn = (data: { readonly [key: string]: JsonValue }) =>
      expression.verdict(valuesOf(expression, { data }));
    expect(verdictOn({ list: numbers(5000), ok: true })).toBe("pass");
    expect(verdictOn({ list: numbers(5000), ok: false })).toBe("error");
    expect(verdictOn({ list: [1, 2], ok: false })).toBe("pass");
  });

  test("a list that doubles in each step is refused when it is written out or compared", () => {
    expect(evaluate(`${doubled(3)}.size()`)).toBe(1);
    expect(() => evaluate(doubled(40))).toThrow(OUT_OF_STEPS);
    expect(() => evaluate(`${doubled(40)} == ${doubled(40)}`)).toThrow(OUT_OF_STEPS);
    expect(() =>
      evaluate(`[1]${".map(x, [x] + [x])".repeat(5)} + [event.data.list]${".map(x, x + x)".repeat(20)}`, {
        data: { list: [1] },
      }),
    ).toThrow(OUT_OF_STEPS);
  });

  test(`a text grows to ${MAX_TEXT_LENGTH} characters at most`, () => {
    const data = { text: "x".repeat(MAX_TEXT_LENGTH - 1) };
    expect(evaluate("(event.data.text + 'y').size()", { data })).toBe(MAX_TEXT_LENGTH);
    expect(() => evaluate("event.data.text + 'yz'", { data })).toThrow("makes a text of more than 65536 characters");
    expect(() => evaluate(`['xy']${".map(x, x + x)".repeat(40)}`)).toThrow("makes a text of more than");
  });

  test("searching a long text for a long text stops", () => {
    const data = { text: "a".repeat(16_000), part: `${"a".repeat(8000)}b` };
    expect(() => evaluate("event.data.text.contains(event.data.part)", { data })).toThrow(OUT_OF_STEPS);
    expect(evaluate("event.data.text.contains('a needle of usual length')", { data })).toBe(false);
  });

  test("values nested beyond reason are an error, not a stack overflow", () => {
    const data = { a: deep(20_000), b: deep(20_000) };
    expect(() => evaluate("event.data.a == event.data.b", { data })).toThrow(ExpressionError);
    expect(() => evaluate("event.data.a", { data })).toThrow(ExpressionError);
    expect(evaluate("event.data.a == event.data.b", { data: { a: deep(100), b: deep(100) } })).toBe(true);
  });
});

describe("patterns", () => {
  test.each(["(a+)+$", "(a|a)+b", "(a|aa)+$", "(.*a){20}b", "^(([a-z])+.)+[A-Z]([a-z])+$"])(
    "%s is linear in the text",
    (pattern) => {
      expect(evaluate(`event.data.text.matches('${pattern}')`, { data: { text: `${"a".repeat(4000)}!` } })).toBe(false);
    },
  );

  test.each(["(a)\\\\1", "(?=a)b", "(?!a)b", "(?<=a)b", "a**", "[b-a]", "(", "a{1001}", "((a{100}){100}){100}"])(
    "%s is refused",
    (pattern) => {
      expect(refusalOf(`event.type.matches('${pattern}')`)).toMatch(/^1:20 bad pattern: /);
    },
  );

  test("that repeat too much are refused", () => {
    expect(refusalOf("event.type.matches('(\\\\pL{1,30}){1,30}')")).toBe("1:20 the pattern repeats too much");
    expect(refusalOf("event.type.matches('\\\\pL{1,300}')")).toBeUndefined();
  });

  test(`are ${MAX_PATTERN_LENGTH} characters at most`, () => {
    expect(refusalOf(matching(MAX_PATTERN_LENGTH))).toBeUndefined();
    expect(refusalOf(matching(MAX_PATTERN_LENGTH + 1))).toBe("1:20 the pattern is longer than 256 characters");
  });

  test("a large pattern on a long text is an error instead of a stall", () => {
    const source = "event.data.text.matches('(a|b)*a(a|b){200}[cd]')";
    expect(evaluate(source, { data: { text: "ab".repeat(300) } })).toBe(false);
    expect(() => evaluate(source, { data: { text: "ab".repeat(15_000) } })).toThrow(OUT_OF_STEPS);
  });
});
