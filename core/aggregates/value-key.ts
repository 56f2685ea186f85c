import type { JsonValue } from "../events/event.ts";
import { canonicalJson, parseStoredJson } from "./canonical-json.ts";

/**
 * A JSON value other than null as a key of a Map, where equal values are one key: booleans, numbers and most text as they are;
 * lists and objects as NUL and their canonical JSON; text that begins with NUL as NUL, "s" and the text.
 */
export type ValueKey = boolean | number | string;

const NUL = "\0";
const ESCAPED = "\0s";

/** The key of a value; −0 is 0 to a Map already. */
export function keyOf(value: Exclude<JsonValue, null>): ValueKey {
  if (typeof value === "object") return NUL + canonicalJson(value);
  return typeof value === "string" && value.startsWith(NUL) ? ESCAPED + value : value;
}

/** The value of a key. */
export function valueOf(key: ValueKey): JsonValue {
  if (typeof key !== "string" || !key.startsWith(NUL)) return key;
  return key.startsWith(ESCAPED) ? key.slice(ESCAPED.length) : parseStoredJson(key.slice(NUL.length));
}

/** The canonical JSON text of a key's value. */
export function jsonOf(key: ValueKey): string {
  const compound = typeof key === "string" && key.startsWith(NUL) && !key.startsWith(ESCAPED);
  return compound ? key.slice(NUL.length) : JSON.stringify(valueOf(key));
}

/** Orders keys for a deterministic list: booleans, numbers by size, then text by UTF-16 unit; lists and objects last. */
export function compareKeys(a: ValueKey, b: ValueKey): number {
  return rankOf(a) - rankOf(b) || (a < b ? -1 : Number(a > b));
}

function rankOf(key: ValueKey): number {
  if (typeof key === "string") return key.startsWith(NUL) && !key.startsWith(ESCAPED) ? 3 : 2;
  return typeof key === "number" ? 1 : 0;
}
