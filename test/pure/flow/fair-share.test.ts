import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fairShares } from "../../../core/flow/fair-share.ts";

const claim = fc.record({
  demand: fc.oneof(fc.double({ min: 0, max: 1_000, noNaN: true }), fc.constant(Infinity)),
  weight: fc.double({ min: 0.01, max: 100, noNaN: true }),
});
const claims = fc.array(claim, { maxLength: 12 });
const capacity = fc.double({ min: 0, max: 2_000, noNaN: true });
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Pours the capacity in, a thousandth at a time: who is satisfied gets no more. */
function poured(total: number, of: readonly { demand: number; weight: number }[]): number[] {
  const got = of.map(() => 0);
  let left = total;
  for (let round = 0; round < of.length + 1 && left > 1e-9; round++) {
    const open = of.flatMap(({ demand }, k) => ((got[k] ?? 0) < demand - 1e-9 ? [k] : []));
    const weights = sum(open.map((k) => of[k]?.weight ?? 0));
    if (open.length === 0) break;
    const step = Math.min(
      ...open.map((k) => ((of[k]?.demand ?? 0) - (got[k] ?? 0)) / (of[k]?.weight ?? 1)),
      left / weights,
    );
    for (const k of open) got[k] = (got[k] ?? 0) + step * (of[k]?.weight ?? 0);
    left -= step * weights;
  }
  return got;
}

describe("fair shares", () => {
  test("who wants less than his part gets all he wants, and the others share the rest by weight", () => {
    const shares = fairShares(100, [
      { demand: 10, weight: 1 },
      { demand: Infinity, weight: 3 },
      { demand: Infinity, weight: 1 },
    ]);
    expect(shares).toEqual([10, 67.5, 22.5]);
  });

  test("nobody gets more than he wants, and nothing is left while somebody wants more", () => {
    fc.assert(
      fc.property(capacity, claims, (total, of) => {
        const shares = fairShares(total, of);
        for (const [k, share] of shares.entries()) expect(share).toBeLessThanOrEqual(of[k]?.demand ?? 0);
        const wanted = sum(of.map(({ demand }) => demand));
        expect(sum(shares)).toBeCloseTo(of.length === 0 ? 0 : Math.min(total, wanted), 6);
      }),
    );
  });

  test("are what pouring evenly gives", () => {
    fc.assert(
      fc.property(capacity, claims, (total, of) => {
        const expected = poured(total, of);
        for (const [k, share] of fairShares(total, of).entries()) expect(share).toBeCloseTo(expected[k] ?? 0, 5);
      }),
    );
  });

  test("asking for more never takes from one who wants less than his part", () => {
    fc.assert(
      fc.property(capacity, claims, claim, (total, others, modest) => {
        const weights = sum(others.map(({ weight }) => weight)) + modest.weight;
        const part = (total * modest.weight) / weights;
        fc.pre(modest.demand <= part);
        const [own] = fairShares(total, [modest, ...others.map(({ weight }) => ({ demand: Infinity, weight }))]);
        expect(own).toBeCloseTo(modest.demand, 6);
      }),
    );
  });
});
