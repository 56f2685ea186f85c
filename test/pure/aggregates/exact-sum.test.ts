import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ExactSum } from "../../../core/aggregates/exact-sum.ts";
import { ByteReader } from "../../../core/bytes.ts";
import { LARGEST, isNearest, sumOf, unitsOf } from "./exact.ts";
import { encoded, shuffled } from "./samples.ts";

const MAX = Number.MAX_VALUE;
const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
/** Numbers whose sums cancel, carry and overflow more often than random bits do. */
const tricky = fc.oneof(
  finite,
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(
    0,
    -0,
    0.1,
    -0.1,
    1,
    -1,
    5e-324,
    -5e-324,
    2 ** -1022,
    MAX,
    -MAX,
    2 ** 53,
    -(2 ** 53),
    2 ** 32,
    0.5,
    1e16,
    -1e-16,
  ),
);

function total(values: readonly number[]): ExactSum {
  const sum = new ExactSum();
  for (const value of values) sum.add(value);
  return sum;
}

function totalOfSquares(values: readonly number[]): ExactSum {
  const sum = new ExactSum();
  for (const value of values) sum.addSquare(value);
  return sum;
}

/** exact() in units of 2^−2148, in which squares of doubles are whole. */
function squareUnits(sum: ExactSum): bigint {
  const { units, exponent } = sum.exact();
  const shift = exponent + 2148;
  return shift >= 0 ? units << BigInt(shift) : units >> BigInt(-shift);
}

describe("a sum of doubles", () => {
  test("is the nearest double to the true sum, for any numbers", () => {
    fc.assert(
      fc.property(fc.array(tricky, { maxLength: 60 }), (values) => {
        const exact = sumOf(values);
        const read = total(values).dividedBy(1);
        if (exact >= LARGEST) expect(read).toBe(MAX);
        else if (exact <= -LARGEST) expect(read).toBe(-MAX);
        else expect(isNearest(read, exact, 1n), `${JSON.stringify(values)} → ${read}`).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test("knows the answers that plain addition gets wrong", () => {
    expect(total([0.1, 0.2, 0.3]).dividedBy(1)).toBe(0.6);
    expect(total(Array.from({ length: 10 }, () => 0.1)).dividedBy(1)).toBe(1);
    expect(total([1e100, 1, -1e100]).dividedBy(1)).toBe(1);
    expect(total([MAX, MAX, -MAX, -MAX, 5e-324]).dividedBy(1)).toBe(5e-324);
    expect(total([1, 2 ** -53, 2 ** -106]).dividedBy(1)).toBe(1 + 2 ** -52);
    expect(total([1, 2 ** -53]).dividedBy(1)).toBe(1);
    expect(total([Number.MAX_SAFE_INTEGER, 1, 1, -2]).dividedBy(1)).toBe(Number.MAX_SAFE_INTEGER);
  });

  test("stops at the largest double instead of becoming infinite, and comes back", () => {
    const sum = total([MAX, MAX]);
    expect(sum.dividedBy(1)).toBe(MAX);
    expect(sum.dividedBy(2)).toBe(MAX);
    sum.add(-MAX);
    expect(sum.dividedBy(1)).toBe(MAX);
    sum.add(-MAX);
    expect(sum.dividedBy(1)).toBe(0);
  });

  test("divides with one rounding", () => {
    fc.assert(
      fc.property(
        fc.array(finite, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 1e9 }),
        (values, count) => {
          const read = total(values).dividedBy(count);
          fc.pre(Math.abs(read) > 1e-300 && Math.abs(read) < MAX);
          expect(isNearest(read, sumOf(values), BigInt(count))).toBe(true);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("has the same bytes in any order, split any way, written and read back on the way", () => {
    fc.assert(
      fc.property(fc.array(tricky, { maxLength: 40 }), fc.nat(), fc.nat(40), (values, seed, cut) => {
        const whole = encoded(total(values));
        expect(encoded(total(shuffled(values, seed)))).toEqual(whole);
        const left = ExactSum.decode(new ByteReader(encoded(total(values.slice(cut)))));
        left.merge(total(values.slice(0, cut)));
        expect(encoded(left)).toEqual(whole);
        expect(squareUnits(left)).toBe(sumOf(values) << 1074n);
      }),
      { numRuns: 2000 },
    );
  });

  test("carries on time: four million numbers with all bits set", () => {
    const sum = new ExactSum();
    const value = (2 ** 53 - 1) * 2 ** -20;
    for (let k = 0; k < 4_000_000; k++) sum.add(value);
    expect(squareUnits(sum)).toBe((unitsOf(value) * 4_000_000n) << 1074n);
  });

  test("carries on time when merged four million times", () => {
    const value = -(2 ** 53 - 1) * 2 ** -20;
    const part = total([value]);
    const sum = new ExactSum();
    for (let k = 0; k < 4_000_000; k++) sum.merge(part);
    expect(squareUnits(sum)).toBe((unitsOf(value) * 4_000_000n) << 1074n);
  });

  test("of numbers of similar size takes a few hundred bytes, of all sizes at most 2 kB", () => {
    expect(total([0.1, 1e3, -2.5]).retainedBytes()).toBeLessThan(300);
    const sum = totalOfSquares([5e-324, MAX, 1.1]);
    sum.add(-MAX);
    expect(sum.retainedBytes()).toBeLessThan(2000);
    expect(encoded(sum).length).toBeLessThan(600);
  });
});

test("a sum of squares is exact for any numbers, tiny and huge ones too", () => {
  fc.assert(
    fc.property(fc.array(tricky, { maxLength: 30 }), (values) => {
      const exact = values.reduce((sum, value) => sum + unitsOf(value) ** 2n, 0n);
      expect(squareUnits(totalOfSquares(values))).toBe(exact);
    }),
    {
      numRuns: 2000,
      examples: [[[2 ** -480, 2 ** 500]], [[1.1 * 2 ** -481, 1.1 * 2 ** 501]], [[94906267]], [[-94906265]]],
    },
  );
});
