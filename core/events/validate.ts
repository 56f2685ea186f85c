import type { JsonValue, StreamEvent } from "./event.ts";
import {
  isEventId,
  kindOf,
  readId,
  readSeverity,
  readSource,
  readTags,
  readText,
  readTimestamp,
  readType,
  wrongType,
} from "./fields.ts";
import { MAX_ECHO_LENGTH, type Rejection, reject } from "./rejection.ts";
import { uuidv7Time } from "./uuid.ts";
import { type JsonFault, MAX_DEPTH, findFault, isForbiddenKey, isJsonObject, weighJson } from "./weigh.ts";

/** Bytes of one event as compact JSON in UTF-8. */
export const MAX_EVENT_BYTES = 32_000;
/** An id's own time counts as the event's when the id is at most this old, ms. */
const MAX_ID_AGE_MS = 86_400_000;
/** More than all fields but data, metadata and tags take as JSON: 1,216 UTF-16 units at up to 6 bytes, and their names. */
const FIELDS_BYTES = 8_000;

/** The fields a producer may send. */
export const FIELDS: ReadonlySet<string> = new Set([
  "id",
  "type",
  "source",
  "timestamp",
  "severity",
  "data",
  "metadata",
  "correlation_id",
  "session_id",
  "user_id",
  "tags",
]);
const NOTHING: Fields = {};
const utf8 = new TextEncoder();

type Building = { -readonly [Field in keyof StreamEvent]: StreamEvent[Field] };
type Fields = { readonly [key: string]: JsonValue };

/** What the door knows about an event that the event does not say. */
export interface Arrival {
  /** Position in the request. */
  readonly index: number;
  /** Epoch ms. */
  readonly receivedAt: number;
  /** Makes the id of an event without one; `timestampMs` is the event's, an integer ≥ 0. */
  readonly newId: (timestampMs: number, index: number) => string;
  /** True when a retry of the request makes the same ids again, from its Idempotency-Key. */
  readonly isNewIdRepeatable?: boolean;
}

/** The event as it is stored, or why it is refused. */
export type Validation = { readonly ok: true; readonly event: StreamEvent } | Rejection;

/**
 * Checks one event and fills its defaults. Written by hand because every microsecond here is paid per event.
 * null stands for absence in optional fields; `data` and `metadata` are kept as they are, not copied.
 * @param value what JSON.parse returned for the event
 */
export function validateEvent(value: unknown, at: Arrival): Validation {
  if (!isJsonObject(value)) return reject("not_an_object", "", `an event must be an object, not ${kindOf(value)}`);
  const result = findUnknownField(value) ?? readEvent(value, at);
  const rejection = result.ok ? findExcess(value) : result;
  if (rejection === undefined) return result;
  return isEventId(value["id"]) ? { ...rejection, id: value["id"] } : rejection;
}

function findUnknownField(value: Fields): Rejection | undefined {
  for (const field in value) {
    if (FIELDS.has(field)) continue;
    if (isForbiddenKey(field)) return reject("forbidden_key", field, `${field} is not allowed as a key`);
    const name = JSON.stringify(field.slice(0, MAX_ECHO_LENGTH));
    return reject("unknown_field", field, `events have no field ${name}; put it in data or metadata`);
  }
  return undefined;
}

function readEvent(value: Fields, at: Arrival): Validation {
  const id = readId(value["id"]);
  if (typeof id === "object") return id;
  const type = readType(value["type"]);
  if (typeof type === "object") return type;
  const source = readSource(value["source"]);
  if (typeof source === "object") return source;
  const given = readTimestamp(value["timestamp"], at.receivedAt);
  if (typeof given === "object") return given;
  const severity = readSeverity(value["severity"]);
  if (typeof severity === "object") return severity;
  const correlationId = readText("correlation_id", value["correlation_id"]);
  if (typeof correlationId === "object") return correlationId;
  const sessionId = readText("session_id", value["session_id"]);
  if (typeof sessionId === "object") return sessionId;
  const userId = readText("user_id", value["user_id"]);
  if (typeof userId === "object") return userId;
  const tags = readTags(value["tags"]);
  if (tags !== undefined && "reason" in tags) return tags;
  const data = value["data"] ?? NOTHING;
  if (!isJsonObject(data)) return wrongType("data", "an object", data);
  const metadata = value["metadata"] ?? NOTHING;
  if (!isJsonObject(metadata)) return wrongType("metadata", "an object", metadata);

  const known = given ?? timeOfId(id, at.receivedAt);
  const timestamp = known ?? at.receivedAt;
  const newId = id ?? at.newId(timestamp, at.index);
  const event: Building = { id: newId, type, source, timestamp, receivedAt: at.receivedAt, severity, data, metadata };
  if (correlationId !== undefined) event.correlation_id = correlationId;
  if (sessionId !== undefined) event.session_id = sessionId;
  if (userId !== undefined) event.user_id = userId;
  if (tags !== undefined) event.tags = tags;
  if (known === undefined && (id !== undefined || at.isNewIdRepeatable === true)) event.timestampAssigned = true;
  return { ok: true, event };
}

/** Epoch ms inside a recent UUIDv7, so that a retry of an event without a timestamp gets the same one. */
function timeOfId(id: string | undefined, receivedAt: number): number | undefined {
  const at = id === undefined ? null : uuidv7Time(id);
  return at !== null && at <= receivedAt && at >= receivedAt - MAX_ID_AGE_MS ? at : undefined;
}

/** Too large, too deep, or a forbidden key or number inside. The fields themselves have been read. */
function findExcess(value: Fields): Rejection | undefined {
  const weight = FIELDS_BYTES + weighJson(value["data"]) + weighJson(value["metadata"]) + weighJson(value["tags"]);
  if (weight <= MAX_EVENT_BYTES) return undefined;
  if (Number.isNaN(weight)) return explainFault("data", value["data"]) ?? explainFault("metadata", value["metadata"]);
  const bytes = utf8.encode(JSON.stringify(value)).length;
  if (bytes <= MAX_EVENT_BYTES) return undefined;
  return reject("too_large", "", `${bytes} bytes as compact JSON, of at most ${MAX_EVENT_BYTES}`);
}

function explainFault(field: string, value: JsonValue | undefined): Rejection | undefined {
  const fault = findFault(value, field);
  if (fault === undefined) return undefined;
  const messages: Record<JsonFault["reason"], string> = {
    too_deep: `nests deeper than ${MAX_DEPTH} levels`,
    forbidden_key: "a key must not be __proto__, constructor or prototype",
    number_out_of_range: "a number is too large for a 64-bit float",
  };
  return reject(fault.reason, fault.path, messages[fault.reason]);
}
