import { hashValue } from "../aggregates/hash.ts";
import type { JsonValue } from "../events/event.ts";
import { rfc3339 } from "../events/rfc3339.ts";
import { fingerprint, FINGERPRINT_WORDS } from "../windows/fingerprint.ts";
import { PLATFORM_SOURCE } from "../windows/sources.ts";
import type { Match } from "./matches.ts";
import type { Outcome } from "./pattern-state.ts";
import type { StoredPattern } from "./plan.ts";

/** Events whose type begins so tell of patterns. Patterns pass over them: one that saw its own matches would never end. */
export const PATTERN_TYPE_PREFIX = "pattern.";
/** Fields of an event that a key of the same name fills, so that what is found by user is found with the user's events. */
const NAMING_FIELDS: ReadonlySet<string> = new Set(["user_id", "session_id", "correlation_id"]);

/** A match, or its being taken back, as an event to be sent in. */
export type MatchEvent = { readonly id: string } & { readonly [field: string]: JsonValue };

/**
 * `pattern.matched`: at the moment that decided it. `pattern.retracted`: at the same moment, so that the one is subtracted from the
 * other in the same window. Ids are made of the pattern's version, the key and the ids of the events: told twice, it counts once.
 */
export function matchEvent({ pattern, key, kind, match }: Outcome): MatchEvent {
  const { definition, version } = pattern;
  const matched = matchId(pattern, key, match);
  const value: JsonValue = JSON.parse(key);
  const isNaming = definition.key !== undefined && NAMING_FIELDS.has(definition.key) && typeof value === "string";
  return {
    id: kind === "matched" ? `pm-${matched}` : `pr-${matched}`,
    type: `${PATTERN_TYPE_PREFIX}${kind}`,
    source: PLATFORM_SOURCE,
    timestamp: match.at,
    severity: definition.severity ?? "medium",
    ...(isNaming ? { [definition.key ?? ""]: value } : {}),
    data: {
      pattern: definition.name,
      version,
      kind: definition.kind,
      key: value,
      count: match.events.length,
      event_ids: match.events.map(({ id }) => id),
      first_timestamp: rfc3339(match.events[0]?.at ?? match.at),
      last_timestamp: rfc3339(match.events.at(-1)?.at ?? match.at),
      ...(kind === "retracted" ? { match_id: `pm-${matched}` } : {}),
    },
  };
}

/** 160 bits as hex: two matches of a tenant share them by chance with probability below 10^-30 even among 10^9. */
function matchId({ id }: StoredPattern, key: string, { events }: Match): string {
  const text = JSON.stringify([id, key, events.map((event) => event.id)]);
  const words = new Uint32Array(FINGERPRINT_WORDS + 2);
  fingerprint(text, words, 0);
  const hash = new Uint32Array(2);
  hashValue(text, hash, 0);
  words.set(hash, FINGERPRINT_WORDS);
  return Array.from(words, (word) => word.toString(16).padStart(8, "0")).join("");
}
