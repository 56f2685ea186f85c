import { z } from "zod";
import { FIELDS } from "../events/validate.ts";
import { isVariableName } from "../expressions/expression.ts";
import { CALENDAR_UNITS, isTimeZone } from "./calendar.ts";
import { durationMs, parseDuration } from "./duration.ts";
import { greatestCommonDivisor } from "./shape.ts";

/** Groups of one window beyond this go to the overflow group, unless the definition says otherwise. */
export const DEFAULT_MAX_GROUPS = 10_000;
/** More groups per window than this cannot be held in one object's memory with sketches among the measures. */
export const MAX_GROUPS_LIMIT = 200_000;
/** Measures per aggregation; each costs memory per open group. */
export const MAX_MEASURES = 32;
export const MAX_GROUP_BY = 8;
/** Windows shorter than this would close faster than their notices can be delivered. */
export const MIN_WINDOW_MS = 100;

/** Slices of one hopping window: each time one is shown, so many states are merged per group. A day every 4 minutes fits. */
export const MAX_SLICES_PER_WINDOW = 360;

/** What an aggregation or a pattern may be called. */
export const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;
const durationMessage = (minMs: number) =>
  `must be a duration like 500ms, 10s, 5m, 1h or 1d, at least ${minMs}ms and at most 400d`;
/** A duration as text, of at least `minMs` and at most 400 days. */
export const duration = (minMs: number) =>
  z.string().refine((text) => (parseDuration(text) ?? -1) >= minMs, { message: durationMessage(minMs) });
/** What a path may begin with: the fields of an event. Any other would be absent from every event there can be. */
const EVENT_FIELDS: readonly string[] = [...FIELDS, "received_at"];
/** A path under the event, as text. */
export const path = z
  .string()
  .max(256)
  .refine((text) => EVENT_FIELDS.includes(text.split(".")[0] ?? "") && !text.split(".").includes(""), {
    message: `must be a path under the event, like type or data.status; it begins with one of ${EVENT_FIELDS.join(", ")}`,
  });
/** An expression's text; whether it parses is found out when it is compiled. */
export const expression = z.string().min(1).max(2000);

const measureSchema = z.strictObject({
  fn: z.enum(["count", "sum", "avg", "min", "max", "stddev", "rate", "first", "last", "distinct", "quantile", "top"]),
  field: path.optional(),
  q: z.number().min(0).max(1).optional(),
  k: z.int().min(1).max(1000).optional(),
  filter: expression.optional(),
});

const tumblingSchema = z
  .strictObject({
    type: z.literal("tumbling"),
    size: z.string(),
    offset: duration(0).optional(),
    timezone: z.string().max(64).optional(),
  })
  .superRefine(({ size, offset, timezone }, issues) => {
    const complain = (field: string, message: string) => issues.addIssue({ code: "custom", path: [field], message });
    const isCalendar = CALENDAR_UNITS.some((unit) => unit === size);
    if (timezone === undefined) {
      if (size === "1w" || size === "1mo")
        complain("size", `${size} is the calendar's: give a timezone, UTC for example`);
      else if ((parseDuration(size) ?? -1) < MIN_WINDOW_MS) complain("size", durationMessage(MIN_WINDOW_MS));
      return;
    }
    if (!isTimeZone(timezone)) complain("timezone", "must be a time zone like Europe/Berlin or UTC");
    // Hours are not aligned in a zone: after a change of 30 minutes they would no longer start at the full hour.
    if (!isCalendar) complain("size", "with a timezone must be 1d, 1w or 1mo; other sizes take an offset instead");
    if (offset !== undefined) complain("offset", "does not go with a timezone: its windows begin at local midnight");
  });

