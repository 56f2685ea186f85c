/** Why one event was not accepted. The only reasons there are; `REASONS` says what each means. */
export type RejectReason = keyof typeof REASONS;

/** Every reason with its meaning, as documented to producers. */
export const REASONS = {
  invalid_json: "an NDJSON line that does not parse",
  not_an_object: "the event is not a JSON object",
  unknown_field: "a top-level key that events do not have",
  missing_field: "`type` or `source` is missing",
  wrong_type: "a field holds another JSON type than it must",
  invalid_id: "`id` is not 1 to 64 of A-Z a-z 0-9 . _ : -",
  invalid_type: "`type` is not 1 to 128 characters of dotted names",
  invalid_severity: "`severity` is none of low, medium, high, critical",
  invalid_timestamp: "`timestamp` is neither RFC 3339 nor epoch milliseconds",
  timestamp_in_future: "`timestamp` is more than 24 hours after receipt",
  timestamp_too_old: "`timestamp` is before 1990, as epoch seconds sent for milliseconds would be",
  invalid_text: "a field is empty that must not be, or holds half of a surrogate pair",
  too_long: "a field has more characters (UTF-16 units) than it may",
  too_many_tags: "more than 32 tags",
  too_large: "more than 32,000 bytes as compact JSON",
  too_deep: "`data` or `metadata` nests deeper than 32 levels",
  forbidden_key: "a key named __proto__, constructor or prototype",
  number_out_of_range: "a number too large for a 64-bit float",
  unavailable: "the queue did not take this event; send it again",
} as const;

/** An event that was not accepted. */
export interface Rejection {
  readonly ok: false;
  readonly reason: RejectReason;
  /** Path of the offending field; empty when it is the event itself. */
  readonly field: string;
  /** One sentence for the producer's log. */
  readonly message: string;
  /** The client's id, when it sent a valid one. */
  readonly id?: string;
}

/** Longest piece of a producer's text that is repeated back to it, UTF-16 units. */
export const MAX_ECHO_LENGTH = 80;

/** A rejection; a field with a long name is shown cut off. */
export function reject(reason: RejectReason, field: string, message: string): Rejection {
  return { ok: false, reason, field: field.slice(0, MAX_ECHO_LENGTH), message };
}
