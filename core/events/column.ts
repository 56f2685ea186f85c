import { type ColumnText, CorruptBatchError, decodeCodes } from "./columnar-format.ts";
import type { JsonValue } from "./event.ts";

/**
 * One value per row: that of row r is `values[index[r]]`, undefined where absent.
 * A dictionary column has few values, so work done once per value serves all rows; `values` may hold some that no row uses.
 * Shared between callers: never change it.
 */
export interface Column {
  readonly values: readonly (JsonValue | undefined)[];
  readonly index: Uint32Array;
}

/** 0, 1, 2 …: the index of a column that has a value of its own for every row. */
export function identityIndex(rows: number): Uint32Array {
  const index = new Uint32Array(rows);
  for (let row = 0; row < rows; row++) index[row] = row;
  return index;
}

/** A column no row of which has a value. */
export function absentColumn(rows: number): Column {
  return { values: [undefined], index: new Uint32Array(rows) };
}

/** @throws CorruptBatchError when the column does not fit `rows` */
export function decodeColumn(text: ColumnText, rows: number): Column {
  return "d" in text ? decodeDictionary(text, rows) : decodePlain(text, rows);
}

function decodeDictionary({ d, i }: Extract<ColumnText, { d: unknown }>, rows: number): Column {
  if (!Array.isArray(d)) throw new CorruptBatchError("dictionary is not a list");
  const values = [undefined, ...d];
  if (i !== undefined) return { values, index: decodeCodes(i, rows, d.length) };
  if (d.length !== 1) throw new CorruptBatchError(`${d.length} constants`);
  return { values, index: new Uint32Array(rows).fill(1) };
}

/** Values are numbered from 1, so that absent rows share number 0. */
function decodePlain({ p, m }: Extract<ColumnText, { p: unknown }>, rows: number): Column {
  if (!Array.isArray(p)) throw new CorruptBatchError("values are not a list");
  const index = m === undefined ? new Uint32Array(rows).fill(1) : decodeCodes(m, rows, 1);
  let next = 0;
  for (let row = 0; row < rows; row++) if (index[row] === 1) index[row] = ++next;
  if (next !== p.length) throw new CorruptBatchError(`${p.length} values for ${next} rows`);
  return { values: [undefined, ...p], index };
}

/** The column of `key` inside the objects of `column`; undefined for values that are not objects or lack the key. */
export function childColumn(column: Column, key: string): Column {
  return { values: column.values.map((value) => ownValue(value, key)), index: column.index };
}

function ownValue(value: JsonValue | undefined, key: string): JsonValue | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
    return undefined;
  return (value as { readonly [key: string]: JsonValue })[key];
}
