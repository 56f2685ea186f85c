import type { Prepared } from "../aggregates/accumulator.ts";
import { prepareColumn } from "../aggregates/measures.ts";
import type { Column, EventBatch } from "../events/event-batch.ts";
import type { JsonValue } from "../events/event.ts";
import type { Expression, ValueOf } from "../expressions/expression.ts";
import { type GroupKey, GroupKeys } from "./group-keys.ts";
import type { GroupingTerms } from "./plan.ts";

export interface Selection {
  /** Rows for which the filter is exactly true. */
  readonly rows: Uint32Array;
  /** Rows on which the filter failed; they count as not matching. */
  readonly errors: number;
}

export interface Grouping {
  readonly selection: Selection;
  /** Group of the k-th selected row: an index into `keys`. */
  readonly groupOf: Uint32Array;
  /** Null when a value is too long to be kept as a group of its own. A key may be there twice, as 0 and −0 have the same. */
  readonly keys: readonly (GroupKey | null)[];
}

/**
 * Rows of a batch, seen by several aggregations.
 *
 * Works on dictionaries instead of rows wherever it can: a filter over one column runs once per distinct value, and what
 * measures need of a column (numbers, hashes) is prepared once. Aggregations that share a filter or a grouping share its result.
 */
export class BatchView {
  readonly batch: EventBatch;
  readonly #all: Selection;
  readonly #keys: GroupKeys;
  #earliest: number | undefined;
  readonly #selections = new Map<string, Selection>();
  readonly #groupings = new Map<string, Grouping>();
  readonly #prepared = new Map<string, Prepared>();

  /** @param keys of batches before as well, where there are any */
  constructor(batch: EventBatch, rows: Uint32Array, keys = new GroupKeys()) {
    this.batch = batch;
    this.#keys = keys;
    this.#all = { rows, errors: 0 };
  }

  /** All rows that are looked at. */
  get rows(): Uint32Array {
    return this.#all.rows;
  }

  /** The earliest timestamp of the rows, epoch ms; Infinity without rows. */
  get earliest(): number {
    this.#earliest ??= earliestOf(this.batch.timestamps, this.rows);
    return this.#earliest;
  }

  select(filter: Expression | undefined): Selection {
    if (filter === undefined) return this.#all;
    let selection = this.#selections.get(filter.source);
    if (selection === undefined) {
      selection = this.#filterRows(filter, this.#all.rows);
      this.#selections.set(filter.source, selection);
    }
    return selection;
  }

  group({ filter, paths, name }: GroupingTerms): Grouping {
    let grouping = this.#groupings.get(name);
    if (grouping === undefined) {
      grouping = this.#groupRows(this.select(filter), paths);
      this.#groupings.set(name, grouping);
    }
    return grouping;
  }

  prepare(path: readonly string[], needs: Prepared["as"]): Prepared {
    const name = `${needs} ${path.join(".")}`;
    let prepared = this.#prepared.get(name);
    if (prepared === undefined) {
      prepared = prepareColumn(needs, this.batch.column(path).values);
      this.#prepared.set(name, prepared);
    }
    return prepared;
  }

  /** For each row of the batch: 1 where `filter` is true. */
  mask(filter: Expression): { readonly mask: Uint8Array; readonly errors: number } {
    const selection = this.select(filter);
    const mask = new Uint8Array(this.batch.length);
    for (const row of selection.rows) mask[row] = 1;
    return { mask, errors: selection.errors };
  }

