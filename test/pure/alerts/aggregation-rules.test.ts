import { describe, expect, test } from "vitest";
import { awaitsTime, withoutInstance, withoutRule } from "../../../core/alerts/aggregation-rules.ts";
import { groupKey } from "../../../core/alerts/group.ts";
import { noDataKey } from "../../../core/alerts/instance.ts";
import { MAX_GROUP_KEY_CHARS, MAX_OPEN_PER_RULE, MAX_SEEN_GROUPS } from "../../../core/alerts/limits.ts";
import type { Silence } from "../../../core/alerts/rule-logic.ts";
import { Bench, MINUTE, ruleOf, windowOf } from "./fixtures.ts";

const past = (name: string, values: Record<string, number>) => ({ [name]: windowOf(0, values).groups });
const quiet = (more: Silence) => new Bench(ruleOf("value > 90", 0, 0, { noData: more }));

describe("looking back", () => {
  test("reads the same group in the earlier window that came with this one", () => {
    const bench = new Bench(ruleOf("value > 2 * previous.value"));
    expect(bench.take({ ...windowOf(1, { x: 21, y: 19 }), past: past("previous", { x: 10, y: 10 }) })).toEqual([
      "x firing",
    ]);
  });

  test("reads a window of a week ago", () => {
    const bench = new Bench(ruleOf("value > 2 * at('7d').value"));
    expect(bench.take({ ...windowOf(1, { x: 21, y: 19 }), past: past("at:7d", { x: 10, y: 10 }) })).toEqual([
      "x firing",
    ]);
  });

  test("a condition that needs an earlier window does not hold without it", () => {
    const bench = new Bench(ruleOf("value > 2 * previous.value"));
    bench.take(windowOf(1, { x: 10 }));
    expect(bench.take({ ...windowOf(3, { x: 100, y: 3 }), past: past("previous", { y: 1 }) })).toEqual(["y firing"]);
    expect(bench.state.troubles.get("rule")).toMatchObject({ errors: 2 });
  });
});

describe("hysteresis", () => {
  test("a firing alert holds between the two conditions and ends beyond the second", () => {
    const bench = new Bench(ruleOf("value > 90", 0, 0, { resolve: "value < 70" }));
    const told = [95, 80, 71, 91, 80, 69, 80, 91].map((x, k) => bench.take(windowOf(k + 1, { x })));
    expect(told).toEqual([["x firing"], [], [], [], [], ["x resolved"], [], ["x firing"]]);
    expect(bench.shown({ instance: "x" })).toEqual({ value: 91 });
  });

  test("a pending alert does not hold between them", () => {
    const bench = new Bench(ruleOf("value > 90", 2, 0, { resolve: "value < 70" }));
    expect([95, 80, 95, 95, 95].flatMap((x, k) => bench.take(windowOf(k + 1, { x })))).toEqual([
      "x pending",
      "x dropped",
      "x pending",
      "x firing",
    ]);
  });

  test("what cannot be evaluated keeps an alert, and a group without data ends it", () => {
    const bench = new Bench(ruleOf("value > 90", 0, 0, { resolve: "value < group.limit" }));
    bench.take(windowOf(1, { x: 95 }));
    expect(bench.take(windowOf(2, { x: 1 }))).toEqual([]);
    expect(bench.state.troubles.get("rule")).toMatchObject({ errors: 1 });
    expect(bench.take(windowOf(3, {}))).toEqual(["x resolved"]);
  });
});

