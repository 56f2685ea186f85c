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

/** Running totals over every stored event of a shard. */
export class StoreStats {
  #total: number;
  readonly #byType: Map<string, number>;
  readonly #bySource: Map<string, number>;
  #oldest: number;
  #newest: number;

  constructor(state: EventStats = { total: 0, byType: {}, bySource: {}, oldest: null, newest: null }) {
    this.#total = state.total;
    this.#byType = new Map(Object.entries(state.byType));
    this.#bySource = new Map(Object.entries(state.bySource));
    this.#oldest = state.oldest ?? Infinity;
    this.#newest = state.newest ?? -Infinity;
  }

  get total(): number {
    return this.#total;
  }

  add(batch: EventBatch, rows: Uint32Array): void {
    this.#total += rows.length;
    count(this.#byType, batch.column(["type"]), rows);
    count(this.#bySource, batch.column(["source"]), rows);
    for (const row of rows) {
      const timestamp = batch.timestamps[row] ?? 0;
      if (timestamp < this.#oldest) this.#oldest = timestamp;
      if (timestamp > this.#newest) this.#newest = timestamp;
    }
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
}

function count(totals: Map<string, number>, column: Column, rows: Uint32Array): void {
  const perPosition = countPositions(column, rows);
  for (let position = 0; position < perPosition.length; position++) {
    const added = perPosition[position] ?? 0;
    if (added === 0) continue;
    const name = String(column.values[position]);
    const kept = totals.has(name) || totals.size < MAX_NAMES ? name : REST;
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
