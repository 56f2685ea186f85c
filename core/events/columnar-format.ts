import type { JsonValue } from "./event.ts";

// Problem: the same few thousand events are written once and filtered many times (queue message, log, segment, query).
// Rule: one JSON text per batch, a column per field; a column of repeating values is a dictionary and one index per row.
// Why not rows of JSON: a third more bytes under gzip and 3 to 5 times slower to filter. Why not a binary format: JSON.parse
// is native code, everything else would be ours to run per value.

/** The text is not a batch of this format. */
export class CorruptBatchError extends Error {
  override readonly name = "CorruptBatchError";
}

/**
 * One column of `n` rows.
 *
 * Dictionary: `i` holds one code per row, 0 = absent, k = `d[k-1]`; without `i` every row is `d[0]`.
 * Plain: `p` holds the values of the rows that have one; `m` one code per row, 0 = absent, 1 = present; without `m` all have one.
 */
export type ColumnText =
  | { readonly d: readonly JsonValue[]; readonly i?: string }
  | { readonly p: readonly JsonValue[]; readonly m?: string };

/** An object-valued field, a column per key; keys beyond the first MAX_KEY_COLUMNS share column `x` as objects. */
export interface BagText {
  readonly k: readonly (readonly [key: string, column: ColumnText])[];
  readonly x?: ColumnText;
}

/** Epoch ms per row: one number when all rows are equal, else the first row's time and then differences. */
export type TimesText = number | readonly number[];

/** Version 1 of the whole text. `ta` lists the rows whose timestamp was assigned at receipt. */
export interface BatchText {
  readonly v: 1;
  readonly n: number;
  readonly id: readonly string[];
  readonly ts: TimesText;
  readonly rt: TimesText;
  readonly ta?: readonly number[];
  readonly fields: BagText;
  readonly data: BagText;
  readonly metadata: BagText;
}

/** Keys of `data` (and of `metadata`) that get a column of their own. More would make wide, sparse batches slow to build. */
export const MAX_KEY_COLUMNS = 64;

/** Values a dictionary may hold: what two characters can index, less the code for absent. */
export const MAX_DICTIONARY_VALUES = 4095;

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const CHARACTER = Uint8Array.from(ALPHABET, (character) => character.charCodeAt(0));
const NOT_A_DIGIT = 64;
const DIGIT = new Uint8Array(256).fill(NOT_A_DIGIT);
CHARACTER.forEach((character, digit) => {
  DIGIT[character] = digit;
});
const ascii = new TextDecoder();

/**
 * Codes as text: one character each when all are < 64, else two (high digit first).
 * @param codes   integers in 0..4095
 * @param largest an upper bound of `codes`
 */
export function encodeCodes(codes: readonly number[], largest: number): string {
  const wide = largest > 63;
  const bytes = new Uint8Array(wide ? codes.length * 2 : codes.length);
  let at = 0;
  for (const code of codes) {
    if (wide) bytes[at++] = CHARACTER[code >> 6] ?? 0;
    bytes[at++] = CHARACTER[code & 63] ?? 0;
  }
  return ascii.decode(bytes);
}

/**
 * Reads what `encodeCodes` wrote.
 * @param rows    how many codes there must be
 * @param largest the highest code allowed
 * @throws CorruptBatchError
 */
export function decodeCodes(text: string, rows: number, largest: number): Uint32Array {
  const wide = text.length !== rows;
  if (wide && text.length !== rows * 2) throw new CorruptBatchError(`${text.length} code characters for ${rows} rows`);
  const codes = new Uint32Array(rows);
  let seen = 0;
  for (let row = 0; row < rows; row++) {
    const low = DIGIT[text.charCodeAt(wide ? row * 2 + 1 : row)] ?? NOT_A_DIGIT;
    const high = wide ? (DIGIT[text.charCodeAt(row * 2)] ?? NOT_A_DIGIT) : 0;
    if (low === NOT_A_DIGIT || high === NOT_A_DIGIT) throw new CorruptBatchError(`row ${row} has no code`);
    const code = (high << 6) | low;
    codes[row] = code;
    if (code > seen) seen = code;
  }
  if (seen > largest) throw new CorruptBatchError(`code ${seen} beyond a dictionary of ${largest}`);
  return codes;
}