  #filterRows(filter: Expression, rows: Uint32Array): Selection {
    const columns = filter.paths.map((path) => this.batch.column(path));
    const verdictOf =
      columns.length === 1 && columns[0] !== undefined ? byDictionary(filter, columns[0]) : byRow(filter, columns);
    const kept = new Uint32Array(rows.length);
    let count = 0;
    let errors = 0;
    for (const row of rows) {
      const verdict = verdictOf(row);
      if (verdict === TRUE) kept[count++] = row;
      else if (verdict === FAILED) errors++;
    }
    return { rows: kept.subarray(0, count), errors };
  }

  #groupRows(selection: Selection, paths: readonly (readonly string[])[]): Grouping {
    const columns = paths.map((path) => this.batch.column(path));
    const groupOf = new Uint32Array(selection.rows.length);
    const byPositions = knownGroups(columns, selection.rows.length);
    const keys: (GroupKey | null)[] = [];
    const only = columns.length === 1 ? columns[0] : undefined;
    for (let k = 0; k < groupOf.length; k++) {
      const row = selection.rows[k] ?? 0;
      let group = byPositions.get(row);
      if (group === undefined) {
        group = keys.length;
        keys.push(
          only === undefined
            ? this.#keys.of(columns.map((column) => column.values[column.index[row] ?? 0] ?? null))
            : this.#keys.ofOne(only.values[only.index[row] ?? 0] ?? null),
        );
        byPositions.set(row, group);
      }
      groupOf[k] = group;
    }
    return { selection, groupOf, keys };
  }
}

function earliestOf(timestamps: Float64Array, rows: Uint32Array): number {
  let earliest = Infinity;
  for (const row of rows) earliest = Math.min(earliest, timestamps[row] ?? Infinity);
  return earliest;
}

const FALSE = 0;
const TRUE = 1;
const FAILED = 2;
const UNKNOWN = 3;
const NUMBER_OF = { pass: TRUE, fail: FALSE, error: FAILED } as const;

function byDictionary(filter: Expression, column: Column): (row: number) => number {
  const verdicts = new Uint8Array(column.values.length).fill(UNKNOWN);
  let value: JsonValue | undefined;
  const valueOf = () => value;
  return (row) => {
    const position = column.index[row] ?? 0;
    if (verdicts[position] === UNKNOWN) {
      value = column.values[position];
      verdicts[position] = NUMBER_OF[filter.verdict(valueOf)];
    }
    return verdicts[position] ?? FALSE;
  };
}

function byRow(filter: Expression, columns: readonly Column[]): (row: number) => number {
  let row = 0;
  const valueOf: ValueOf = (path) => {
    const column = columns[path];
    return column?.values[column.index[row] ?? 0];
  };
  return (at) => {
    row = at;
    return NUMBER_OF[filter.verdict(valueOf)];
  };
}

/** Groups of rows seen so far, by the places of their values in the columns' dictionaries. */
interface KnownGroups {
  get(row: number): number | undefined;
  set(row: number, group: number): void;
}

/** Of a column with about a value per row: looking would find next to nothing. */
const NO_GROUPS: KnownGroups = { get: () => undefined, set: () => undefined };
/** So many combinations of values get a place each: several times the rows of a batch, and quickly cleared. */
const MAX_PLACES = 4096;

function knownGroups(columns: readonly Column[], rows: number): KnownGroups {
  const only = columns.length === 1 ? columns[0] : undefined;
  if (only !== undefined && only.values.length >= rows) return NO_GROUPS;
  const combinations = columns.reduce((product, column) => product * column.values.length, 1);
  if (combinations <= MAX_PLACES) {
    const placeOf = numericPositions(columns);
    const groups = new Int32Array(combinations).fill(-1);
    return {
      get(row) {
        const group = groups[placeOf(row)] ?? -1;
        return group === -1 ? undefined : group;
      },
      set(row, group) {
        groups[placeOf(row)] = group;
      },
    };
  }
  const positionOf = combinations < Number.MAX_SAFE_INTEGER ? numericPositions(columns) : textPositions(columns);
  const groups = new Map<number | string, number>();
  return {
    get: (row) => groups.get(positionOf(row)),
    set: (row, group) => void groups.set(positionOf(row), group),
  };
}

function numericPositions(columns: readonly Column[]): (row: number) => number {
  const only = columns[0];
  if (only !== undefined && columns.length === 1) return (row) => only.index[row] ?? 0;
  return (row) => {
    let positions = 0;
    for (const column of columns) positions = positions * column.values.length + (column.index[row] ?? 0);
    return positions;
  };
}

function textPositions(columns: readonly Column[]): (row: number) => string {
  return (row) => columns.map((column) => column.index[row] ?? 0).join(",");
}
