import { describe, expect, test } from "vitest";
import { Bench, ruleOf, windowOf } from "./fixtures.ts";

// The series and states are those of prometheus/prometheus rules/manager_test.go, with our windows in place of its evaluations.
describe("Prometheus' own cases", () => {
  test("TestAlertingRule: pending first, firing after `for`, and a value that recovers starts the wait over", () => {
    const bench = new Bench(ruleOf("value < 100", 1));
    const series0 = [75, 85, 95, 105, 105, 95, 85];
    const series1 = [80, 90, 100, 110, 120, 130, 140];
    const states = series0.map((value, k) => {
      bench.take(windowOf(5 * (k + 1), { inst0: value, inst1: series1[k] ?? 0 }, 0, 5));
      return bench.open;
    });
    expect(states).toEqual([
      ["inst0 pending", "inst1 pending"],
      ["inst0 firing", "inst1 firing"],
      ["inst0 firing"],
      [],
      [],
      ["inst0 pending"],
      ["inst0 firing"],
    ]);
  });

  test("TestKeepFiringFor: a firing alert is kept for one more evaluation, then ends", () => {
    const bench = new Bench(ruleOf("value > 50", 1, 1));
    const states = [75, 85, 70, 70, 10, 10, 10, 10, 10].map((value, k) => {
      bench.take(windowOf(k + 1, { x: value }));
      return bench.open.join(" ");
    });
    expect(states).toEqual(["x pending", "x firing", "x firing", "x firing", "x firing", "", "", "", ""]);
  });
});

describe("for and keep_firing_for", () => {
  test("without `for` a rule fires at once", () => {
    expect(new Bench(ruleOf("value > 1")).take(windowOf(1, { x: 2 }))).toEqual(["x firing"]);
  });

  test("a pending alert that stops holding is dropped, whatever keep_firing_for says", () => {
    const bench = new Bench(ruleOf("value > 1", 5, 60));
    expect(bench.take(windowOf(1, { x: 2 }))).toEqual(["x pending"]);
    expect(bench.take(windowOf(2, { x: 0 }))).toEqual(["x dropped"]);
  });

  test("a value that returns while a firing alert is kept starts its keeping over", () => {
    const bench = new Bench(ruleOf("value > 1", 0, 2));
    for (const [k, value] of [2, 0, 0, 2, 0, 0].entries()) bench.take(windowOf(k + 1, { x: value }));
    expect(bench.open).toEqual(["x firing"]);
    expect(bench.take(windowOf(7, { x: 0 }))).toEqual(["x resolved"]);
  });
});

describe("windows without data", () => {
  test("a firing alert whose group is absent from a later window resolves, with no values", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.take(windowOf(1, { x: 2, y: 2 }));
    expect(bench.take(windowOf(2, { y: 2 }))).toEqual(["x resolved"]);
    expect(bench.transitions.at(-1)).toMatchObject({ reason: "no_data", values: {} });
    expect(bench.open).toEqual(["y firing"]);
  });

  test("an empty window resolves all", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.take(windowOf(1, { x: 2, y: 2 }));
    expect(bench.take(windowOf(2, {}))).toEqual(["x resolved", "y resolved"]);
  });

  test("a run of empty windows told as one counts from its first window", () => {
    const told = new Bench(ruleOf("value > 1", 0, 3));
    told.take(windowOf(1, { x: 2 }));
    expect(told.take(windowOf(3, {}, 0, 2))).toEqual([]);
    expect(told.take(windowOf(5, {}, 0, 2))).toEqual(["x resolved"]);
    const single = new Bench(ruleOf("value > 1", 0, 3));
    single.take(windowOf(1, { x: 2 }));
    const kinds = [2, 3, 4, 5].map((end) => single.take(windowOf(end, {})));
    expect(kinds).toEqual([[], [], [], ["x resolved"]]);
  });

  test("a gap that nobody told of interrupts a pending alert", () => {
    const bench = new Bench(ruleOf("value > 1", 3));
    bench.take(windowOf(1, { x: 2 }));
    expect(bench.take(windowOf(5, { x: 2 }))).toEqual(["x dropped", "x pending"]);
  });

  test("a gap is the end of a firing alert, and what comes after it is a new one", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.take(windowOf(1, { x: 2 }));
    expect(bench.take(windowOf(5, { x: 2 }))).toEqual(["x resolved", "x firing"]);
    const ids = bench.transitions.map(({ instance }) => instance.alertId);
    expect(ids).toEqual(["alert-0", "alert-0", "alert-1"]);
  });

  test("a gap shorter than keep_firing_for does not end a firing alert", () => {
    const bench = new Bench(ruleOf("value > 1", 0, 5));
    bench.take(windowOf(1, { x: 2 }));
    expect(bench.take(windowOf(5, { x: 2 }))).toEqual([]);
    expect(bench.open).toEqual(["x firing"]);
  });
});
