import { describe, expect, test } from "vitest";
import { compileEventExpression } from "../../../core/expressions/expression.ts";
import { refusal } from "./run.ts";

describe("an expression that does not compile says what is wrong, and where", () => {
  test.each([
    ["", "1:1 the expression is empty"],
    [" \n ", "1:1 the expression is empty"],
    ["event.type ==", "1:14 the expression ends too early"],
    ["(event.type == 'a'", "1:19 expected ')', found the end"],
    ["event.type == 'a')", "1:18 unexpected ')'"],
    ["[1, 2", "1:6 expected ']', found the end"],
    ["true ? 1", "1:9 expected ':', found the end"],
    ["event.data.in", "1:12 expected a name, found 'in'"],
    ["event..type", "1:7 expected a name, found '.'"],
    ["event.type = 'a'", "1:12 unexpected '=' (== compares)"],
    ["event.a & event.b", "1:9 unexpected '&' (&& is and)"],
    ["event.a == 1 and event.b == 2", "1:14 unexpected 'and' (&& is and)"],
    ["event.a == 1\n  || event.b == 2\n  OR event.c", "3:3 unexpected 'OR' (|| is or)"],
    ["event.type == 'a", "1:15 unterminated string"],
    ["event.type == 'a\nb'", "1:17 newlines not allowed in single-quoted strings"],
    ["'\\q'", "1:2 invalid escape sequence: \\q"],
    ["'👋' == 👋", "1:8 unexpected '👋'"],
    ["event.größe", "1:9 unexpected 'ö'"],
    ["1e999", "1:1 invalid number: Infinity"],
    [`1 + 0x${"f".repeat(300)}`, "1:5 the number is too large"],
    ["1 + b'x'", "1:5 bytes are not supported: events are JSON"],
    ["if", "1:1 reserved identifier: if"],
    ["__proto__.x", "1:1 reserved identifier: __proto__"],
    [
      "constructor.x",
      "1:1 unknown name 'constructor': only event is known here, as in event.type or event.data.status",
    ],
    ["event.type == typ", "1:15 unknown name 'typ': only event is known here, as in event.type or event.data.status"],
    ["threshold > 1", "1:1 unknown name 'threshold': only event is known here, as in event.type or event.data.status"],
    [
      "event.data.list.exists(x, y > 1)",
      "1:27 unknown name 'y': only event is known here, as in event.type or event.data.status",
    ],
    ["now() > 1", "1:1 unknown function 'now'"],
    ["toString()", "1:1 unknown function 'toString'"],
    ["event.type.trim() == 'a'", "1:12 unknown function 'trim'"],
    ["cel.bind(x, 1, x)", "1:5 unknown function 'bind'"],
    ["contains(event.type, 'a')", "1:1 contains() is written after its subject, as in x.contains()"],
    ["event.data.n.int()", "1:14 int() takes its argument in the parentheses"],
    ["event.type.contains()", "1:12 wrong number of arguments for contains()"],
    ["size(1, 2)", "1:1 wrong number of arguments for size()"],
    ["event.tags.exists(x)", "1:12 exists() is written as list.exists(x, x > 0)"],
    ["event.tags.map(x, y, z, 1)", "1:12 map() is written as list.map(x, x * 2)"],
    ["event.tags.all(1, true)", "1:16 all(var, predicate) invalid predicate iteration variable"],
    ["has(event)", "1:1 has() needs a field, as in has(event.data.status)"],
    ["has(event.a, event.b)", "1:1 has() needs a field, as in has(event.data.status)"],
    ["event.type.matches('(')", "1:20 bad pattern: missing closing ): `(`"],
    ["event.type.matches(event.source)", "1:20 matches() needs a pattern that is the same for every event"],
    ["event.type.matches(5)", "1:20 matches() needs a pattern that is the same for every event"],
    ["duration('1 hour') > 1", "1:10 duration() needs text like '500ms', '5m' or '1h', 34560000000 ms at most"],
    ["event.?type", "1:7 expected a name, found '?'"],
  ])("%j", (source, expected) => {
    expect(refusal(compileEventExpression(source))).toBe(expected);
  });
});