describe("a group that goes quiet", () => {
  test("has an alert of its own after so much time, which ends when it returns", () => {
    const bench = quiet({ afterMs: 3 * MINUTE });
    const told = [{ x: 1, y: 1 }, { y: 1 }, { y: 1 }, { y: 1 }, { y: 1 }, { x: 1, y: 1 }].map((values, k) =>
      bench.take(windowOf(k + 1, values)),
    );
    expect(told).toEqual([[], [], [], ["x firing"], [], ["x resolved"]]);
    expect(bench.transitions.map(({ instance, reason }) => [instance.kind, reason])).toEqual([
      ["no_data", null],
      ["no_data", "returned"],
    ]);
  });

  test("is counted in windows as well", () => {
    const bench = quiet({ windows: 2 });
    expect([{ x: 1 }, {}, {}].map((values, k) => bench.take(windowOf(k + 1, values)))).toEqual([[], [], ["x firing"]]);
  });

  test("is told of when a run of empty windows is told as one", () => {
    const bench = quiet({ afterMs: 3 * MINUTE });
    bench.take(windowOf(1, { x: 1 }));
    expect(bench.take(windowOf(9, {}, 0, 8))).toEqual(["x firing"]);
  });

  test("may have an alert of its condition and another of its silence", () => {
    const bench = new Bench(ruleOf("value > 90", 0, 5, { noData: { windows: 1 } }));
    bench.take(windowOf(1, { x: 95 }));
    expect(bench.take(windowOf(2, {}))).toEqual(["x firing"]);
    expect(bench.take(windowOf(3, { x: 95 }))).toEqual(["x resolved"]);
    expect(bench.open).toEqual(["x firing"]);
  });

  test("is there after all when a late event says so", () => {
    const bench = quiet({ windows: 1 });
    bench.take(windowOf(1, { x: 1, y: 1 }));
    expect(bench.take(windowOf(2, { y: 1 }))).toEqual(["x firing"]);
    expect(bench.take(windowOf(2, { x: 1, y: 1 }, 1))).toEqual(["x resolved"]);
    expect(bench.take(windowOf(3, { x: 1, y: 1 }))).toEqual([]);
  });

  test("that somebody resolved by hand is forgotten until it returns", () => {
    const bench = quiet({ windows: 1 });
    bench.take(windowOf(1, { x: 1, y: 1 }));
    bench.take(windowOf(2, { y: 1 }));
    bench.state = withoutInstance(bench.state, "rule", noDataKey(groupKey({ instance: "x" })));
    expect(bench.take(windowOf(3, { y: 1 }))).toEqual([]);
    bench.take(windowOf(4, { x: 1, y: 1 }));
    expect(bench.take(windowOf(5, { y: 1 }))).toEqual(["x firing"]);
  });

  test("time is kept for it until it has been told of", () => {
    const rule = ruleOf("value > 90", 0, 0, { noData: { windows: 2 } });
    const bench = new Bench(rule);
    expect(awaitsTime([rule], bench.state)).toBe(false);
    const kept = [{ x: 1 }, {}, {}, { x: 1 }].map((values, k) => {
      bench.take(windowOf(k + 1, values));
      return awaitsTime([rule], bench.state);
    });
    expect(kept).toEqual([true, true, false, true]);
  });

  test(`${MAX_SEEN_GROUPS} groups are remembered, and of the quiet ones the newest`, () => {
    const bench = quiet({ windows: 2 });
    bench.take(windowOf(1, { old: 1 }));
    bench.take(windowOf(2, { x: 1 }));
    const many = Object.fromEntries(Array.from({ length: MAX_SEEN_GROUPS - 1 }, (_, k) => [`g${k}`, 1]));
    bench.take(windowOf(3, many));
    expect([...bench.state.presence.quiet.values()].map(({ group }) => group)).toEqual([{ instance: "x" }]);
  });
});

