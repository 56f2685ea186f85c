import { CorruptStateError } from "../bytes.ts";
import type { JsonValue } from "../events/event.ts";

/** What is still to be written: a value, or punctuation as it stands. */
type Piece = { readonly value: JsonValue } | { readonly text: string };

const isList = (value: JsonValue): value is readonly JsonValue[] => Array.isArray(value);

/**
 * JSON text that is the same for equal values: object keys sorted by UTF-16 unit, no spaces, −0 as 0.
 *
 * With a stack of its own, because JSON.stringify overflows the call stack at a nesting of some thousands, which JSON.parse accepts.
 */
export function canonicalJson(value: JsonValue): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  let text = "";
  const pending: Piece[] = [{ value }];
  for (let piece = pending.pop(); piece !== undefined; piece = pending.pop()) {
    if ("text" in piece) text += piece.text;
    else if (typeof piece.value !== "object" || piece.value === null) text += JSON.stringify(piece.value);
    else pushParts(piece.value, pending);
  }
  return text;
}

/** Pushes brackets, keys, commas and members in reverse, as the last one pushed is written first. */
function pushParts(value: readonly JsonValue[] | { readonly [key: string]: JsonValue }, pending: Piece[]): void {
  const list = isList(value);
  const members: Piece[][] = list
    ? value.map((item) => [{ value: item }])
    : Object.entries(value)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, item]) => [{ text: `${JSON.stringify(key)}:` }, { value: item }]);
  pending.push({ text: list ? "]" : "}" });
  for (let at = members.length - 1; at >= 0; at--) {
    pending.push(...(members[at] ?? []).reverse());
    if (at > 0) pending.push({ text: "," });
  }
  pending.push({ text: list ? "[" : "{" });
}

/** Parses text that `canonicalJson` wrote. @throws CorruptStateError when it is not JSON */
export function parseStoredJson(text: string): JsonValue {
  try {
    const value: JsonValue = JSON.parse(text);
    return value;
  } catch (cause) {
    throw new CorruptStateError("A stored value is not JSON", { cause });
  }
}
