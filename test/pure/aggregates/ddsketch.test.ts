import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_BINS } from "../../../core/aggregates/bin-counts.ts";
import { DDSketch, RELATIVE_ACCURACY } from "../../../core/aggregates/ddsketch.ts";
import { ByteReader } from "../../../core/bytes.ts";
import { DISTRIBUTIONS, SIZES, encoded, shuffled } from "./samples.ts";

const QUANTILES = [0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1];
/** Logarithms are rounded, so a number at a bin's edge may be a hair beyond 1 %. */
const ALPHA = RELATIVE_ACCURACY * (1 + 1e-9);
const SMALLEST_NORMAL = 2 ** -1022;

function sketchOf(values: readonly number[]): DDSketch {
  const sketch = new DDSketch();
  for (const value of values) sketch.add(value + 0);
  return sketch;
}

function exactQuantile(rising: readonly number[], q: number): number {
  return rising[Math.floor(q * (rising.length - 1))] ?? Number.NaN;
}

function expectAccurate(sketch: DDSketch, values: readonly number[]): void {
  const rising = [...values].sort((a, b) => a - b);
  for (const q of QUANTILES) {
    const exact = exactQuantile(rising, q);
    const allowed = Math.max(ALPHA * Math.abs(exact), Math.abs(exact) < SMALLEST_NORMAL ? SMALLEST_NORMAL : 0);
    const read = sketch.quantile(q) ?? Number.NaN;
    expect(Math.abs(read - exact), `q = ${q}: ${read} for ${exact}`).toBeLessThanOrEqual(allowed);
  }
}

function mergedShards(values: readonly number[], shards: number): DDSketch {
  const sketch = new DDSketch();
  for (let shard = 0; shard < shards; shard++) {
    const part = sketchOf(values.filter((_, k) => k % shards === shard));
    sketch.merge(DDSketch.decode(new ByteReader(encoded(part))));
  }
  return sketch;
}

describe.each(Object.entries(DISTRIBUTIONS))("quantiles of %s numbers", (_name, make) => {
  test.each(SIZES.filter((n) => n > 0))(
    "are within 1 %% of the exact ones for n = %i, least and greatest exact",
    (n) => {
      const values = make(n);
      const sketch = sketchOf(values);
      expectAccurate(sketch, values);
      expect(sketch.quantile(0)).toBe(Math.min(...values) + 0);
      expect(sketch.quantile(1)).toBe(Math.max(...values) + 0);
      expect(sketch.count).toBe(n);
    },
  );

  test.each(SIZES)("have the same bytes from five merged shards as from one sketch, n = %i", (n) => {
    const values = make(n);
    const single = encoded(sketchOf(values));
    expect(encoded(mergedShards(values, 5))).toEqual(single);
    expect(encoded(sketchOf(shuffled(values, 1)))).toEqual(single);
  });
});

describe("quantiles", () => {
  test("of nothing are null", () => {
    expect(new DDSketch().quantile(0.5)).toBeNull();
  });

  test("take the lower of two middle ranks", () => {
    expect(sketchOf([10, 20]).quantile(0.5)).toBe(10);
    expect(sketchOf([10, 20]).quantile(1)).toBe(20);
  });

  test("of one number repeated are that number", () => {
    for (const value of [0.1, -7e9, 5e-324, 0, Number.MAX_VALUE]) {
      expect(sketchOf([value, value, value]).quantile(0.5)).toBe(value);
    }
  });

  test("of any finite numbers are within 1 %", () => {
    const number = fc.double({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(fc.array(number, { minLength: 1, maxLength: 200 }), (values) =>
        expectAccurate(sketchOf(values), values),
      ),
      { numRuns: 500 },
    );
  });

  test("of a million log-normal numbers are within 1 % in a few kB", () => {
    const values = DISTRIBUTIONS["log-normal"]?.(1_000_000) ?? [];
    const sketch = sketchOf(values);
    expectAccurate(sketch, values);
    expect(values).toHaveLength(1_000_000);
    expect(sketch.retainedBytes()).toBeLessThan(16_000);
    expect(encoded(sketch).length).toBeLessThan(4000);
  });

  test("keep 1 % where numbers are nearer to zero than the smallest normal double, in absolute terms only", () => {
    const values = [1e-310, 2e-310, 3e-310, 1];
    expect(sketchOf(values).quantile(0.4)).toBe(1e-310);
    expect(sketchOf([-1, ...values]).quantile(0.5)).toBe(0);
  });
});

describe("more bins than there is room for", () => {
  /** One number in each of many bins: 1.03 apart, from 1e−40 up. */
  const wide = Array.from({ length: 3000 }, (_, k) => 1e-40 * 1.03 ** k);

  test("keep the largest magnitudes within 1 %, and take smaller ones for the smallest kept", () => {
    const sketch = sketchOf(wide);
    const firstKept = wide.length - MAX_BINS;
    for (const rank of [firstKept, firstKept + 1, 1500, 2500, 2998]) {
      const exact = wide[rank] ?? 0;
      const read = sketch.quantile((rank + 0.5) / (wide.length - 1)) ?? 0;
      expect(Math.abs(read - exact) / exact, `rank ${rank}`).toBeLessThanOrEqual(ALPHA);
    }
    const floor = wide[firstKept] ?? 0;
    expect(sketch.quantile(0.1) ?? 0).toBeGreaterThan(floor * 0.98);
    expect(sketch.quantile(0.1) ?? 0).toBeLessThan(floor * 1.02);
    expect(sketch.quantile(0)).toBe(wide[0]);
    expect(sketch.count).toBe(wide.length);
  });

  test("do not make the order of numbers or merges matter", () => {
    const values = shuffled([...wide, ...wide.map((value) => -value * 7), 0], 3);
    const single = encoded(sketchOf(values));
    expect(encoded(sketchOf(shuffled(values, 4)))).toEqual(single);
    expect(encoded(sketchOf([...values].sort((a, b) => a - b)))).toEqual(single);
    expect(encoded(sketchOf([...values].sort((a, b) => b - a)))).toEqual(single);
    expect(encoded(mergedShards(values, 4))).toEqual(single);
  });

  test("stay under 60 kB in memory and 30 kB encoded", () => {
    const sketch = sketchOf([...wide, ...wide.map((value) => -value)]);
    expect(sketch.retainedBytes()).toBeLessThan(60_000);
    expect(encoded(sketch).length).toBeLessThan(30_000);
  });

  test("are not needed for a range of six hundred quadrillion", () => {
    const values = Array.from({ length: 20_000 }, (_, k) => 1e-3 * 6e17 ** (k / 20_000));
    expectAccurate(sketchOf(values), values);
  });
});

test("a sketch of a few numbers far apart takes a few hundred bytes", () => {
  expect(sketchOf([1e-9, 1, 1e9, -5]).retainedBytes()).toBeLessThan(700);
});
