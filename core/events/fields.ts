import { type JsonValue, SEVERITIES, type Severity } from "./event.ts";
import { type Rejection, reject } from "./rejection.ts";
import { parseRfc3339 } from "./rfc3339.ts";

// Readers of one top-level field each: the value when it is good, undefined when an optional one is absent or null,
// else the rejection.

/** UTF-16 units of `source`, `user_id`, `session_id`, `correlation_id` and of each tag. */
export const MAX_TEXT_LENGTH = 256;
const MAX_TYPE_LENGTH = 128;
const MAX_TAGS = 32;
/** How far a producer's clock may run ahead, ms. */
const MAX_FUTURE_MS = 86_400_000;
/** 1990-01-01: older than any event, and later than epoch seconds read as milliseconds (which land in 1970). */
const MIN_TIMESTAMP = 631_152_000_000;

const ID = /^[A-Za-z0-9._:-]{1,64}$/;
const TYPE = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;

/** A field's value as JSON.parse gave it; undefined when the key is missing. */
type Given = JsonValue | undefined;

/** True for what may be an event's id. */
export function isEventId(id: Given): id is string {
  return typeof id === "string" && ID.test(id);
}

/** The producer's own id, or undefined where one is to be made. */
export function readId(id: Given): string | undefined | Rejection {
  if (id === undefined || id === null) return undefined;
  if (typeof id !== "string") return wrongType("id", "a string", id);
  return ID.test(id) ? id : reject("invalid_id", "id", "id must be 1 to 64 of A-Z a-z 0-9 . _ : -");
}

export function readType(type: Given): string | Rejection {
  if (type === undefined || type === null) return reject("missing_field", "type", "type is required");
  if (typeof type !== "string") return wrongType("type", "a string", type);
  if (type.length <= MAX_TYPE_LENGTH && TYPE.test(type)) return type;
  return reject(
    "invalid_type",
    "type",
    `type must be 1 to ${MAX_TYPE_LENGTH} of A-Z a-z 0-9 _ - in names joined by single dots`,
  );
}

export function readSource(source: Given): string | Rejection {
  if (source === "") return reject("invalid_text", "source", "source must not be empty");
  return readText("source", source) ?? reject("missing_field", "source", "source is required");
}

/** An optional string of up to MAX_TEXT_LENGTH. Lone surrogates are refused: stores keep these as UTF-8, which cannot hold them. */
export function readText(field: string, text: Given): string | undefined | Rejection {
  if (text === undefined || text === null) return undefined;
  if (typeof text !== "string") return wrongType(field, "a string", text);
  if (text.length > MAX_TEXT_LENGTH)
    return reject("too_long", field, `${field} has ${text.length} characters of at most ${MAX_TEXT_LENGTH}`);
  return text.isWellFormed() ? text : reject("invalid_text", field, `${field} holds half of a surrogate pair`);
}

export function readSeverity(severity: Given): Severity | Rejection {
  if (severity === undefined || severity === null) return "medium";
  if (typeof severity !== "string") return wrongType("severity", "a string", severity);
  const known = SEVERITIES.find((candidate) => candidate === severity);
  return known ?? reject("invalid_severity", "severity", `severity must be one of ${SEVERITIES.join(", ")}`);
}

/** @returns epoch ms, whole: what is below a millisecond is cut off */
export function readTimestamp(timestamp: Given, receivedAt: number): number | undefined | Rejection {
  if (timestamp === undefined || timestamp === null) return undefined;
  if (typeof timestamp !== "string" && typeof timestamp !== "number")
    return wrongType("timestamp", "a string or a number", timestamp);
  const at = typeof timestamp === "string" ? parseRfc3339(timestamp) : Math.floor(timestamp);
  if (!Number.isFinite(at)) {
    return reject(
      "invalid_timestamp",
      "timestamp",
      "timestamp must be RFC 3339 with an offset, as 2026-11-22T05:04:03.210Z, or epoch milliseconds",
    );
  }
  if (at > receivedAt + MAX_FUTURE_MS)
    return reject("timestamp_in_future", "timestamp", "timestamp is more than 24 hours in the future");
  if (at >= MIN_TIMESTAMP) return at;
  return reject(
    "timestamp_too_old",
    "timestamp",
    "timestamp is before 1990; a number must be epoch milliseconds, not seconds",
  );
}

/** A list of up to MAX_TAGS strings, each as `readText` takes them. */
export function readTags(tags: Given): readonly string[] | undefined | Rejection {
  if (tags === undefined || tags === null) return undefined;
  if (!isList(tags)) return wrongType("tags", "a list of strings", tags);
  if (tags.length > MAX_TAGS) return reject("too_many_tags", "tags", `${tags.length} tags of at most ${MAX_TAGS}`);
  for (const [position, tag] of tags.entries()) {
    const field = `tags[${position}]`;
    if (typeof tag !== "string") return wrongType(field, "a string", tag);
    const text = readText(field, tag);
    if (typeof text === "object") return text;
  }
  return tags.filter((tag) => typeof tag === "string");
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** The rejection of a value that is not of the JSON type it must be. @param expected in words, with an article */
export function wrongType(field: string, expected: string, value: unknown): Rejection {
  return reject("wrong_type", field, `${field} must be ${expected}, not ${kindOf(value)}`);
}

/** The JSON type of a value, in words. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
