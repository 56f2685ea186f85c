import type { JsonValue } from "../../core/events/event.ts";

const SUMMARY_FIELDS = 6;

/** A JSON value as a label: strings bare, everything else as JSON, a missing one said in words. */
export function label(value: JsonValue | undefined): string {
  if (value === undefined || value === null) return "(none)";
  if (value === "") return "(empty)";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The first fields of an event's data on one line: `path /cart · status 200`. */
export function summary(data: Readonly<Record<string, JsonValue>>): string {
  const fields = Object.entries(data).filter(([, value]) => value !== null && value !== "");
  return fields
    .slice(0, SUMMARY_FIELDS)
    .map(([name, value]) => `${name} ${label(value)}`)
    .join(" · ");
}
