import { describe, expect, test } from "vitest";
import { hashValue } from "../../../core/aggregates/hash.ts";
import { HyperLogLog } from "../../../core/aggregates/hyperloglog.ts";
import { ByteReader } from "../../../core/bytes.ts";
import { encoded, shuffled } from "./samples.ts";

/** 1.04 / √16384, of a dense sketch. */
const DENSE_ERROR = 1.04 / 128;
/** Two of n values meet in one of 2^25 registers with probability 2^−25, so n(n−1)/2 · 2^−25 are missing on average. */
const missingOf = (n: number) => (n * (n - 1)) / 2 ** 26;
const LAST_SPARSE = 3072;
const SEEDS = 100;

const words = new Uint32Array(2);

function addTo(sketch: HyperLogLog, value: string | number): void {
  hashValue(value, words, 0);
  sketch.add(words[0] ?? 0, words[1] ?? 0);
}

function sketchOf(values: Iterable<string | number>): HyperLogLog {
  const sketch = new HyperLogLog();
  for (const value of values) addTo(sketch, value);
  return sketch;
}

function* numbered(from: number, to: number): Generator<string> {
  for (let k = from; k < to; k++) yield `user-${k}`;
}

const copyOf = (sketch: HyperLogLog): HyperLogLog => HyperLogLog.decode(new ByteReader(encoded(sketch)));

function merged(...sketches: readonly HyperLogLog[]): HyperLogLog {
  const result = new HyperLogLog();
  for (const sketch of sketches) result.merge(sketch);
  return result;
}

/** Relative errors of one count over many sets of values. */
function errorsAt(n: number, seeds: number): number[] {
  return Array.from({ length: seeds }, (_, seed) => {
    const sketch = new HyperLogLog();
    for (let k = 0; k < n; k++) addTo(sketch, (seed + 1) * 1e9 + k);
    return (sketch.estimate() - n) / n;
  });
}

function hashOf(value: number): bigint {
  hashValue(value, words, 0);
  return (BigInt(words[1] ?? 0) << 32n) | BigInt(words[0] ?? 0);
}

function* crafted(): Generator<bigint> {
  for (let k = 0n; k < 100n; k++) {
    yield k << 50n;
    yield (k << 50n) | (1n << (k / 2n));
    yield k << 39n;
    yield (k << 39n) | (1n << ((k * 39n) / 100n));
  }
}

function sketchOfHashes(hashes: readonly bigint[]): HyperLogLog {
  const sketch = new HyperLogLog();
  for (const hash of hashes) sketch.add(Number(hash & 0xffff_ffffn), Number(hash >> 32n));
  return sketch;
}

/** By register, the first `bits` bits of a hash, the largest place (from 1) of the first 1 in the rest; the rest's length + 1 if none. */
function placesAfter(bits: number, hashes: readonly bigint[]): Map<number, number> {
  const places = new Map<number, number>();
  for (const hash of hashes) {
    const binary = hash.toString(2).padStart(64, "0");
    const register = Number.parseInt(binary.slice(0, bits), 2);
    const place = `${binary.slice(bits)}1`.indexOf("1") + 1;
    places.set(register, Math.max(place, places.get(register) ?? 0));
  }
  return places;
}

const rootMeanSquare = (errors: readonly number[]) =>
  Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length);
const mean = (errors: readonly number[]) => errors.reduce((sum, error) => sum + error, 0) / errors.length;

describe("the error of a distinct count", () => {
  test("is zero for nothing and for up to 50 values of these sets, at most one value of 100 to 500", () => {
    expect(new HyperLogLog().estimate()).toBe(0);
    for (const n of [1, 2, 3, 10, 50]) expect(new Set(errorsAt(n, SEEDS)), `n = ${n}`).toEqual(new Set([0]));
    for (const n of [100, 200, 500])
      expect(Math.max(...errorsAt(n, SEEDS).map(Math.abs)), `n = ${n}`).toBeLessThan(1.5 / n);
  });

  test("of 1,000 to 3,000 values, still sparse, is a small part of one value on average, and never more than three", () => {
    for (const n of [1000, 2000, 3000]) {
      const missing = errorsAt(n, SEEDS).map((error) => -error * n);
      expect(Math.min(...missing), `n = ${n}`).toBeGreaterThanOrEqual(0);
      expect(Math.max(...missing), `n = ${n}`).toBeLessThan(3.5);
      expect(Math.abs(mean(missing) - missingOf(n)), `n = ${n}`).toBeLessThan(3 * Math.sqrt(missingOf(n) / SEEDS));
    }
  });

  test.each([3100, 3500, 5000, 8000, 12_000, 20_000, 35_000, 40_000, 50_000, 80_000, 100_000])(
    "at %i values is within the stated 0.81 %% (root mean square of 100 sets), with no bias",
    (n) => {
      const errors = errorsAt(n, SEEDS);
      // Three standard errors of the two statistics themselves.
      expect(rootMeanSquare(errors)).toBeLessThan(DENSE_ERROR * (1 + 3 / Math.sqrt(2 * SEEDS)));
      expect(Math.abs(mean(errors))).toBeLessThan((3 * DENSE_ERROR) / Math.sqrt(SEEDS));
      expect(Math.max(...errors.map(Math.abs))).toBeLessThan(5 * DENSE_ERROR);
    },
  );

  test("at a million values, in eight sets", () => {
    const errors = errorsAt(1_000_000, 8);
    expect(rootMeanSquare(errors)).toBeLessThan(DENSE_ERROR * (1 + 3 / Math.sqrt(16)));
  });

  test("is not changed by how often or in what order values come", () => {
    const values = [...numbered(0, 5000)];
    expect(encoded(sketchOf([...shuffled(values, 1), ...shuffled(values, 2)]))).toEqual(encoded(sketchOf(values)));
  });
});

