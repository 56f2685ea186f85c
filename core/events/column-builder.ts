import {
  type BagText,
  type ColumnText,
  MAX_DICTIONARY_VALUES,
  MAX_KEY_COLUMNS,
  encodeCodes,
} from "./columnar-format.ts";
import type { JsonValue } from "./event.ts";

/** Distinct values before a dictionary may be given up: fewer say nothing about what the rest will be like. */
const TRIAL_VALUES = 128;
/** Distinct values per row above which a dictionary saves nothing and its Map only costs time. */
const NEARLY_ALL_DISTINCT = 0.75;

/** Collects one column, row by row in order; rows that are skipped are absent. */
export class ColumnBuilder {
  /** While a dictionary: 0 = absent, k = values[k-1]. When plain: 0 = absent, 1 = the next of `values`. */
  #codes: number[] = [];
  #values: JsonValue[] = [];
  #isPlain = false;
  #present = 0;
  #last: JsonValue | undefined;
  #lastCode = 0;
  readonly #codeOfScalar = new Map<JsonValue, number>();
  /** Objects and arrays, by their JSON text: two that print alike are alike, key order included. */
  #codeOfText: Map<string, number> | undefined;

  /** @param row not below any row given before */
  add(row: number, value: JsonValue): void {
    while (this.#codes.length < row) this.#codes.push(0);
    this.#present++;
    if (this.#isPlain) {
      this.#codes.push(1);
      this.#values.push(value);
    } else {
      this.#codes.push(this.#codeOf(value));
      if (this.#isDictionaryUseless()) this.#becomePlain();
    }
  }

  #codeOf(value: JsonValue): number {
    if (value === this.#last) return this.#lastCode;
    const code =
      typeof value === "object" && value !== null ? this.#codeOfObject(value) : this.#codeOfScalarValue(value);
    this.#last = value;
    this.#lastCode = code;
    return code;
  }

  #codeOfScalarValue(value: JsonValue): number {
    const known = this.#codeOfScalar.get(value);
    if (known !== undefined) return known;
    const code = this.#values.push(value);
    this.#codeOfScalar.set(value, code);
    return code;
  }

  #codeOfObject(value: JsonValue): number {
    this.#codeOfText ??= new Map();
    const text = JSON.stringify(value);
    const known = this.#codeOfText.get(text);
    if (known !== undefined) return known;
    const code = this.#values.push(value);
    this.#codeOfText.set(text, code);
    return code;
  }

  #isDictionaryUseless(): boolean {
    const distinct = this.#values.length;
    return (
      distinct > TRIAL_VALUES && (distinct > this.#present * NEARLY_ALL_DISTINCT || distinct > MAX_DICTIONARY_VALUES)
    );
  }

  #becomePlain(): void {
    const values: JsonValue[] = [];
    for (const code of this.#codes) {
      const value = this.#values[code - 1];
      if (value !== undefined) values.push(value);
    }
    this.#codes = this.#codes.map((code) => Math.min(code, 1));
    this.#values = values;
    this.#isPlain = true;
    this.#codeOfScalar.clear();
    this.#codeOfText = undefined;
  }

  /** True while no row has a value. */
  get isEmpty(): boolean {
    return this.#present === 0;
  }

  /** @param rows rows of the batch, ≥ every row given to `add` plus one */
  toColumnText(rows: number): ColumnText {
    while (this.#codes.length < rows) this.#codes.push(0);
    const isFull = this.#present === rows;
    if (this.#isPlain) return isFull ? { p: this.#values } : { p: this.#values, m: encodeCodes(this.#codes, 1) };
    if (isFull && this.#values.length === 1) return { d: this.#values };
    return { d: this.#values, i: encodeCodes(this.#codes, this.#values.length) };
  }
}

/** Collects an object-valued field, a column per key. */
export class BagBuilder {
  readonly #columns = new Map<string, ColumnBuilder>();
  #rest: ColumnBuilder | undefined;

  /** The column of `key`, made at need; undefined when the bag has its MAX_KEY_COLUMNS and `key` is none of them. */
  column(key: string): ColumnBuilder | undefined {
    const known = this.#columns.get(key);
    if (known !== undefined || this.#columns.size >= MAX_KEY_COLUMNS) return known;
    const column = new ColumnBuilder();
    this.#columns.set(key, column);
    return column;
  }

  /** Adds every key of `bag`. */
  add(row: number, bag: { readonly [key: string]: JsonValue }): void {
    let rest: { [key: string]: JsonValue } | undefined;
    for (const key in bag) {
      const value = bag[key];
      if (value === undefined) continue;
      const column = this.column(key);
      if (column !== undefined) column.add(row, value);
      else (rest ??= {})[key] = value;
    }
    if (rest !== undefined) (this.#rest ??= new ColumnBuilder()).add(row, rest);
  }

  /** @param rows rows of the batch */
  toBagText(rows: number): BagText {
    const k = Array.from(this.#columns, ([key, column]) => [key, column.toColumnText(rows)] as const);
    return this.#rest === undefined ? { k } : { k, x: this.#rest.toColumnText(rows) };
  }
}
