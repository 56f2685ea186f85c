import type { Column } from "./column.ts";
import { type ColumnText, encodeCodes, type TimesText } from "./columnar-format.ts";
import type { JsonValue } from "./event.ts";

// Splitting a batch by owner, or leaving duplicates out of it, is done to whole columns: building every event and taking it apart
// again costs several times as much.

/** The values of some rows, as a column of their own; undefined when none of them has one. @param isPlain as the column was written */
export function selectColumn({ values, index }: Column, rows: Uint32Array, isPlain: boolean): ColumnText | undefined {
  const { kept, codes, present } = isPlain ? pick(values, index, rows) : number(values, index, rows);
  if (present === 0) return undefined;
  const isFull = present === rows.length;
  if (isPlain) return isFull ? { p: kept } : { p: kept, m: encodeCodes(codes, 1) };
  return isFull && kept.length === 1 ? { d: kept } : { d: kept, i: encodeCodes(codes, kept.length) };
}

/** The times of some rows. */
export function selectTimes(times: Float64Array, rows: Uint32Array): TimesText {
  const first = times[rows[0] ?? 0] ?? 0;
  if (rows.every((row) => times[row] === first)) return first;
  let last = 0;
  return Array.from(rows, (row) => {
    const at = times[row] ?? 0;
    const difference = at - last;
    last = at;
    return difference;
  });
}

interface Picked {
  readonly kept: readonly JsonValue[];
  readonly codes: readonly number[];
  readonly present: number;
}

/** Each row's own value. */
function pick(values: Column["values"], index: Uint32Array, rows: Uint32Array): Picked {
  const kept: JsonValue[] = [];
  const codes = Array.from(rows, (row) => {
    const value = values[index[row] ?? 0];
    if (value === undefined) return 0;
    kept.push(value);
    return 1;
  });
  return { kept, codes, present: kept.length };
}

/** The dictionary of the values that these rows use, in the order of their first use. */
function number(values: Column["values"], index: Uint32Array, rows: Uint32Array): Picked {
  const kept: JsonValue[] = [];
  const codeOf = new Uint32Array(values.length);
  let present = 0;
  const codes = Array.from(rows, (row) => {
    const position = index[row] ?? 0;
    const value = values[position];
    if (value === undefined) return 0;
    present++;
    const known = codeOf[position] ?? 0;
    if (known > 0) return known;
    return (codeOf[position] = kept.push(value));
  });
  return { kept, codes, present };
}