describe("registers", () => {
  /** Hashes with every number of leading zeros after 14 and after 25 bits, next to random ones. */
  const hashes = [...crafted(), ...Array.from({ length: 6000 }, (_, k) => hashOf(k))];

  test("hold the place of the first 1 after 25 bits while there are few, the largest per register", () => {
    const some = hashes.slice(0, 1500);
    const expected = placesAfter(25, some);
    const reader = new ByteReader(encoded(sketchOfHashes(some)));
    expect(reader.u8()).toBe(0);
    const found = new Map<number, number>();
    let code = 0;
    for (let left = reader.varint(); left > 0; left--) {
      code += reader.varint();
      found.set(Math.floor(code / 64), code % 64);
    }
    expect(found).toEqual(expected);
    expect(Math.max(...found.values())).toBe(40);
  });

  test("hold the place of the first 1 after 14 bits when there are many, whether added before or after that", () => {
    for (const order of [hashes, hashes.toReversed()]) {
      const reader = new ByteReader(encoded(sketchOfHashes(order)));
      expect(reader.u8()).toBe(1);
      const bits = Array.from(reader.raw(12_288), (byte) => byte.toString(2).padStart(8, "0")).join("");
      const found = new Map<number, number>();
      for (let register = 0; register < 2 ** 14; register++) {
        const value = Number.parseInt(bits.slice(6 * register, 6 * register + 6), 2);
        if (value > 0) found.set(register, value);
      }
      expect(found).toEqual(placesAfter(14, hashes));
      expect(Math.max(...found.values())).toBe(51);
    }
  });

  test("turn dense when 3,073 are filled, and not before", () => {
    const sketch = new HyperLogLog();
    for (let k = 0; k < LAST_SPARSE; k++) sketch.add(1, k << 7);
    expect(encoded(sketch)[0]).toBe(0);
    expect(sketch.estimate()).toBe(LAST_SPARSE);
    sketch.add(1, LAST_SPARSE << 7);
    expect(encoded(sketch)[0]).toBe(1);
  });
});

describe("merging distinct counts", () => {
  const few = sketchOf(numbered(0, 1000));
  const alsoFew = sketchOf(numbered(500, 1500));
  const thousands = sketchOf(numbered(1000, LAST_SPARSE + 900));
  const many = sketchOf(numbered(2000, 60_000));
  const alsoMany = sketchOf(numbered(40_000, 90_000));
  const all = { few, alsoFew, thousands, many, alsoMany };
  const pairs = Object.entries(all).flatMap(([nameA, a]) =>
    Object.entries(all).map(([nameB, b]) => [nameA, nameB, a, b] as const),
  );

  test.each(pairs)("%s with %s is the union, in either order, through bytes too", (_a, _b, a, b) => {
    const both = encoded(merged(a, b));
    expect(encoded(merged(b, a))).toEqual(both);
    expect(encoded(merged(copyOf(a), copyOf(b)))).toEqual(both);
    expect(encoded(merged(a, b, b, a, merged(a, b)))).toEqual(both);
  });

  test("is associative", () => {
    for (const a of Object.values(all)) {
      for (const b of Object.values(all)) {
        expect(encoded(merged(merged(a, b), thousands))).toEqual(encoded(merged(a, merged(b, thousands))));
      }
    }
  });

  test("of shards gives the very bytes of one sketch of everything", () => {
    for (const n of [0, 1, 100, LAST_SPARSE - 1, LAST_SPARSE + 50, 20_000]) {
      const shards = Array.from({ length: 7 }, (_, shard) =>
        sketchOf([...numbered(0, n)].filter((_value, k) => k % 7 === shard)),
      );
      expect(encoded(merged(...shards)), `n = ${n}`).toEqual(encoded(sketchOf(numbered(0, n))));
    }
  });

  test("leaves the other as it was", () => {
    const before = encoded(thousands);
    merged(few, thousands).merge(many);
    merged(many, thousands);
    expect(encoded(thousands)).toEqual(before);
  });
});

describe("the room a distinct count takes", () => {
  test("grows with the values and stays under 17 kB in memory, 12,289 bytes encoded", () => {
    const sketch = new HyperLogLog();
    expect(sketch.retainedBytes()).toBeLessThan(300);
    expect(encoded(sketch).length).toBe(2);
    let largest = 0;
    let longest = 0;
    for (let k = 0; k < 20_000; k++) {
      addTo(sketch, k);
      if (k === 100) expect(sketch.retainedBytes()).toBeLessThan(1500);
      if (k % 50 === 0) {
        largest = Math.max(largest, sketch.retainedBytes());
        longest = Math.max(longest, encoded(sketch).length);
      }
    }
    expect(largest).toBeLessThan(17_000);
    expect(longest).toBe(12_289);
  });
});
