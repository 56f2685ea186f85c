import { type Rejection, reject } from "../../core/events/rejection.ts";
import { ApiError } from "../http.ts";

/** Events in one request or frame. */
export const MAX_EVENTS = 10_000;

/** What a body holds, not yet validated. */
export interface ParsedEvents {
  readonly values: readonly unknown[];
  /** Where `values[k]` stood: k itself, but the physical line (from 0) in NDJSON. */
  readonly indexes: readonly number[] | null;
  /** NDJSON lines that do not parse. */
  readonly unparsed: readonly IndexedRejection[];
}

/** A rejection with the event's place in the batch, from 0. */
export interface IndexedRejection extends Rejection {
  readonly index: number;
}

/** `{"events":[…]}` or a bare array. @throws ApiError `bad_request`, `payload_too_large` */
export function parseBatch(text: string): ParsedEvents {
  return eventList(parseJson(text));
}

/** @throws ApiError `bad_request` when `value` is no list of events, `payload_too_large` over MAX_EVENTS */
export function eventList(value: unknown): ParsedEvents {
  const values = isEnvelope(value) ? value.events : value;
  if (!Array.isArray(values)) {
    throw new ApiError("bad_request", 'The body must be {"events": […]} or a JSON array of events.');
  }
  if (values.length > MAX_EVENTS) throw tooMany(values.length);
  return { values, indexes: null, unparsed: [] };
}

function isEnvelope(value: unknown): value is { readonly events: unknown } {
  return typeof value === "object" && value !== null && Object.hasOwn(value, "events");
}

/** @throws ApiError `bad_request` */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message.slice(0, 120) : "";
    throw new ApiError("bad_request", `The body is not JSON: ${why}`);
  }
}

/**
 * One event a line; LF or CRLF; blank lines are skipped. Lines are cut off one by one, because a body of ten million
 * line ends must not become ten million strings.
 * @throws ApiError `payload_too_large` over MAX_EVENTS lines that are not blank
 */
export function parseLines(text: string): ParsedEvents {
  const values: unknown[] = [];
  const indexes: number[] = [];
  const unparsed: IndexedRejection[] = [];
  let start = 0;
  for (let line = 0; start < text.length; line++) {
    const next = text.indexOf("\n", start);
    const end = next === -1 ? text.length : next;
    const content = end - start > 1 ? text.slice(start, end).trim() : text.charAt(start).trim();
    start = end + 1;
    if (content === "") continue;
    if (values.length + unparsed.length === MAX_EVENTS) throw tooMany(`more than ${MAX_EVENTS}`);
    try {
      values.push(JSON.parse(content));
      indexes.push(line);
    } catch {
      unparsed.push({ ...reject("invalid_json", "", `line ${line + 1} is not JSON`), index: line });
    }
  }
  return { values, indexes, unparsed };
}

function tooMany(count: number | string): ApiError {
  return new ApiError("payload_too_large", `At most ${MAX_EVENTS} events at once, not ${count}.`, {
    max_events: MAX_EVENTS,
  });
}
