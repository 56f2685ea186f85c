import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { MAX_SERIES_VALUES, parseSeries } from "../../../core/alerts/rule-tests/notation.ts";
import { ruleTestsSchema } from "../../../core/alerts/rule-tests/file.ts";
import { runRuleTests } from "../../../core/alerts/rule-tests/run.ts";
import type { RunResult } from "../../../core/alerts/rule-tests/run.ts";
import { mismatchLines } from "../../../cli/rules/diff.ts";

const RULE = { name: "busy", aggregation: "a", condition: "value > 5", level: "error", labels: { team: "web" } };

function run(rules: readonly object[], ...tests: readonly object[]): RunResult {
  return runRuleTests(ruleTestsSchema.parse({ rules, tests }));
}

/** Lines of the diff of a file with one test; empty when it passes. */
function diffOf(rule: object, values: string, ...expectations: readonly object[]): string[] {
  const series = [{ group: { host: "a" }, values: { value: values } }];
  const expected = expectations.map((expectation) => ({ rule: "busy", ...expectation }));
  const result = run([{ ...RULE, ...rule }], { series, expect: expected });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.tests.flatMap(({ mismatches }) => mismatches.flatMap(mismatchLines));
}

describe("series", () => {
  test.each([
    ["1 2.5 -3 1e3", [1, 2.5, -3, 1000]],
    ["-2+4x3", [-2, 2, 6, 10]],
    ["1-2x4", [1, -1, -3, -5, -7]],
    ["1x4", [1, 1, 1, 1, 1]],
    ["1 _x3 5-5x2", [1, null, null, null, 5, 0, -5]],
    ["  _\n7 ", [null, 7]],
    ["0x0", [0]],
    ["1+-1x2", [1, 0, -1]],
    ["", []],
  ])("%j are the values promtool reads", (text, values) => {
    expect(parseSeries(text)).toEqual({ ok: true, values });
  });

  test.each(["a", "1x", "1+2", "x3", "__", "1,2", "stale", "1+x2", "NaN", "0x10F"])("%j is refused", (text) => {
    expect(parseSeries(text)).toMatchObject({ ok: false });
  });

  test("may have as many values as the limit and no more", () => {
    expect(parseSeries(`1x${MAX_SERIES_VALUES - 1}`).ok).toBe(true);
    expect(parseSeries(`1x${MAX_SERIES_VALUES}`).ok).toBe(false);
    expect(parseSeries("_x99999999999999").ok).toBe(false);
  });
});

describe("a rule test", () => {
  test("passes when exactly what is expected is open", () => {
    const firing = [{ group: { host: "a" } }];
    expect(diffOf({}, "1 9 9 1", { at: "1m", firing: [] }, { at: "2m", firing }, { at: "4m", firing: [] })).toEqual([]);
  });

  test("sees a window at its end, not before", () => {
    expect(diffOf({}, "9", { at: "59s", firing: [] }, { at: "1m", firing: [{ group: { host: "a" } }] })).toEqual([]);
  });

  test("compares what is given and shows the difference", () => {
    const alert = { group: { host: "a" }, level: "error", labels: { team: "web" }, values: { value: 9 } };
    expect(diffOf({}, "9", { at: "1m", firing: [alert] })).toEqual([]);
    expect(diffOf({}, "9", { at: "1m", firing: [{ ...alert, values: { value: 8 } }] })).toEqual([
      'after 1m, "busy", firing:',
      '- {"host":"a"} level "error" labels {"team":"web"} values {"value":8}',
      '+ {"host":"a"} level "error" labels {"team":"web"} values {"value":9}',
    ]);
    expect(diffOf({}, "9", { at: "90s", firing: [] })).toEqual([
      'after 1m30s, "busy", firing:',
      '+ {"host":"a"} values {"value":9}',
    ]);
    expect(diffOf({}, "1", { at: "1h30m", firing: [{ group: { host: "b" } }] })).toEqual([
      'after 1h30m, "busy", firing:',
      '- {"host":"b"}',
    ]);
  });

  test("looks at pending alerts only where they are asked for", () => {
    const rule = { for: "5m" };
    expect(diffOf(rule, "9x9", { at: "2m", firing: [] })).toEqual([]);
    expect(diffOf(rule, "9x9", { at: "2m", firing: [], pending: [] })).toEqual([
      'after 2m, "busy", pending:',
      '+ {"host":"a"} values {"value":9}',
    ]);
    expect(diffOf(rule, "9x9", { at: "2m", firing: [], pending: [{ group: { host: "a" } }] })).toEqual([]);
  });

  test("takes expectations in order of time, however they are written", () => {
    const firing = [{ group: { host: "a" } }];
    expect(diffOf({}, "9 1 9", { at: "3m", firing }, { at: "1m", firing }, { at: "2m", firing: [] })).toEqual([]);
  });

  test("reads the window before and the one a day earlier", () => {
    const firing = [{ group: { host: "a" } }];
    const jump = { condition: "value > 2 * previous.value" };
    expect(diffOf(jump, "1 3 _ 9 19", { at: "2m", firing }, { at: "4m", firing: [] }, { at: "5m", firing })).toEqual(
      [],
    );
    const series = [{ values: { value: "5 1 1 11" } }];
    const tests = [
      { rule: "busy", at: "4d", firing: [{}] },
      { rule: "busy", at: "3d", firing: [] },
    ];
    const daily = { ...RULE, condition: "value > 2 * at('3d').value" };
    const result = run([daily], { window: "1d", start: "2026-03-01T07:00:00Z", series, expect: tests });
    expect(result).toMatchObject({ ok: true, tests: [{ checks: 2, mismatches: [] }] });
  });

  test("of a disabled rule finds nothing open", () => {
    expect(diffOf({ enabled: false }, "9", { at: "1m", firing: [] })).toEqual([]);
  });

  test("says what cannot be run", () => {
    const expectation = { at: "1m", rule: "busy", firing: [] };
    const other = { ...RULE, name: "other", aggregation: "b", condition: "x > 1" };
    const result = run(
      [RULE, other, { ...other, condition: "y > 1" }],
      { series: [{ values: { x: "1" } }, { aggregation: "c", values: { value: "1" } }], expect: [expectation] },
      {
        series: [],
        expect: [
          { ...expectation, rule: "nobody" },
          { ...expectation, rule: "other" },
        ],
      },
    );
    expect(result).toMatchObject({ ok: false });
    expect(result.ok ? [] : result.problems.map(({ field }) => field)).toEqual([
      "tests.0.series.0.aggregation",
      "tests.0.series.1.aggregation",
      "tests.1.expect.0.rule",
      "tests.1.expect.1.rule",
      "rules.0.condition",
      "rules.1.condition",
      "rules.2.condition",
    ]);
  });
});

test("a rule that the platform would refuse is not tested", () => {
  const result = run([{ ...RULE, escalation_minutes: 5 }], {
    series: [{ values: { value: "1" } }],
    expect: [{ at: "1m", rule: "busy", firing: [] }],
  });
  expect(result).toMatchObject({ ok: false, problems: [{ field: "rules.0.escalation_channels" }] });
});

test("the example of the documentation passes", () => {
  const file = join(import.meta.dirname, "../../../docs/rule-tests.yaml");
  const result = runRuleTests(ruleTestsSchema.parse(parse(readFileSync(file, "utf8"))));
  expect(result.ok && result.tests.map(({ mismatches }) => mismatches)).toEqual([[], [], [], []]);
});
