import { describe, expect, test } from "vitest";
import type { Accumulator, MeasureFunction } from "../../../core/aggregates/accumulator.ts";
import { RELATIVE_ACCURACY } from "../../../core/aggregates/ddsketch.ts";
import { HyperLogLog } from "../../../core/aggregates/hyperloglog.ts";
import { compileMeasure, prepareColumn } from "../../../core/aggregates/measures.ts";
import { capacityFor } from "../../../core/aggregates/top-k.ts";
import { DISTRIBUTIONS, idOf, randomFrom, throughBytes, timestampOf } from "./samples.ts";

/** Every sketch against the exact answer on every shape of data at every size, always as eight shards that were written, read and merged. */
const SHARDS = 8;
const SIZES = [0, 1, 2, 10, 100, 1000, 10_000, 100_000, 1_000_000];
const QUANTILES = [0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1];
const HOUR = 3_600_000;

const SMALLEST_NORMAL = 2 ** -1022;
/** Logarithms are rounded, so a number at a bin's edge may be a hair beyond 1 %. */
const ALPHA = RELATIVE_ACCURACY * (1 + 1e-9);
/** Of a dense sketch; a sparse one misses a value or two. */
const DISTINCT_ERROR = 1.04 / 128;
const LAST_SPARSE = 3072;
const TOP = 10;

function merged(measure: MeasureFunction, values: readonly number[]): Accumulator {
  const shards = Array.from({ length: SHARDS }, () => measure.create());
  const prepared = prepareColumn(measure.needs, values);
  for (let k = 0; k < values.length; k++) shards[k % SHARDS]?.add(prepared, k, timestampOf(k), idOf(k % 1000));
  const all = measure.create();
  for (const shard of shards) all.merge(throughBytes(measure, shard));
  return all;
}

/** Distinct values, rising, and how often each occurs; 0 and −0 are one. */
function countsOf(rising: Float64Array): { readonly values: number[]; readonly counts: number[] } {
  const values: number[] = [];
  const counts: number[] = [];
  for (const value of rising) {
    if (values.at(-1) === value) counts[counts.length - 1] = (counts.at(-1) ?? 0) + 1;
    else {
      values.push(value);
      counts.push(1);
    }
  }
  return { values, counts };
}

const quantiles = QUANTILES.map((q) => ({ q, measure: compileMeasure({ fn: "quantile", q }) }));

function expectQuantiles(values: readonly number[], rising: Float64Array): void {
  // They share their state; only what is read from it differs.
  const [first] = quantiles;
  if (first === undefined) return;
  const state = merged(first.measure, values);
  for (const { q, measure } of quantiles) {
    const read = measure.create();
    read.merge(state);
    const exact = rising[Math.floor(q * (rising.length - 1))];
    if (exact === undefined) {
      expect(read.result(HOUR)).toBeNull();
      continue;
    }
    const allowed = Math.max(ALPHA * Math.abs(exact), Math.abs(exact) < SMALLEST_NORMAL ? SMALLEST_NORMAL : 0);
    expect(Math.abs(Number(read.result(HOUR)) - exact), `q = ${q} for ${exact}`).toBeLessThanOrEqual(allowed);
  }
}

function expectDistinct(values: readonly number[], exact: number): void {
  const counted = Number(merged(compileMeasure({ fn: "distinct", field: "x" }), values).result(HOUR));
  const allowed = exact <= LAST_SPARSE ? 3.5 : 3 * DISTINCT_ERROR * exact;
  expect(Math.abs(counted - exact), `${counted} for ${exact}`).toBeLessThanOrEqual(allowed);
}

interface Entry {
  readonly value: number;
  readonly count: number;
  readonly error?: number;
}

function expectTop(values: readonly number[], exact: { readonly values: number[]; readonly counts: number[] }): void {
  const list = merged(compileMeasure({ fn: "top", field: "x", k: TOP }), values).result(HOUR) as unknown as Entry[];
  const bound = values.length / (capacityFor(TOP) + 1);
  const places = new Set<number>();
  for (const { value, count, error = 0 } of list) {
    const place = placeOf(exact.values, value);
    places.add(place);
    expect(error).toBeLessThanOrEqual(exact.values.length <= 2 * capacityFor(TOP) ? 0 : bound);
    expect(count).toBeLessThanOrEqual(exact.counts[place] ?? 0);
    expect(exact.counts[place]).toBeLessThanOrEqual(count + error);
  }
  expect(places.size).toBe(list.length);
  // What is left out is not more frequent than the last one that is in, but for the error.
  const last = list[TOP - 1];
  const most = exact.counts.reduce((found, count, place) => (places.has(place) ? found : Math.max(found, count)), 0);
  expect(most).toBeLessThanOrEqual(last === undefined ? bound : last.count + (last.error ?? 0));
}

/** Where a value stands in a rising list. */
function placeOf(rising: readonly number[], value: number): number {
  let low = 0;
  let high = rising.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((rising[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

describe.each(Object.entries(DISTRIBUTIONS))("eight merged shards of %s numbers", (_name, make) => {
  test.each(SIZES)("n = %i: quantiles, distinct count and most frequent are within their bounds", (n) => {
    const values = make(n);
    const rising = Float64Array.from(values, (value) => value + 0).sort();
    const exact = countsOf(rising);
    expectQuantiles(values, rising);
    expectDistinct(values, exact.values.length);
    expectTop(values, exact);
  });
});

test("the error of a distinct count is the stated one at every size up to a million, over 100 sets of random hashes", () => {
  const sizes = [4000, 10_000, 30_000, 41_000, 60_000, 100_000, 200_000, 500_000, 1_000_000];
  const errors = new Map<number, number[]>(sizes.map((n) => [n, []]));
  for (let seed = 1; seed <= 100; seed++) {
    const random = randomFrom(seed);
    const sketch = new HyperLogLog();
    let added = 0;
    for (const n of sizes) {
      for (; added < n; added++) sketch.add((random() * 2 ** 32) >>> 0, (random() * 2 ** 32) >>> 0);
      errors.get(n)?.push(sketch.estimate() / n - 1);
    }
  }
  for (const [n, list] of errors) {
    const square = list.reduce((sum, error) => sum + error * error, 0) / list.length;
    const mean = list.reduce((sum, error) => sum + error, 0) / list.length;
    expect(Math.sqrt(square), `n = ${n}`).toBeLessThan(DISTINCT_ERROR * (1 + 3 / Math.sqrt(2 * list.length)));
    expect(Math.abs(mean), `n = ${n}`).toBeLessThan((3 * DISTINCT_ERROR) / Math.sqrt(list.length));
  }
});
