import { describe, expect, test } from "vitest";
import { compileMatchers, matchersSchema, parseMatcher } from "../../../core/alerts/matcher.ts";

const alert = {
  ruleId: "r1",
  ruleName: "Too many 404s",
  level: "error",
  labels: { team: "web", level: "mine" },
  group: { "data.status": 404, host: "web-1", nothing: null, constructor: "x" },
};
const matches = (...texts: readonly string[]): boolean => compileMatchers(matchersSchema.parse(texts))(alert);

describe("a matcher", () => {
  test.each([
    ['rule="Too many 404s"', true],
    ["rule_id=r1", true],
    ["level=error", true],
    ["level!=error", false],
    ["team=web", true],
    ["data.status=404", true],
    ["host=~web-.*", true],
    ["host=~web", false],
    ["host=~web-1|db-1", true],
    ['host!~"db-.*"', true],
    ["host!~web-.*", false],
    ["absent!=x", true],
    ["absent=~.+", false],
    ["toString!=x", true],
  ])("%s: %s", (text, expected) => expect(matches(text, "level=~.+")).toBe(expected));

  test("all must hold", () => {
    expect(matches("team=web", "host=web-1")).toBe(true);
    expect(matches("team=web", "host=web-2")).toBe(false);
  });

  test.each(["", "team", "=web", 'team="web', "team==", "team=a b"])("%j is none", (text) => {
    expect(matchersSchema.safeParse([text]).success).toBe(false);
  });

  test("a text that is blanks for the most part is refused in a moment", () => {
    // In quadratic time this takes a minute.
    const blanks = " ".repeat(250_000);
    expect(matchersSchema.safeParse([`a=${blanks}"`, `a${blanks}b`, `${blanks}=`]).success).toBe(false);
    expect(parseMatcher(` a = b${blanks}`)).toEqual({ name: "a", op: "=", value: "b" });
  });

  test("quotes hold anything", () => {
    expect(parseMatcher('a="x \\"y\\" = \\\\"')).toEqual({ name: "a", op: "=", value: 'x "y" = \\' });
  });

  test.each([["a=~.*"], ["a!=x"], ["a=~b?"], ["a="]])("%s alone would concern every alert", (text) => {
    expect(matchersSchema.safeParse([text]).success).toBe(false);
    expect(matchersSchema.safeParse([text, "team=web"]).success).toBe(true);
  });

  test("a pattern that takes others exponential time is matched in a moment, and one that repeats too much is refused", () => {
    const slow = compileMatchers(matchersSchema.parse(["host=~(a+)+b", "team=web"]));
    expect(slow({ ...alert, group: { host: "a".repeat(50_000) } })).toBe(false);
    expect(matchersSchema.safeParse(["host=~(\\pL{1,30}){1,30}"]).success).toBe(false);
    expect(matchersSchema.safeParse(["host=~(a)\\1"]).success).toBe(false);
  });
});
