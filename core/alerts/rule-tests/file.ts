import { z } from "zod";
import { parseRfc3339 } from "../../events/rfc3339.ts";
import { parseDuration } from "../../windows/duration.ts";
import type { Group, Values } from "../group.ts";
import { LEVELS } from "../level.ts";
import { ruleSchema } from "../rule.ts";
import { parseSeries } from "./notation.ts";
import type { SeriesValues } from "./notation.ts";

const duration = z.string().transform((text, issues) => {
  // `1h30m` is the sum of its parts.
  const parts = text.match(/\d+[a-z]+/g) ?? [];
  const durations = parts.map((part) => parseDuration(part));
  const isWhole = parts.length > 0 && parts.join("") === text;
  if (isWhole && durations.every((ms) => ms !== null)) return durations.reduce((sum, ms) => sum + ms, 0);
  issues.addIssue({ code: "custom", message: "must be a duration like 30s, 5m or 1h30m" });
  return z.NEVER;
});
const positiveDuration = duration.refine((ms) => ms > 0, { message: "must be longer than 0" });

const series = z.union([z.string(), z.number()]).transform((text, issues): SeriesValues => {
  const parsed = parseSeries(String(text));
  if (parsed.ok) return parsed.values;
  issues.addIssue({ code: "custom", message: parsed.message });
  return z.NEVER;
});

const time = z.string().transform((text, issues) => {
  const at = parseRfc3339(text);
  if (Number.isSafeInteger(at)) return at;
  issues.addIssue({ code: "custom", message: "must be an RFC 3339 time like 2026-01-01T00:00:00Z" });
  return z.NEVER;
});

const json: z.ZodType<Group> = z.record(z.string(), z.json());
const values: z.ZodType<Values> = z.record(z.string(), z.json());
const texts = z.record(z.string(), z.string());

const expectedAlert = z.strictObject({
  group: json.default({}),
  level: z.enum(LEVELS).optional(),
  labels: texts.optional(),
  annotations: texts.optional(),
  values: values.optional(),
  no_data: z.boolean().default(false),
});

/** An alert that should be there. What is not given is not compared. */
export type ExpectedAlert = z.infer<typeof expectedAlert>;

const expectation = z.strictObject({
  at: duration,
  rule: z.string(),
  firing: z.array(expectedAlert),
  pending: z.array(expectedAlert).optional(),
});

const testSchema = z.strictObject({
  name: z.string().optional(),
  window: positiveDuration.default(60_000),
  start: time.default(0),
  series: z.array(
    z.strictObject({
      aggregation: z.string().optional(),
      group: json.default({}),
      values: z.record(z.string(), series),
    }),
  ),
  expect: z.array(expectation).min(1),
});

/** One test: windows side by side, and what is open at some times after its start (ms). */
export type RuleTest = z.infer<typeof testSchema>;

/** What `streamflow rules test` reads: docs/rule-tests.md. */
export const ruleTestsSchema = z.strictObject({
  rules: z.array(ruleSchema).min(1),
  tests: z.array(testSchema).min(1),
});
export type RuleTests = z.infer<typeof ruleTestsSchema>;
