/** Reading what comes over the wire: everything is unknown until it was looked at. */
import type { JsonValue } from "../../core/events/event.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** The value's fields; null when it is not an object. */
export function fields(value: unknown): Fields | null {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : null;
}

/** The items of a list, decoded; those that do not decode are left out. */
export function list<T>(value: unknown, decode: (item: unknown) => T | null): T[] {
  if (!Array.isArray(value)) return [];
  return value.map((item: unknown) => decode(item)).filter((item) => item !== null);
}

/** The value if it is a text. */
export function text(value: unknown, otherwise = ""): string {
  return typeof value === "string" ? value : otherwise;
}

/** The value if it is a finite number. */
export function number(value: unknown, otherwise = 0): number {
  return typeof value === "number" && Number.isFinite(value) ? value : otherwise;
}

/** An instant: epoch ms, or RFC 3339 text. Null when it is neither. */
export function instant(value: unknown): number | null {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  const parsed = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(parsed) ? null : parsed;
}

/** A JSON value; what JSON cannot hold becomes null. */
export function json(value: unknown): JsonValue {
  if (value === null || typeof value === "boolean" || typeof value === "string" || typeof value === "number")
    return value;
  if (Array.isArray(value)) return value.map((item: unknown) => json(item));
  return jsonFields(value);
}

/** The fields of a JSON object; none when it is not one. */
export function jsonFields(value: unknown): Readonly<Record<string, JsonValue>> {
  return Object.fromEntries(Object.entries(fields(value) ?? {}).map(([name, item]) => [name, json(item)]));
}
