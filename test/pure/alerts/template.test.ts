import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_RENDERED_CHARS, rendered, unknownPlaceholder } from "../../../core/alerts/template.ts";

const names = { measures: ["requests", "share"], paths: ["data.status"], labels: ["team"] };
const values = {
  rule: "Too many 404s",
  level: "error",
  threshold: 100,
  labels: { team: "web" },
  group: { "data.status": 404 },
  values: { requests: 1_234_567, share: 0.1 + 0.2 },
  window: { start: 0, end: 60_000 },
};

test.each([
  ["{{ values.requests }} of {{group.data.status}}", "1234567 of 404"],
  ["{{ values.share }} > {{ threshold }}", "0.3 > 100"],
  ["{{ rule }} ({{ level }}) for {{ labels.team }}", "Too many 404s (error) for web"],
  ["until {{ window.end }}", "until 1970-01-01T00:01:00.000Z"],
  ["{{ values.nothing }}", "–"],
  ["no braces, one { and } or {{ alone", "no braces, one { and } or {{ alone"],
])("%s", (text, expected) => expect(rendered(text, values)).toBe(expected));

test.each(["{{ values.nope }}", "{{ values.constructor }}", "{{ 1 + 1 }}", "{{ values.requests | upper }}", "{{}}"])(
  "%s is refused when the rule is written",
  (text) => expect(unknownPlaceholder(`ok {{ rule }} ${text}`, names)).toContain("names nothing"),
);

test("a value that looks like a placeholder stays as it is, and inherited names are not there", () => {
  const nasty = { ...values, group: { "data.status": "{{ rule }} $& $1" } };
  expect(rendered("{{ group.data.status }}", nasty)).toBe("{{ rule }} $& $1");
  expect(rendered("{{ group.toString }}{{ labels.__proto__ }}", nasty)).toBe("––");
});

test("whatever is written and whatever the values, rendering ends and is never too long", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("{", "}", " ", "rule", "group.x", "a"), maxLength: 200 }),
      fc.string({ maxLength: 9_000 }),
      (text, x) => {
        const result = rendered(text, { ...values, group: { x } });
        expect(result.length).toBeLessThanOrEqual(Math.max(text.length, MAX_RENDERED_CHARS));
      },
    ),
  );
});
