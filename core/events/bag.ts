import { type Column, absentColumn, childColumn, decodeColumn } from "./column.ts";
import { type BagText, type ColumnText, CorruptBatchError } from "./columnar-format.ts";
import { selectColumn } from "./select-rows.ts";
import type { JsonValue } from "./event.ts";

/** The read side of an object-valued field: columns by key, decoded when first asked for. */
export class Bag {
  readonly #rows: number;
  readonly #texts: ReadonlyMap<string, ColumnText>;
  readonly #columns = new Map<string, Column>();
  readonly #rest: ColumnText | undefined;
  #decodedRest: Column | undefined;
  #all: readonly (readonly [key: string, column: Column])[] | undefined;

  /** @throws CorruptBatchError when `text` is not a bag or has a key that would reach a prototype */
  constructor(text: BagText, rows: number) {
    if (!Array.isArray(text.k)) throw new CorruptBatchError("columns are not a list");
    this.#rows = rows;
    this.#texts = new Map(text.k);
    if (this.#texts.has("__proto__")) throw new CorruptBatchError("a column named __proto__");
    this.#rest = text.x;
  }

  /** @throws CorruptBatchError */
  column(key: string): Column {
    const known = this.#columns.get(key);
    if (known !== undefined) return known;
    const column = this.#decode(key);
    this.#columns.set(key, column);
    return column;
  }

  /** The same of some rows. Keys that none of them has are left out. @throws CorruptBatchError */
  select(rows: Uint32Array): BagText {
    const k = Array.from(
      this.#texts,
      ([key, text]) => [key, selectColumn(this.column(key), rows, "p" in text)] as const,
    );
    const rest = this.#restColumn();
    const x = rest && this.#rest && selectColumn(rest, rows, "p" in this.#rest);
    const kept = k.flatMap(([key, column]) => (column === undefined ? [] : [[key, column] as const]));
    return x === undefined ? { k: kept } : { k: kept, x };
  }

  /** A key is either in a column of its own or in the shared one, never in both. */
  #decode(key: string): Column {
    const text = this.#texts.get(key);
    if (text !== undefined) return decodeColumn(text, this.#rows);
    const rest = this.#restColumn();
    return rest === undefined ? absentColumn(this.#rows) : childColumn(rest, key);
  }

  #restColumn(): Column | undefined {
    if (this.#rest === undefined) return undefined;
    return (this.#decodedRest ??= decodeColumn(this.#rest, this.#rows));
  }

  /** The row's object, new on each call. @throws CorruptBatchError */
  object(row: number): { [key: string]: JsonValue } {
    this.#all ??= Array.from(this.#texts.keys(), (key) => [key, this.column(key)] as const);
    const object: { [key: string]: JsonValue } = {};
    for (const [key, { values, index }] of this.#all) {
      const value = values[index[row] ?? 0];
      if (value !== undefined) object[key] = value;
    }
    const rest = this.#restColumn();
    return rest === undefined ? object : Object.assign(object, rest.values[rest.index[row] ?? 0]);
  }
}
