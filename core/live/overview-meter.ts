import { countPositions } from "../windows/store-stats.ts";
import type { EventBatch } from "../events/event-batch.ts";
import type { JsonValue } from "../events/event.ts";
import type { FacetEntry, SecondCount } from "./protocol.ts";

const SECONDS_KEPT = 300;
const MINUTES_KEPT = 60;
const TOP = 10;
/** Types told apart in one second; the rest count in its total only. */
const MAX_TYPES_PER_SECOND = 20;
/** Values told apart per path; later ones are not counted until older ones leave. */
const MAX_VALUES = 2000;
const FACETS: readonly (readonly string[])[] = [
  ["type"],
  ["source"],
  ["severity"],
  ["data", "status"],
  ["data", "path"],
];

/** What the overview shows of the last minutes, by receive time. Held in memory only: after a restart it begins anew. */
export class OverviewMeter {
  readonly #seconds = new Map<number, { total: number; byType: Map<string, number> }>();
  readonly #changed = new Set<number>();
  readonly #facets = FACETS.map((path) => new Facet(path));

  add(batch: EventBatch, rows: Uint32Array): void {
    const types = batch.column(["type"]);
    for (const row of rows) {
      const at = Math.floor((batch.receivedAt[row] ?? 0) / 1000);
      const second = this.#second(at);
      const type = String(types.values[types.index[row] ?? 0]);
      second.total++;
      const known = second.byType.get(type);
      if (known !== undefined || second.byType.size < MAX_TYPES_PER_SECOND) second.byType.set(type, (known ?? 0) + 1);
    }
    const minute = Math.floor((batch.receivedAt[rows[0] ?? 0] ?? 0) / 60_000);
    for (const facet of this.#facets) facet.add(batch, rows, minute);
  }

  /** Seconds that changed since the last call, oldest first. */
  takeChanged(nowMs: number): SecondCount[] {
    this.#prune(nowMs);
    const changed = [...this.#changed].sort((a, b) => a - b);
    this.#changed.clear();
    return changed.flatMap((at) => this.#secondJson(at));
  }

  seconds(nowMs: number): SecondCount[] {
    this.#prune(nowMs);
    return [...this.#seconds.keys()].sort((a, b) => a - b).flatMap((at) => this.#secondJson(at));
  }

  facets(nowMs: number): Record<string, FacetEntry[]> {
    const oldest = Math.floor(nowMs / 60_000) - MINUTES_KEPT + 1;
    return Object.fromEntries(this.#facets.map((facet) => [facet.name, facet.top(oldest)]));
  }

  #second(at: number): { total: number; byType: Map<string, number> } {
    let second = this.#seconds.get(at);
    if (second === undefined) {
      second = { total: 0, byType: new Map() };
      this.#seconds.set(at, second);
    }
    this.#changed.add(at);
    return second;
  }

  #secondJson(at: number): SecondCount[] {
    const second = this.#seconds.get(at);
    return second === undefined ? [] : [{ at, total: second.total, by_type: Object.fromEntries(second.byType) }];
  }

  #prune(nowMs: number): void {
    const oldest = Math.floor(nowMs / 1000) - SECONDS_KEPT + 1;
    for (const at of this.#seconds.keys()) {
      if (at < oldest) {
        this.#seconds.delete(at);
        this.#changed.delete(at);
      }
    }
  }
}

/** Counts of one path's values per minute, with a running total so that the top needs no adding up. */
class Facet {
  readonly name: string;
  readonly #path: readonly string[];
  readonly #minutes = new Map<number, Map<JsonValue, number>>();
  readonly #totals = new Map<JsonValue, number>();

  constructor(path: readonly string[]) {
    this.#path = path;
    this.name = path.join(".");
  }

  add(batch: EventBatch, rows: Uint32Array, minute: number): void {
    const column = batch.column(this.#path);
    const counts = countPositions(column, rows);
    let values = this.#minutes.get(minute);
    if (values === undefined) {
      values = new Map();
      this.#minutes.set(minute, values);
    }
    for (let position = 0; position < counts.length; position++) {
      const added = counts[position] ?? 0;
      const value = column.values[position];
      if (added === 0 || value === undefined || value === null || typeof value === "object") continue;
      if (!this.#totals.has(value) && this.#totals.size >= MAX_VALUES) continue;
      this.#totals.set(value, (this.#totals.get(value) ?? 0) + added);
      values.set(value, (values.get(value) ?? 0) + added);
    }
  }

  top(oldestMinute: number): FacetEntry[] {
    for (const [minute, values] of this.#minutes) {
      if (minute >= oldestMinute) continue;
      this.#minutes.delete(minute);
      for (const [value, count] of values) {
        const left = (this.#totals.get(value) ?? 0) - count;
        if (left > 0) this.#totals.set(value, left);
        else this.#totals.delete(value);
      }
    }
    return [...this.#totals].sort((a, b) => b[1] - a[1]).slice(0, TOP);
  }
}
