import { z } from "zod";
import { rfc3339 } from "../../events/rfc3339.ts";
import { compileMatchers, matchersSchema } from "../matcher.ts";
import type { Matchable, Matcher } from "../matcher.ts";

/** A silence lasts no longer: one that is forgotten would hide what it was not meant for. */
export const MAX_SILENCE_MS = 366 * 86_400_000;

const instant = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));

/** The body of `POST /api/v1/silences`. Without `starts_at` it begins now. */
export const silenceSchema = z
  .strictObject({
    matchers: matchersSchema,
    starts_at: instant.optional(),
    ends_at: instant,
    comment: z.string().trim().max(2_000).default(""),
    created_by: z.string().trim().min(1).max(256).optional(),
  })
  .refine(({ starts_at: start, ends_at: end }) => start === undefined || start < end, {
    message: "must be after starts_at",
    path: ["ends_at"],
  })
  .refine(({ starts_at: start, ends_at: end }) => start === undefined || end - start <= MAX_SILENCE_MS, {
    message: "must be at most 366 days after starts_at",
    path: ["ends_at"],
  });

/** Alerts that match are kept quiet in [startsAt, endsAt), epoch ms. */
export interface Silence {
  readonly id: string;
  readonly matchers: readonly Matcher[];
  readonly startsAt: number;
  readonly endsAt: number;
  readonly comment: string;
  readonly createdBy: string | null;
  readonly createdAt: number;
}

/** A silence as the API shows it. */
export interface SilenceJson {
  readonly id: string;
  readonly status: "pending" | "active" | "expired";
  readonly matchers: readonly Matcher[];
  readonly starts_at: string;
  readonly ends_at: string;
  readonly comment: string;
  readonly created_by: string | null;
  readonly created_at: string;
}

/** A silence as the API shows it. */
export function silenceJson(silence: Silence, nowMs: number): SilenceJson {
  const { id, matchers, startsAt, endsAt, comment, createdBy, createdAt } = silence;
  const status = nowMs < startsAt ? "pending" : nowMs < endsAt ? "active" : "expired";
  return {
    id,
    status,
    matchers,
    starts_at: rfc3339(startsAt),
    ends_at: rfc3339(endsAt),
    comment,
    created_by: createdBy,
    created_at: rfc3339(createdAt),
  };
}

/** A silence ready to be asked. */
export interface CompiledSilence extends Silence {
  readonly matches: (alert: Matchable) => boolean;
}

/** A silence that can be asked whether it holds for an alert. @throws CompileError for a bad pattern, which the API rules out */
export function compileSilence(silence: Silence): CompiledSilence {
  return { ...silence, matches: compileMatchers(silence.matchers) };
}
