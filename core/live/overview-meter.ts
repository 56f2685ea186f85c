import { countPositions } from "../windows/store-stats.ts";
import type { EventBatch } from "../events/event-batch.ts";
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

/** Values of one path in a delta, the most frequent ones: the overview shows ten. */
const VALUES_PER_DELTA = 500;
/** Longer values are told apart only where the events are counted: a delta must stay small. */
const MAX_VALUE_LENGTH = 256;

/** What a meter counted, for another to add. */
export interface OverviewCounts {
  readonly seconds: readonly {
    /** Seconds since the epoch. */
    readonly at: number;
    readonly total: number;
    readonly byType: readonly (readonly [type: string, count: number])[];
  }[];
  /** In the order of the paths that are counted. */
  readonly facets: readonly {
    /** Minutes since the epoch. */
    readonly minute: number;
    readonly values: readonly (readonly [value: FacetValue, count: number])[];
  }[][];
}

export type FacetValue = string | number | boolean;

/** What the overview shows of the last minutes, by receive time. Held in memory only: after a restart it begins anew. */
export class OverviewMeter {
  readonly #seconds = new Map<number, { total: number; byType: Map<string, number> }>();
  readonly #changed = new Set<number>();
  readonly #facets = FACETS.map((path) => new Facet(path));

  add(batch: EventBatch, rows: Uint32Array): void {
    const types = batch.column(["type"]);
    for (const row of rows) {
      const second = this.#second(Math.floor((batch.receivedAt[row] ?? 0) / 1000));
      second.total++;
      countType(second, String(types.values[types.index[row] ?? 0]), 1);
    }
    const minute = Math.floor((batch.receivedAt[rows[0] ?? 0] ?? 0) / 60_000);
    for (const facet of this.#facets) facet.add(batch, rows, minute);
  }

  /** Adds what another meter counted. */
  absorb({ seconds, facets }: OverviewCounts): void {
    for (const { at, total, byType } of seconds) {
      const second = this.#second(at);
      second.total += total;
      for (const [type, count] of byType) countType(second, type, count);
    }
    for (const [k, minutes] of facets.entries()) {
      for (const { minute, values } of minutes)
        for (const [value, count] of values) this.#facets[k]?.count(value, count, minute);
    }
  }

  /** Everything it counted, as far as a delta carries it. */
  counts(): OverviewCounts {
    const seconds = [...this.#seconds].map(([at, { total, byType }]) => ({ at, total, byType: [...byType] }));
    return { seconds, facets: this.#facets.map((facet) => facet.counts()) };
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

function countType({ byType }: { readonly byType: Map<string, number> }, type: string, count: number): void {
  const known = byType.get(type);
  if (known !== undefined || byType.size < MAX_TYPES_PER_SECOND) byType.set(type, (known ?? 0) + count);
}

/** Counts of one path's values per minute, with a running total so that the top needs no adding up. */
class Facet {
  readonly name: string;
  readonly #path: readonly string[];
  readonly #minutes = new Map<number, Map<FacetValue, number>>();
  readonly #totals = new Map<FacetValue, number>();

  constructor(path: readonly string[]) {
    this.#path = path;
    this.name = path.join(".");
  }

  add(batch: EventBatch, rows: Uint32Array, minute: number): void {
    const column = batch.column(this.#path);
    const counts = countPositions(column, rows);
    for (let position = 0; position < counts.length; position++) {
      const added = counts[position] ?? 0;
      const value = column.values[position];
      if (added === 0 || value === undefined || value === null || typeof value === "object") continue;
      this.count(value, added, minute);
    }
  }

  count(value: FacetValue, added: number, minute: number): void {
    if (!this.#totals.has(value) && this.#totals.size >= MAX_VALUES) return;
    this.#totals.set(value, (this.#totals.get(value) ?? 0) + added);
    let values = this.#minutes.get(minute);
    if (values === undefined) {
      values = new Map();
      this.#minutes.set(minute, values);
    }
    values.set(value, (values.get(value) ?? 0) + added);
  }

  counts(): OverviewCounts["facets"][number] {
    return [...this.#minutes].map(([minute, values]) => {
      const short = [...values].filter(([value]) => typeof value !== "string" || value.length <= MAX_VALUE_LENGTH);
      return { minute, values: short.sort((a, b) => b[1] - a[1]).slice(0, VALUES_PER_DELTA) };
    });
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