const hoppingSchema = z
  .strictObject({
    type: z.literal("hopping"),
    size: duration(MIN_WINDOW_MS),
    slide: duration(MIN_WINDOW_MS),
    offset: duration(0).optional(),
  })
  .superRefine(({ size, slide }, issues) => {
    const [sizeMs, slideMs] = [parseDuration(size), parseDuration(slide)];
    if (sizeMs === null || slideMs === null || slideMs === 0) return;
    const slices = sizeMs / greatestCommonDivisor(sizeMs, slideMs);
    if (slices <= MAX_SLICES_PER_WINDOW) return;
    const message = `cuts the window into ${slices} slices, and ${MAX_SLICES_PER_WINDOW} is the most: take a longer slide, or one that divides the size`;
    issues.addIssue({ code: "custom", path: ["slide"], message });
  });

const windowSchema = z.discriminatedUnion("type", [
  tumblingSchema,
  hoppingSchema,
  z.strictObject({ type: z.literal("session"), gap: duration(MIN_WINDOW_MS) }),
]);

/** `window` of a definition. */
export type WindowDefinition = z.infer<typeof windowSchema>;

/** The body of `POST /api/v1/aggregations`. */
export const definitionSchema = z
  .strictObject({
    name: z.string().regex(NAME, "must start with a letter or _, then letters, digits, _ . - (at most 64)"),
    description: z.string().max(1000).optional(),
    filter: expression.optional(),
    window: windowSchema,
    group_by: z.array(path).max(MAX_GROUP_BY).optional(),
    measures: z
      .record(
        z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, "must be an identifier of at most 64 characters"),
        measureSchema,
      )
      .refine((measures) => Object.keys(measures).length >= 1, { message: "needs at least one measure" })
      .refine((measures) => Object.keys(measures).length <= MAX_MEASURES, {
        message: `at most ${MAX_MEASURES} measures`,
      }),
    out_of_orderness: duration(0).optional(),
    allowed_lateness: duration(0).optional(),
    idle_timeout: duration(1).optional(),
    max_groups: z.int().min(1).max(MAX_GROUPS_LIMIT).optional(),
  })
  .superRefine((definition, issues) => {
    for (const [name, measure] of Object.entries(definition.measures)) {
      const complain = (field: string, message: string) =>
        issues.addIssue({ code: "custom", path: ["measures", name, field], message });
      if (measure.field === undefined && measure.fn !== "count" && measure.fn !== "rate")
        complain("field", `${measure.fn} needs a field`);
      if (measure.fn === "quantile" && measure.q === undefined) complain("q", "quantile needs q between 0 and 1");
      if (measure.fn !== "quantile" && measure.q !== undefined) complain("q", "only quantile takes q");
      if (measure.fn !== "top" && measure.k !== undefined) complain("k", "only top takes k");
      if (!isVariableName(name)) complain("fn", `${name} is a word of the rule language: no rule could read it`);
    }
    if (new Set(definition.group_by).size !== (definition.group_by?.length ?? 0)) {
      issues.addIssue({ code: "custom", path: ["group_by"], message: "the same path twice" });
    }
  });

/** An aggregation as its user wrote it, valid. */
export type Definition = z.infer<typeof definitionSchema>;

/** Times of a definition in ms, defaults filled. */
export interface Timing {
  readonly outOfOrdernessMs: number;
  readonly allowedLatenessMs: number;
  readonly idleTimeoutMs: number;
}

/** @throws RangeError when the definition was not valid */
export function timingOf(definition: Definition): Timing {
  return {
    outOfOrdernessMs: durationMs(definition.out_of_orderness ?? "10s"),
    allowedLatenessMs: durationMs(definition.allowed_lateness ?? "1h"),
    idleTimeoutMs: durationMs(definition.idle_timeout ?? "30s"),
  };
}

const builtIn = (name: string, size: string): Definition => ({
  name,
  description: "Built in: events and distinct users by type, source and severity.",
  window: { type: "tumbling", size },
  group_by: ["type", "source", "severity"],
  measures: { count: { fn: "count" }, users: { fn: "distinct", field: "user_id" } },
});

/** Every tenant has these; they can be neither changed nor deleted. */
export const BUILT_IN_DEFINITIONS: readonly Definition[] = [
  builtIn("events_1m", "1m"),
  builtIn("events_5m", "5m"),
  builtIn("events_1h", "1h"),
];
