import { z } from "zod";
import { parseDuration } from "../windows/duration.ts";
import { MAX_CHANNELS_PER_RULE, MAX_LABELS } from "./limits.ts";
import type { Patience } from "./timer.ts";

export const LEVELS = ["info", "warning", "error", "critical"] as const;
export type Level = (typeof LEVELS)[number];

/** Parts of the contract's rule that this version does not have. Taking them in silence would be a promise not kept. */
export const UNSUPPORTED_RULE_FIELDS: readonly string[] = [
  "group_by",
  "no_data",
  "resolve_condition",
  "suppression_minutes",
  "escalation_minutes",
  "escalation_channels",
];

const duration = z.string().refine((text) => parseDuration(text) !== null, {
  message: "must be a duration like 500ms, 10s, 5m, 1h or 1d, at most 400d",
});
// A leading __ would allow __proto__, and is the reserved space of label names elsewhere.
const labelName = z
  .string()
  .regex(/^(?!__)[A-Za-z_][A-Za-z0-9_]{0,63}$/, "must be an identifier of at most 64 characters");
const texts = (maxChars: number) =>
  z
    .record(labelName, z.string().max(maxChars))
    .refine((record) => Object.keys(record).length <= MAX_LABELS, { message: `at most ${MAX_LABELS} of them` });

/** The body of `POST /api/v1/rules`. What the condition reads and which channels exist is checked by the caller. */
export const ruleSchema = z.strictObject({
  name: z.string().trim().min(1).max(200),
  description: z.string().max(2_000).optional(),
  aggregation: z.string().min(1).max(64),
  condition: z.string().min(1).max(2_000),
  threshold: z.number().optional(),
  for: duration.optional(),
  keep_firing_for: duration.optional(),
  level: z.enum(LEVELS),
  channels: z
    .array(z.string().min(1).max(64))
    .max(MAX_CHANNELS_PER_RULE)
    .refine((ids) => new Set(ids).size === ids.length, { message: "the same channel twice" })
    .default([]),
  labels: texts(256).default({}),
  annotations: texts(2_000).default({}),
  enabled: z.boolean().default(true),
});

/** A rule as its user wrote it, valid, defaults filled. */
export type RuleSpec = z.infer<typeof ruleSchema>;

/** @throws RangeError when the rule was not valid */
export function patienceOf(spec: RuleSpec): Patience {
  return { forMs: milliseconds(spec.for), keepFiringForMs: milliseconds(spec.keep_firing_for) };
}

function milliseconds(text: string | undefined): number {
  if (text === undefined) return 0;
  const ms = parseDuration(text);
  if (ms === null) throw new RangeError(`not a duration: ${text}`);
  return ms;
}

/** Why alerts end together when their rule is changed, or null when they may stay open. */
export type Settlement = "rule_changed" | "rule_disabled" | null;

/**
 * What a changed rule does to its open alerts: they stay while the same thing is being watched under the same labels,
 * and keep the name, level, channels and annotations they were opened with.
 */
export function settlementOf(before: RuleSpec, after: RuleSpec): Settlement {
  if (!after.enabled) return before.enabled ? "rule_disabled" : null;
  return watched(before) === watched(after) ? null : "rule_changed";
}

function watched(spec: RuleSpec): string {
  const { forMs, keepFiringForMs } = patienceOf(spec);
  const labels = Object.entries(spec.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([spec.aggregation, spec.condition, spec.threshold ?? null, forMs, keepFiringForMs, labels]);
}
