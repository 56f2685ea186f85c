import { describe, expect, test } from "vitest";
import { withoutInstance, withoutRule } from "../../../core/alerts/aggregation-rules.ts";
import { groupKey } from "../../../core/alerts/group.ts";
import { MAX_GROUP_KEY_CHARS, MAX_OPEN_PER_RULE, MAX_PREVIOUS_GROUPS } from "../../../core/alerts/limits.ts";
import { Bench, ruleOf, windowOf } from "./fixtures.ts";

/** One group more than are remembered; the last two have `value`, the others 1. */
const lastTwoOf = (value: number): Record<string, number> =>
  Object.fromEntries(
    Array.from({ length: MAX_PREVIOUS_GROUPS + 1 }, (_, k) => [`g${k}`, k < MAX_PREVIOUS_GROUPS - 1 ? 1 : value]),
  );

describe("previous", () => {
  test("is the same group in the window just before", () => {
    const bench = new Bench(ruleOf("value > 2 * previous.value"));
    expect(bench.take(windowOf(1, { x: 10, y: 10 }))).toEqual([]);
    expect(bench.take(windowOf(2, { x: 21, y: 19 }))).toEqual(["x firing"]);
  });

  test("is missing after a window without data, and a condition that needs it does not hold", () => {
    const bench = new Bench(ruleOf("value > 2 * previous.value"));
    bench.take(windowOf(1, { x: 10 }));
    expect(bench.take(windowOf(3, { x: 100 }))).toEqual([]);
    expect(bench.state.troubles.get("rule")).toMatchObject({ errors: 2 });
  });

  test("of a revised window is still the window before that one", () => {
    const bench = new Bench(ruleOf("value > 2 * previous.value"));
    bench.take(windowOf(1, { x: 10 }));
    bench.take(windowOf(2, { x: 12 }));
    expect(bench.take(windowOf(2, { x: 25 }, 1))).toEqual(["x firing"]);
    expect(bench.take(windowOf(3, { x: 49 }))).toEqual(["x resolved"]);
  });

  test("takes a late event of the window before into account", () => {
    const bench = new Bench(ruleOf("value > 2 * previous.value"));
    bench.take(windowOf(1, { x: 10 }));
    bench.take(windowOf(2, { x: 10 }));
    bench.take(windowOf(1, { x: 1 }, 1));
    expect(bench.take(windowOf(2, { x: 11 }, 1))).toEqual(["x firing"]);
  });

  test("is remembered only where a condition reads it", () => {
    const bench = new Bench(ruleOf("value > 1"));
    bench.take(windowOf(1, { x: 10 }));
    expect(bench.state.remembered).toEqual([]);
  });

  test(`is missing for groups beyond ${MAX_PREVIOUS_GROUPS}`, () => {
    const bench = new Bench(ruleOf("value > 2 * previous.value"));
    bench.take(windowOf(1, lastTwoOf(1)));
    expect(bench.take(windowOf(2, lastTwoOf(3)))).toEqual([`g${MAX_PREVIOUS_GROUPS - 1} firing`]);
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
