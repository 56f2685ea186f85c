import { describe, expect, test } from "vitest";
import { compileEventExpression } from "../../../core/expressions/expression.ts";
import { expressionIn } from "./run.ts";

const broken = () => {
  throw new RangeError("no such column");
};
const pathsOf = (source: string) => expressionIn(compileEventExpression(source)).paths;

describe("the paths of an event expression", () => {
  test.each([
    ["event.type == 'x'", [["type"]]],
    ["event.data.client.ip == event.data['client']['ip']", [["data", "client", "ip"]]],
    ["event.data['client.ip'] == 'x'", [["data", "client.ip"]]],
    ["event.data[event.type] > 1", [["data"], ["type"]]],
    ["event[event.type] == null", [[], ["type"]]],
    ["size(event) > 1", [[]]],
    ["event.tags[0] == 'x'", [["tags"]]],
    [
      "event.data.items.exists(i, i.price > event.data.limit.max)",
      [
        ["data", "items"],
        ["data", "limit", "max"],
      ],
    ],
    ["event.data.items.exists(event, event.price > 1)", [["data", "items"]]],
    ["has(event.data.x.y)", [["data", "x", "y"]]],
    ["event.data.path.matches('^/a')", [["data", "path"]]],
    ["1 + 1 == 2", []],
  ])("%s", (source, expected) => {
    expect(pathsOf(source)).toEqual(expected);
  });

  test("values are asked for by the number of their path, and only while they matter", () => {
    const expression = expressionIn(compileEventExpression("event.type == 'a' && event.data.n > 1"));
    const askedWith = (type: string) => {
      const asked: number[] = [];
      expression.test((path) => {
        asked.push(path);
        return path === 0 ? type : 2;
      });
      return asked;
    };
    expect(askedWith("a")).toEqual([0, 1]);
    expect(askedWith("b")).toEqual([0]);
  });

  test("an expression can be used again after a caller's own error", () => {
    const expression = expressionIn(compileEventExpression("event.type == 'a'"));
    expect(() => expression.test(broken)).toThrow(RangeError);
    expect(expression.test(() => "a")).toBe(true);
  });
});
