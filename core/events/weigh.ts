import type { JsonValue } from "./event.ts";

/** Levels of objects and arrays in a value, itself included: deep enough for any record, shallow enough to recurse into. */
export const MAX_DEPTH = 32;

/** Quotes, separator and the longest escape: `\u0000` is 6 bytes for one UTF-16 unit. */
const BYTES_PER_UNIT = 6;
/** The longest a number, `true`, `false` or `null` gets, with its separator. */
const SCALAR_BYTES = 26;
/** Brackets or quotes, and a separator or colon. */
const PUNCTUATION_BYTES = 3;

/** What is wrong with a value, and where: a path such as `data.items[3].price`. */
export interface JsonFault {
  readonly reason: "too_deep" | "forbidden_key" | "number_out_of_range";
  readonly path: string;
}

/** True for what JSON calls an object. `value` must come from JSON.parse: its values are taken for JSON. */
export function isJsonObject(value: unknown): value is { readonly [key: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** True for keys that reach a prototype in code that copies objects key by key, ours or a reader's. */
export function isForbiddenKey(key: string): boolean {
  return key === "__proto__" || key === "constructor" || key === "prototype";
}

/**
 * An upper bound of the bytes of `value` as compact JSON in UTF-8; NaN when it has a fault, which `findFault` then names.
 * Cheap, because nearly every event is far below its limit and need not be measured exactly.
 * @param value what JSON.parse returned
 * @param depth levels above `value`
 */
export function weighJson(value: unknown, depth = 0): number {
  if (typeof value === "string") return value.length * BYTES_PER_UNIT + PUNCTUATION_BYTES;
  if (typeof value === "number") return Number.isFinite(value) ? SCALAR_BYTES : Number.NaN;
  if (typeof value !== "object" || value === null) return SCALAR_BYTES;
  if (depth >= MAX_DEPTH) return Number.NaN;
  let weight = PUNCTUATION_BYTES;
  if (isJsonObject(value)) {
    for (const key in value) {
      if (isForbiddenKey(key)) return Number.NaN;
      weight += key.length * BYTES_PER_UNIT + PUNCTUATION_BYTES + weighJson(value[key], depth + 1);
    }
  } else if (Array.isArray(value)) {
    for (const item of value) weight += weighJson(item, depth + 1);
  }
  return weight;
}

/** The first fault in `value`, in the order of the text; undefined when it has none. */
export function findFault(value: unknown, path: string, depth = 0): JsonFault | undefined {
  if (typeof value === "number" && !Number.isFinite(value)) return { reason: "number_out_of_range", path };
  if (typeof value !== "object" || value === null) return undefined;
  if (depth >= MAX_DEPTH) return { reason: "too_deep", path };
  const isList = Array.isArray(value);
  for (const [key, child] of Object.entries(value)) {
    const childPath = isList ? `${path}[${key}]` : `${path}.${key}`;
    const fault: JsonFault | undefined =
      !isList && isForbiddenKey(key)
        ? { reason: "forbidden_key", path: childPath }
        : findFault(child, childPath, depth + 1);
    if (fault !== undefined) return fault;
  }
  return undefined;
}
