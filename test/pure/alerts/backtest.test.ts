import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  Backtest,
  MAX_BACKTEST_GROUPS,
  MAX_BACKTEST_WINDOWS,
  MAX_POINTS,
  MAX_SERIES,
} from "../../../core/alerts/backtest.ts";
import { Replay } from "../../../core/alerts/replay.ts";
import type { ClosedWindow } from "../../../core/windows/window-json.ts";
import { MINUTE, ruleOf, windowOf } from "./fixtures.ts";
import type { RuleExtras } from "./fixtures.ts";

const STEP = { stepMs: MINUTE };

/** The window that ends so many minutes after 0. */
function window(end: number, values: Readonly<Record<string, number>>): ClosedWindow {
  return { ...windowOf(end, values), ...STEP };
}

function backtest(condition: string, windows: readonly ClosedWindow[], more: RuleExtras = {}): Backtest {
  const test = new Backtest(ruleOf(condition, 0, 0, more));
  for (const one of windows) test.take(one);
  return test;
}

const values = fc.dictionary(fc.constantFrom("a", "b"), fc.integer({ min: 0, max: 9 }), { maxKeys: 2 });
const minutes = fc.array(fc.oneof(values, fc.constant<Record<string, number>>({})), { minLength: 1, maxLength: 40 });

test("time without events is passed as if every minute of it had been told", () => {
  const patience = fc.record({
    forMinutes: fc.nat(3),
    keepMinutes: fc.nat(3),
    quiet: fc.option(fc.integer({ min: 1, max: 5 })),
  });
  fc.assert(
    fc.property(minutes, patience, (told, { forMinutes, keepMinutes, quiet }) => {
      const more = quiet === null ? {} : { noData: { afterMs: quiet * MINUTE } };
      const rule = ruleOf("value > 5", forMinutes, keepMinutes, more);
      const windows = told.map((seen, nth) => window(nth + 1, seen));
      const every = new Replay([rule]);
      const first = windows.findIndex(({ groups }) => groups.length > 0);
      for (const one of windows.slice(Math.max(0, first))) every.take(one);
      const some = new Backtest(rule);
      for (const one of windows) if (one.groups.length > 0) some.take(one);
      some.passTime(told.length * MINUTE, window(1, {}));
      expect(some.result().alerts).toEqual(first === -1 ? [] : every.alerts);
    }),
    { numRuns: 1_000 },
  );
});

describe("a backtest shows", () => {
  test("the series of groups with alerts first, and says how many groups there were", () => {
    const many = Object.fromEntries(
      Array.from({ length: MAX_SERIES + 5 }, (_, k) => [`g${k}`, k === MAX_SERIES + 4 ? 9 : 1]),
    );
    const { series, groupsInAll, fired } = backtest("value > 5", [window(1, many), window(2, { g0: 1 })]).result();
    expect([series.length, groupsInAll, fired]).toEqual([MAX_SERIES, MAX_SERIES + 5, 1]);
    expect(series.slice(0, 2).map(({ group }) => group)).toEqual([
      { instance: `g${MAX_SERIES + 4}` },
      { instance: "g0" },
    ]);
  });

  test("of a long series one point in so many, but never hides a minute that fires", () => {
    const windows = Array.from({ length: 3 * MAX_POINTS }, (_, k) => window(k + 1, { a: k % 100 === 50 ? 9 : 1 }));
    const [series] = backtest("value > 5", windows).result().series;
    expect(series?.points).toHaveLength(MAX_POINTS);
    expect(series?.points.filter(({ state }) => state === "firing")).toHaveLength((3 * MAX_POINTS) / 100);
  });

  test("only the measures that the rule reads", () => {
    const [series] = backtest("value > 5", [
      { ...window(1, { a: 9 }), groups: [{ group: {}, values: { value: 9, other: 1 } }] },
    ]).result().series;
    expect(series?.points).toEqual([{ start: 0, end: MINUTE, values: { value: 9 }, state: "firing" }]);
  });
});

describe("a backtest of too much is refused", () => {
  test(`beyond ${MAX_BACKTEST_WINDOWS} windows, those without events that it waits for among them`, () => {
    const test = backtest("value > 5", [window(1, { a: 9 })], { noData: { afterMs: 400 * 86_400_000 } });
    test.passTime(MAX_BACKTEST_WINDOWS * MINUTE, window(1, {}));
    expect(test.result().windows).toBe(MAX_BACKTEST_WINDOWS);
    expect(() => test.take(window(MAX_BACKTEST_WINDOWS + 1, { a: 9 }))).toThrow("more than");
  });

  test(`beyond ${MAX_BACKTEST_GROUPS} groups of windows`, () => {
    const groups = Array.from({ length: 1_000 }, (_, k) => ({ group: { instance: k }, values: { value: 1 } }));
    const windows = Array.from({ length: MAX_BACKTEST_GROUPS / 1_000 }, (_, k) => ({ ...window(k + 1, {}), groups }));
    const test = backtest("value > 5", windows);
    expect(() => test.take({ ...window(MAX_BACKTEST_GROUPS, {}), groups: groups.slice(0, 1) })).toThrow("more than");
  });
});
