import { field } from "../api.ts";
import { parseAccessLine } from "./access-log.ts";
import { OccurrenceCounter, lineEventId } from "./event-id.ts";

/** Formats of a file of events, one a line. */
export const FORMATS = ["combined", "common", "ndjson"] as const;
export type Format = (typeof FORMATS)[number];

/** Turns a line's text into the JSON text of its event; null when the line does not parse. */
export type LineToEvent = (text: string) => string | null;

/**
 * The translation for one file. Keep one per file: how often a text was seen is part of an event's id.
 *
 * `ndjson` takes an event per line as the API does, and fills what is missing: `type` becomes `web.request`, `source`
 * the one given, and `id` the hash of the line.
 * @param source  who logged it; part of every id
 */
export function lineTranslator(format: Format, source: string): LineToEvent {
  const occurrences = new OccurrenceCounter();
  const idOf = (text: string, timestamp: number | null): string =>
    lineEventId(source, text, occurrences.count(text), timestamp);
  if (format === "ndjson") return (text) => fromJson(text, source, idOf);
  return (text) => {
    const request = parseAccessLine(text, format);
    if (request === null) return null;
    const { timestamp, data, severity } = request;
    return JSON.stringify({ id: idOf(text, timestamp), type: "web.request", source, timestamp, severity, data });
  };
}

function fromJson(
  text: string,
  source: string,
  idOf: (text: string, timestamp: number | null) => string,
): string | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const id = field(value, "id") ?? idOf(text, timeOf(field(value, "timestamp")));
  return JSON.stringify({ type: "web.request", source, ...value, id });
}

/** Epoch ms of a timestamp in either form the platform takes; null when there is none that it would take. */
function timeOf(timestamp: unknown): number | null {
  const time = typeof timestamp === "string" ? Date.parse(timestamp) : timestamp;
  return typeof time === "number" && Number.isInteger(time) ? time : null;
}
