import fc from "fast-check";
import { expect, test } from "vitest";
import { Replay } from "../../../core/alerts/replay.ts";
import type { RuleLogic } from "../../../core/alerts/rule-logic.ts";
import type { ClosedWindow } from "../../../core/windows/window-json.ts";
import { Bench, MINUTE, ruleOf, windowOf } from "./fixtures.ts";

const values = fc.dictionary(fc.constantFrom("a", "b", "c"), fc.integer({ min: 0, max: 9 }), { maxKeys: 3 });
const minutes = fc.array(fc.oneof(values, fc.constant<Record<string, number>>({})), { minLength: 1, maxLength: 40 });
const patience = fc.record({
  forMinutes: fc.nat(3),
  keepMinutes: fc.nat(3),
  quiet: fc.option(fc.integer({ min: 1, max: 5 })),
});

/** What became of each group, in order, without the times. */
function storiesOf(rule: RuleLogic, windows: readonly ClosedWindow[]): Record<string, string[]> {
  const replay = new Replay([rule]);
  for (const window of windows) replay.take(window);
  const stories: Record<string, string[]> = {};
  for (const { group, isNoData, openedAt, firedAt, endedAt, reason } of replay.alerts) {
    const story = (stories[`${JSON.stringify(group)} ${isNoData}`] ??= []);
    const began = isNoData ? "" : `${openedAt} ${firedAt}`;
    story.push(`${began} ${firedAt !== null} ${endedAt !== null} ${reason}`);
  }
  return stories;
}

test("windows that nobody told of are empty ones: the next window makes of them what telling each would have made", () => {
  fc.assert(
    fc.property(minutes, patience, (told, { forMinutes, keepMinutes, quiet }) => {
      const more = quiet === null ? {} : { noData: { afterMs: quiet * MINUTE } };
      const rule = ruleOf("value > 5", forMinutes, keepMinutes, more);
      const all = told.map((seen, nth) => ({ ...windowOf(nth + 1, seen), stepMs: MINUTE }));
      const first = all.findIndex(({ groups }) => groups.length > 0);
      const last = all.findLastIndex(({ groups }) => groups.length > 0);
      const every = all.slice(Math.max(0, first), last + 1);
      const some = every.filter(({ groups }) => groups.length > 0);
      expect(storiesOf(rule, some)).toEqual(storiesOf(rule, every));
    }),
    { numRuns: 1_000 },
  );
});

test("a group that was quiet for too long has its alert though it is back in the next window that is told", () => {
  const bench = new Bench(ruleOf("value > 5", 0, 0, { noData: { windows: 2 } }));
  bench.take({ ...windowOf(1, { a: 1, b: 1 }), stepMs: MINUTE });
  expect(bench.take({ ...windowOf(4, { a: 1 }), stepMs: MINUTE })).toEqual(["a firing", "b firing", "a resolved"]);
});
