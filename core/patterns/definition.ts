import { z } from "zod";
import { SEVERITIES } from "../events/event.ts";
import { duration, expression, NAME, path } from "../windows/definition.ts";
import { durationMs } from "../windows/duration.ts";

/** Patterns of one tenant. Each is tried on every event. */
export const MAX_PATTERNS = 20;
/** Most events of one `count` match: a match names them all, and an event may have 32 KB. */
const MAX_TIMES = 100;
/** Shorter spans are below what clocks of different machines agree on. */
const MIN_WITHIN_MS = 1;

const step = z.strictObject({ filter: expression });

const shared = {
  name: z.string().regex(NAME, "must start with a letter or _, then letters, digits, _ . - (at most 64)"),
  description: z.string().max(1000).optional(),
  within: duration(MIN_WITHIN_MS),
  key: path.optional(),
  severity: z.enum(SEVERITIES).optional(),
  out_of_orderness: duration(0).optional(),
  allowed_lateness: duration(0).optional(),
  idle_timeout: duration(1).optional(),
};

/**
 * The body of `POST /api/v1/patterns`. In the words of complex event processing (Flink CEP): `sequence` is first.followedBy(second),
 * `absence` is first.notFollowedBy(second), `count` is event.times(n), each with within(t) and keyed by `key`.
 */
export const patternSchema = z.discriminatedUnion(
  "kind",
  [
    z.strictObject({ ...shared, kind: z.literal("sequence"), first: step, second: step }),
    z.strictObject({ ...shared, kind: z.literal("absence"), first: step, second: step }),
    z.strictObject({ ...shared, kind: z.literal("count"), event: step, times: z.int().min(2).max(MAX_TIMES) }),
  ],
  { error: "must be sequence, absence or count" },
);

/** A pattern as its user wrote it, valid. */
export type PatternDefinition = z.infer<typeof patternSchema>;

/** What decides which matches there are. Times in ms. */
export interface PatternSpec {
  readonly kind: PatternDefinition["kind"];
  readonly withinMs: number;
  /** Of a `count`; 1 for the others. */
  readonly times: number;
  /** Events this far behind the watermark still change what was decided. */
  readonly allowedLatenessMs: number;
}

/** @throws RangeError when the definition was not valid */
export function specOf(definition: PatternDefinition): PatternSpec {
  return {
    kind: definition.kind,
    withinMs: durationMs(definition.within),
    times: definition.kind === "count" ? definition.times : 1,
    allowedLatenessMs: durationMs(definition.allowed_lateness ?? "1h"),
  };
}

/** True when two definitions find the same matches among the same events, given enough time. */
export function matchesAlike(a: PatternDefinition, b: PatternDefinition): boolean {
  return essence(a) === essence(b);
}

function essence(definition: PatternDefinition): string {
  const { kind, within, key } = definition;
  const steps =
    definition.kind === "count"
      ? [definition.event.filter, definition.times]
      : [definition.first.filter, definition.second.filter];
  return JSON.stringify([kind, durationMs(within), key, steps]);
}
