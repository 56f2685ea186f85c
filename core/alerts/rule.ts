import { z } from "zod";
import { parseDuration } from "../windows/duration.ts";
import { LEVELS } from "./level.ts";
import { MAX_CHANNELS_PER_RULE, MAX_INHIBITIONS, MAX_LABELS } from "./limits.ts";
import { matchersSchema } from "./matcher.ts";
import { muteTimesSchema } from "./mute-times.ts";
import type { Patience } from "./timer.ts";

/** Paths and labels that one rule's notifications are bundled by. */
const MAX_GROUP_BY = 8;
/** Longest suppression and longest wait for an escalation: 30 days. */
const MAX_MINUTES = 43_200;
/** An alert is not told again sooner, whatever its rule says: each telling costs a message per channel. */
const MIN_REPEAT_MS = 1_000;

const duration = z.string().refine((text) => parseDuration(text) !== null, {
  message: "must be a duration like 500ms, 10s, 5m, 1h or 1d, at most 400d",
});
const positiveDuration = duration.refine((text) => parseDuration(text) !== 0, { message: "must be longer than 0" });
// A leading __ would allow __proto__, and is the reserved space of label names elsewhere.
const labelName = z
  .string()
  .regex(/^(?!__)[A-Za-z_][A-Za-z0-9_]{0,63}$/, "must be an identifier of at most 64 characters");
const texts = (maxChars: number) =>
  z.preprocess(
    refuseProto,
    z
      .record(labelName, z.string().max(maxChars))
      .refine((record) => Object.keys(record).length <= MAX_LABELS, { message: `at most ${MAX_LABELS} of them` }),
  );

/** A record drops a key called `__proto__` without a word; who sent it should hear of it as of any other bad name. */
function refuseProto(value: unknown, context: z.RefinementCtx): unknown {
  if (typeof value === "object" && value !== null && Object.hasOwn(value, "__proto__"))
    context.addIssue({ code: "custom", path: ["__proto__"], message: "is a reserved name" });
  return value;
}

const expression = z.string().min(1).max(2_000);
const channelIds = z
  .array(z.string().min(1).max(64))
  .max(MAX_CHANNELS_PER_RULE)
  .refine((ids) => new Set(ids).size === ids.length, { message: "the same channel twice" });
const minutes = z.number().gt(0).max(MAX_MINUTES);

const noDataSchema = z
  .strictObject({
    after: positiveDuration.optional(),
    windows: z.int().min(1).max(10_000).optional(),
    level: z.enum(LEVELS).optional(),
  })
  .refine(({ after, windows }) => (after === undefined) !== (windows === undefined), {
    message: "needs exactly one of after (a duration) and windows (a number)",
  });

const inhibitionSchema = z.strictObject({
  matchers: matchersSchema,
  equal: z.array(z.string().min(1).max(256)).max(MAX_GROUP_BY).default([]),
});

/** The body of `POST /api/v1/rules`. What the condition reads and which channels exist is checked by the caller. */
export const ruleSchema = z.strictObject({
  name: z.string().trim().min(1).max(200),
  description: z.string().max(2_000).optional(),
  aggregation: z.string().min(1).max(64),
  condition: expression,
  resolve_condition: expression.optional(),
  threshold: z.number().optional(),
  for: duration.optional(),
  keep_firing_for: duration.optional(),
  no_data: noDataSchema.optional(),
  level: z.enum(LEVELS),
  channels: channelIds.default([]),
  group_by: z.array(z.string().min(1).max(256)).max(MAX_GROUP_BY).optional(),
  group_wait: duration.optional(),
  group_interval: duration.optional(),
  repeat_interval: duration.optional(),
  notify_resolved: z.boolean().default(true),
  suppression_minutes: minutes.optional(),
  escalation_minutes: minutes.optional(),
  escalation_channels: channelIds.optional(),
  mute_times: muteTimesSchema.optional(),
  inhibited_by: z.array(inhibitionSchema).max(MAX_INHIBITIONS).optional(),
  flapping: z.strictObject({ firings: z.int().min(2).max(20), within: positiveDuration }).optional(),
  labels: texts(256).default({}),
  annotations: texts(2_000).default({}),
  enabled: z.boolean().default(true),
});

/** Fields that go together, and others that mean nothing alone. @returns what is wrong, by field */
export function contradictionsOf(spec: RuleSpec): { readonly field: string; readonly message: string }[] {
  const found: { field: string; message: string }[] = [];
  const complain = (field: string, message: string): void => void found.push({ field, message });
  const chain = spec.escalation_channels ?? [];
  if (spec.escalation_minutes !== undefined && chain.length === 0)
    complain("escalation_channels", "escalation_minutes needs at least one");
  if (spec.escalation_minutes === undefined && chain.length > 0)
    complain("escalation_minutes", "escalation_channels need it");
  if (spec.group_by === undefined) {
    for (const field of ["group_wait", "group_interval"] as const)
      if (spec[field] !== undefined) complain(field, "needs group_by; [] bundles all alerts of the rule");
  }
  if (spec.repeat_interval !== undefined && (parseDuration(spec.repeat_interval) ?? 0) < MIN_REPEAT_MS)
    complain("repeat_interval", `must be at least ${MIN_REPEAT_MS / 1000}s`);
  return found;
}

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
  const { aggregation, condition, resolve_condition: resolve = null, threshold = null, no_data: noData = null } = spec;
  return JSON.stringify([aggregation, condition, resolve, threshold, forMs, keepFiringForMs, noData, labels]);
}
