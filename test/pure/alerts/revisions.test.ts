import { describe, expect, test } from "vitest";
import { cursorAt } from "../../../core/alerts/cursor.ts";
import { Bench, MINUTE, ruleOf, windowOf } from "./fixtures.ts";

describe("repeats", () => {
  test("a window told twice fires once", () => {
    const bench = new Bench(ruleOf("value > 1"));
    expect(bench.take(windowOf(1, { x: 2 }))).toEqual(["x firing"]);
    const before = bench.state;
    expect(bench.take(windowOf(1, { x: 2 }))).toEqual([]);
    expect(bench.state).toBe(before);
  });

  test("an older revision that arrives after a newer one is a repeat", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.take(windowOf(1, { x: 0 }, 2));
    expect(bench.take(windowOf(1, { x: 2 }, 1))).toEqual([]);
  });
});

describe("a revision of the newest window", () => {
  test("opens an alert that a late event calls for", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.take(windowOf(1, { x: 1 }));
    expect(bench.take(windowOf(1, { x: 2 }, 1))).toEqual(["x firing"]);
  });

  test("opens an alert for a group that the window did not have before", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.take(windowOf(1, { x: 1 }));
    expect(bench.take(windowOf(1, { x: 1, y: 2 }, 1))).toEqual(["y firing"]);
  });

  test("opens an alert in a window that was told as empty", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.take(windowOf(1, { x: 1 }));
    bench.take(windowOf(3, {}, 0, 2));
    expect(bench.take(windowOf(3, { x: 2 }))).toEqual(["x firing"]);
    expect(bench.take(windowOf(3, {}, 0, 2))).toEqual([]);
    expect(bench.open).toEqual(["x firing"]);
  });

  test("resolves an alert that a late event refutes", () => {
    const bench = new Bench(ruleOf("value < 5"));
    bench.take(windowOf(1, { x: 1 }));
    expect(bench.take(windowOf(1, { x: 9 }, 1))).toEqual(["x resolved"]);
  });

  test("does not bring a pending alert nearer to firing", () => {
    const bench = new Bench(ruleOf("value > 1", 1));
    bench.take(windowOf(1, { x: 2 }));
    for (let revision = 1; revision < 5; revision++)
      expect(bench.take(windowOf(1, { x: 2 + revision }, revision))).toEqual([]);
    expect(bench.take(windowOf(2, { x: 2 }))).toEqual(["x firing"]);
  });
});

describe("a revision of an older window", () => {
  test("neither opens nor resolves", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.take(windowOf(1, { x: 0, y: 2 }));
    bench.take(windowOf(2, { x: 0, y: 2 }));
    expect(bench.take(windowOf(1, { x: 9, y: 0 }, 1))).toEqual([]);
    expect(bench.open).toEqual(["y firing"]);
  });

  test("updates what an alert shows if it still shows that window", () => {
    const bench = new Bench(ruleOf("value > 1", 0, 10));
    bench.take(windowOf(1, { x: 2 }));
    bench.take(windowOf(2, { x: 0 }));
    bench.take(windowOf(1, { x: 7 }, 1));
    expect(bench.shown({ instance: "x" })).toEqual({ value: 7 });
    bench.take(windowOf(1, { x: 3 }, 1));
    expect(bench.shown({ instance: "x" })).toEqual({ value: 7 });
  });

  test("pages nobody when the window closed before there was a rule", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.state = { ...bench.state, cursor: cursorAt(10.5 * MINUTE) };
    expect(bench.take(windowOf(10, { x: 9 }, 3))).toEqual([]);
    expect(bench.take(windowOf(11, { x: 9 }))).toEqual(["x firing"]);
  });
});

test("windows of a newer version of the aggregation go on where the old ones stopped", () => {
  const bench = new Bench(ruleOf("value > 1"));
  bench.take({ ...windowOf(1, { x: 1 }), revision: 5 });
  expect(bench.take({ ...windowOf(1, { x: 2 }), version: 2 })).toEqual(["x firing"]);
  expect(bench.take({ ...windowOf(1, { x: 0 }), revision: 6 })).toEqual([]);
});
