import { describe, expect, test } from "vitest";
import {
  compileEventExpression,
  compileRuleExpression,
  ExpressionError,
  isVariableName,
} from "../../../core/expressions/expression.ts";
import { evaluate, evaluateRule, expressionIn, refusal, valuesOf } from "./run.ts";

const request = {
  id: "018f",
  type: "web.request",
  source: "semicomplete",
  timestamp: 1_431_857_105_000,
  severity: "medium",
  data: { client_ip: "83.149.9.216", method: "GET", path: "/index.html", status: 404, bytes: 203_023 },
  metadata: {},
};

describe("the contract's filters", () => {
  test("event.type == 'web.request' is true for that type only", () => {
    expect(evaluate("event.type == 'web.request'", request)).toBe(true);
    expect(evaluate("event.type == 'web.request'", { ...request, type: "user.login" })).toBe(false);
  });

  test("event.data.status == 404 compares a number of the data", () => {
    expect(evaluate("event.data.status == 404", request)).toBe(true);
    expect(evaluate("event.data.status == 404.0", request)).toBe(true);
    expect(evaluate("event.data.status == '404'", request)).toBe(false);
  });

  test("ints and doubles mix in arithmetic and comparison", () => {
    expect(evaluate("event.data.bytes * 0.5 + 1 > 1e5", request)).toBe(true);
    expect(evaluate("1 + 0.5")).toBe(1.5);
    expect(evaluate("1 < 1.5 && 2.0 == 2")).toBe(true);
  });

  test("/ is real division", () => {
    expect(evaluate("event.data.status / 8", request)).toBe(50.5);
    expect(evaluate("1 / 2")).toBe(0.5);
  });

  test("a missing field is null", () => {
    expect(evaluate("event.data.nothing == null", request)).toBe(true);
    expect(evaluate("event.data.nothing.at.all", request)).toBe(null);
    expect(evaluate("event.user_id", request)).toBe(null);
  });

  test("an error makes the filter an error, which is no pass", () => {
    const filter = expressionIn(compileEventExpression("event.data.nothing > 5"));
    expect(filter.verdict(valuesOf(filter, request))).toBe("error");
    expect(() => filter.test(valuesOf(filter, request))).toThrow(ExpressionError);
  });

  test("a filter says pass and fail", () => {
    const filter = expressionIn(compileEventExpression("event.data.status >= 500"));
    expect(filter.verdict(valuesOf(filter, request))).toBe("fail");
    expect(filter.verdict(valuesOf(filter, { ...request, data: { status: 503 } }))).toBe("pass");
    expect(filter.test(valuesOf(filter, request))).toBe(false);
  });

  test("a result that is neither true nor false is an error of the filter", () => {
    const filter = expressionIn(compileEventExpression("event.data.status"));
    expect(filter.verdict(valuesOf(filter, request))).toBe("error");
    expect(() => filter.test(valuesOf(filter, request))).toThrow("is a number, not true or false");
  });

  test("an expression that does not parse points at the place", () => {
    expect(compileEventExpression("event.type = 'x'")).toEqual({
      ok: false,
      message: "unexpected '=' (== compares)",
      line: 1,
      column: 12,
    });
  });

  test("regular expressions are linear-time or refused", () => {
    expect(evaluate("event.data.path.matches('^/index[.]html$')", request)).toBe(true);
    expect(refusal(compileEventExpression("event.data.path.matches('(a)\\\\1')"))).toMatch(/^1:25 bad pattern/);
  });
});

const CONDITION = "requests > threshold && group['data.status'] >= 500";
const conditionAt = (requests: number, status: number) =>
  evaluateRule(CONDITION, ["requests"], { requests, threshold: 100, "group data.status": status });

describe("the contract's rule conditions", () => {
  test(CONDITION, () => {
    expect(conditionAt(101, 500)).toBe(true);
    expect(conditionAt(100, 500)).toBe(false);
    expect(conditionAt(101, 404)).toBe(false);
  });

  test("previous.requests is the window before, at('7d').requests the one a week earlier", () => {
    const values = { requests: 30, "previous requests": 10, "at:7d requests": 12 };
    expect(evaluateRule("requests > 2 * previous.requests", ["requests"], values)).toBe(true);
    expect(evaluateRule("requests / at('7d').requests", ["requests"], values)).toBe(2.5);
  });

  test("window has its start and end as epoch ms", () => {
    const values = { "window start": 3_600_000, "window end": 7_200_000 };
    expect(evaluateRule("window.end - window.start == duration('1h')", [], values)).toBe(true);
  });

  test("a window that was not there is null, which compares with == only", () => {
    expect(
      evaluateRule("previous.requests == null || requests > previous.requests", ["requests"], { requests: 1 }),
    ).toBe(true);
    expect(() => evaluateRule("requests > previous.requests", ["requests"], { requests: 1 })).toThrow(ExpressionError);
  });

  test("looks further names up in the value of the path", () => {
    const { paths } = expressionIn(compileRuleExpression("group['data.user'].plan == 'pro' && last.x > 1", ["last"]));
    expect(paths).toEqual([["group", "data.user"], ["last"]]);
    const values = { "group data.user": { plan: "pro" }, last: { x: 2 } };
    expect(evaluateRule("group['data.user'].plan == 'pro' && last.x > 1", ["last"], values)).toBe(true);
  });

  test("names the paths it reads, each once", () => {
    const { paths } = expressionIn(
      compileRuleExpression(
        "requests > threshold && requests > previous.requests && at('7d').p95 < p95 && group.type == 'x'",
        ["requests", "p95"],
      ),
    );
    expect(paths).toEqual([
      ["requests"],
      ["threshold"],
      ["previous", "requests"],
      ["at:7d", "p95"],
      ["p95"],
      ["group", "type"],
    ]);
  });

  test.each([
    ["request > 5", "1:1 unknown name 'request': known are requests, threshold, group, window, previous, at('7d')"],
    [
      "requests > 5 &&\n  event.type == 'x'",
      "2:3 unknown name 'event': known are requests, threshold, group, window, previous, at('7d')",
    ],
    ["previous.request > 5", "1:10 unknown name 'request': known are requests"],
    ["window.stop > 5", "1:8 unknown name 'stop': known are start, end"],
    ["previous > 5", "1:1 previous needs a name, written out, after it"],
    ["group[string(requests)] == 5", "1:1 group needs a name, written out, after it"],
    ["at('7d') > 5", "1:1 at('7d') needs a name, written out, after it"],
    ["at('7 days').requests > 5", "1:4 '7 days' is no duration like 5m, 1h or 7d"],
    ["at('0s').requests > 5", "1:4 '0s' is no duration like 5m, 1h or 7d"],
    ["at(7).requests > 5", "1:1 at() takes a duration written out, as in at('7d').requests"],
  ])("refuses %j", (source, expected) => {
    expect(refusal(compileRuleExpression(source, ["requests"]))).toBe(expected);
  });

  test("a measure can be read in a rule unless its name means something else there", () => {
    expect(["requests", "p95", "_x", "type", "event"].filter(isVariableName)).toEqual([
      "requests",
      "p95",
      "_x",
      "type",
      "event",
    ]);
    expect(
      [
        "threshold",
        "group",
        "window",
        "previous",
        "at",
        "in",
        "true",
        "null",
        "if",
        "a-b",
        "a.b",
        "9",
        "",
        " a",
        "é",
        "__proto__",
      ].filter(isVariableName),
    ).toEqual([]);
  });
});
