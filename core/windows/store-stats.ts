import type { Column, EventBatch } from "../events/event-batch.ts";

/** Distinct types and sources counted apart; the rest count under `*`. */
const MAX_NAMES = 1000;
const REST = "*";

export interface EventStats {
  readonly total: number;
  readonly byType: Readonly<Record<string, number>>;
  readonly bySource: Readonly<Record<string, number>>;
  /** Epoch ms, or null when there is no event. */
  readonly oldest: number | null;
  readonly newest: number | null;
}

const NO_EVENTS: EventStats = { total: 0, byType: {}, bySource: {}, oldest: null, newest: null };

/** Running totals over every stored event of a shard. */
export class StoreStats {
  #total: number;
  readonly #byType: Map<string, number>;
  readonly #bySource: Map<string, number>;
  #oldest: number;
  #newest: number;
  readonly #maxNames: number;

  constructor(state: EventStats = NO_EVENTS, maxNames = MAX_NAMES) {
    this.#maxNames = maxNames;
    this.#total = state.total;
    this.#byType = new Map(Object.entries(state.byType));
    this.#bySource = new Map(Object.entries(state.bySource));
    this.#oldest = state.oldest ?? Infinity;
    this.#newest = state.newest ?? -Infinity;
  }

  /** Epoch ms; Infinity when there is no event. */
  get oldest(): number {
    return this.#oldest;
  }

  /** Epoch ms; −Infinity when there is no event. */
  get newest(): number {
    return this.#newest;
  }

  get total(): number {
    return this.#total;
  }

  add(batch: EventBatch, rows: Uint32Array): void {
    this.#total += rows.length;
    this.#count(this.#byType, batch.column(["type"]), rows);
    this.#count(this.#bySource, batch.column(["source"]), rows);
    for (const row of rows) {
      const timestamp = batch.timestamps[row] ?? 0;
      if (timestamp < this.#oldest) this.#oldest = timestamp;
      if (timestamp > this.#newest) this.#newest = timestamp;
    }
  }

  /** Adds what was counted apart. */
  merge({ total, byType, bySource, oldest, newest }: EventStats): void {
    this.#total += total;
    for (const [name, added] of Object.entries(byType)) this.#add(this.#byType, name, added);
    for (const [name, added] of Object.entries(bySource)) this.#add(this.#bySource, name, added);
    this.#oldest = Math.min(this.#oldest, oldest ?? Infinity);
    this.#newest = Math.max(this.#newest, newest ?? -Infinity);
  }

  toJSON(): EventStats {
    return {
      total: this.#total,
      byType: Object.fromEntries(this.#byType),
      bySource: Object.fromEntries(this.#bySource),
      oldest: this.#total === 0 ? null : this.#oldest,
      newest: this.#total === 0 ? null : this.#newest,
    };
  }

  #count(totals: Map<string, number>, column: Column, rows: Uint32Array): void {
    const perPosition = countPositions(column, rows);
    for (let position = 0; position < perPosition.length; position++) {
      const added = perPosition[position] ?? 0;
      if (added > 0) this.#add(totals, String(column.values[position]), added);
    }
  }

  #add(totals: Map<string, number>, name: string, added: number): void {
    const kept = totals.has(name) || totals.size < this.#maxNames ? name : REST;
    totals.set(kept, (totals.get(kept) ?? 0) + added);
  }
}

/** How many of `rows` have each value of the column's dictionary. */
export function countPositions(column: Column, rows: Uint32Array): Uint32Array {
  const counts = new Uint32Array(column.values.length);
  for (const row of rows) {
    const position = column.index[row] ?? 0;
    counts[position] = (counts[position] ?? 0) + 1;
  }
  return counts;
}