describe("a window that is still open", () => {
  test("fires, and its close confirms that without a word", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.take(windowOf(1, { x: 1 }));
    expect(bench.takeOpen(windowOf(2, { x: 2 }))).toEqual(["x firing"]);
    expect(bench.takeOpen(windowOf(2, { x: 3 }))).toEqual([]);
    expect(bench.take(windowOf(2, { x: 4 }))).toEqual([]);
    expect(bench.take(windowOf(3, { x: 1 }))).toEqual(["x resolved"]);
  });

  test("is not contradicted by windows before it that close meanwhile", () => {
    const bench = new Bench(ruleOf("value > 1"));
    expect(bench.takeOpen(windowOf(3, { x: 2 }))).toEqual(["x firing"]);
    expect(bench.take(windowOf(1, { x: 0 }))).toEqual([]);
    expect(bench.take(windowOf(2, {}))).toEqual([]);
    expect(bench.take(windowOf(3, { x: 2 }))).toEqual([]);
    expect(bench.open).toEqual(["x firing"]);
  });

  test("that closes otherwise ends what it opened", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.takeOpen(windowOf(1, { x: 2 }));
    expect(bench.take(windowOf(1, { x: 0 }))).toEqual(["x resolved"]);
  });

  test("is too late once it has closed", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.take(windowOf(2, { x: 0 }));
    expect(bench.takeOpen(windowOf(2, { x: 2 }))).toEqual([]);
    expect(bench.takeOpen(windowOf(1, { x: 2 }))).toEqual([]);
  });

  test("fires no rule that wants patience", () => {
    const bench = new Bench(ruleOf("value > 1", 1));
    expect(bench.takeOpen(windowOf(1, { x: 2 }))).toEqual([]);
  });

  test("does not open again what somebody resolved by hand in it", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.takeOpen(windowOf(2, { x: 2 }));
    bench.state = withoutInstance(bench.state, "rule", groupKey({ instance: "x" }));
    expect(bench.takeOpen(windowOf(2, { x: 3 }))).toEqual([]);
    expect(bench.take(windowOf(1, { x: 3 }))).toEqual([]);
    expect(bench.take(windowOf(2, { x: 3 }))).toEqual([]);
    expect(bench.take(windowOf(2, { x: 4 }, 1))).toEqual([]);
    expect(bench.take(windowOf(3, { x: 3 }))).toEqual(["x firing"]);
  });
});

describe("limits", () => {
  test(`the ${MAX_OPEN_PER_RULE + 1}th alert of a rule is refused and counted`, () => {
    const bench = new Bench(ruleOf("value > 1"));
    const values = Object.fromEntries(Array.from({ length: MAX_OPEN_PER_RULE + 1 }, (_, k) => [`g${k}`, 2]));
    expect(bench.take(windowOf(1, values))).toHaveLength(MAX_OPEN_PER_RULE);
    expect(bench.state.troubles.get("rule")).toEqual({ errors: 0, lastError: null, refused: 1 });
  });

  test("the room that the tenant has left is shared by its rules", () => {
    const bench = new Bench(ruleOf("value > 1"), { ...ruleOf("value > 0"), id: "second" });
    expect(bench.take(windowOf(1, { x: 2, y: 2 }), 3)).toEqual(["x firing", "y firing", "x firing"]);
    expect(bench.state.troubles.get("second")).toMatchObject({ refused: 1 });
  });

  test("an alert that is open already needs no room", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.take(windowOf(1, { x: 2 }), 1);
    expect(bench.take(windowOf(2, { x: 3 }), 0)).toEqual([]);
    expect(bench.open).toEqual(["x firing"]);
  });

  test("a group whose key is too long is counted, not evaluated", () => {
    const bench = new Bench(ruleOf("value > 1"));
    const longest = "x".repeat(MAX_GROUP_KEY_CHARS - groupKey({ instance: "" }).length);
    expect(bench.take(windowOf(1, { [longest]: 2, [`${longest}x`]: 2 }))).toEqual([`${longest} firing`]);
    expect(bench.state.troubles.get("rule")).toMatchObject({ refused: 1 });
  });
});

test("a condition that cannot be evaluated opens nothing, and says why", () => {
  const bench = new Bench(ruleOf("group.instance > 1"));
  expect(bench.take(windowOf(1, { x: 2 }))).toEqual([]);
  expect(bench.state.troubles.get("rule")?.lastError).toMatch(/line 1, column/);
});

test("an alert resolved by hand is a new one when its condition holds in a later window", () => {
  const bench = new Bench(ruleOf("value > 1"));
  bench.take(windowOf(1, { x: 2, y: 2 }));
  bench.state = withoutInstance(bench.state, "rule", groupKey({ instance: "x" }));
  expect(bench.open).toEqual(["y firing"]);
  expect(bench.take(windowOf(2, { x: 2, y: 2 }))).toEqual(["x firing"]);
});

test("a rule that starts afresh keeps its place among the windows", () => {
  const bench = new Bench(ruleOf("value > 1"));
  bench.take(windowOf(2, { x: 2 }));
  bench.state = withoutRule(bench.state, "rule");
  expect(bench.take(windowOf(2, { x: 2 }))).toEqual([]);
  expect(bench.take(windowOf(3, { x: 2 }))).toEqual(["x firing"]);
});
