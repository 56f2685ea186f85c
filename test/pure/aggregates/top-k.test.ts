import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HeavyHitters, MAX_KEY_CHARS } from "../../../core/aggregates/heavy-hitters.ts";
import { compileMeasure } from "../../../core/aggregates/measures.ts";
import { capacityFor } from "../../../core/aggregates/top-k.ts";
import { jsonOf, keyOf, valueOf } from "../../../core/aggregates/value-key.ts";
import { ByteReader } from "../../../core/bytes.ts";
import type { JsonValue } from "../../../core/events/event.ts";
import { accumulate, accumulateSharded, encoded, randomFrom, shuffled, throughBytes, zipfFrom } from "./samples.ts";

const top = (k: number) => compileMeasure({ fn: "top", field: "x", k });

function countsOf(values: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

const longText = (k: number) => `${"x".repeat(900)}${k}`;

/** Every counter is too low by at most `error`, what has no counter occurred at most `error` times, and `error` ≤ N / (capacity + 1). */
function expectWithinBounds(hitters: HeavyHitters, values: readonly number[], capacity: number): void {
  const counted = new Map(hitters.ranked());
  expect(hitters.error).toBeLessThanOrEqual(values.length / (capacity + 1));
  for (const [value, exact] of countsOf(values)) {
    const count = counted.get(value) ?? 0;
    expect(count).toBeLessThanOrEqual(exact);
    expect(exact).toBeLessThanOrEqual(count + hitters.error);
  }
}

function hittersOf(values: readonly number[], capacity: number): HeavyHitters {
  const hitters = new HeavyHitters(capacity);
  for (const value of values) hitters.add(value);
  return hitters;
}

describe("the list of the most frequent values", () => {
  test("has them in order, alike ones by kind and value, without null and absent ones", () => {
    const values = ["b", "b", "a", "a", 10, 10, 9, 9, true, true, null, null, null, undefined, "c", [2], [2], { a: 1 }];
    expect(accumulate(top(8), values).result(1000)).toEqual([
      { value: true, count: 2 },
      { value: 9, count: 2 },
      { value: 10, count: 2 },
      { value: "a", count: 2 },
      { value: "b", count: 2 },
      { value: [2], count: 2 },
      { value: "c", count: 1 },
      { value: { a: 1 }, count: 1 },
    ]);
    expect(accumulate(top(1), values).result(1000)).toEqual([{ value: true, count: 2 }]);
  });

  test("is empty when there is nothing", () => {
    expect(accumulate(top(3), [null, undefined]).result(1000)).toEqual([]);
  });

  test("does not mix up the text 1, the number 1, and lists whose text is alike", () => {
    const values = ["1", 1, [1], "[1]", ["1"], "\0[1]", "\0s", "\0", { a: 1, b: 2 }, '{"a":1,"b":2}'];
    expect(accumulate(top(20), values).result(1000)).toHaveLength(values.length);
    expect(accumulate(top(20), [0, -0, { a: 1, b: 2 }, { b: 2, a: 1 }]).result(1000)).toEqual([
      { value: 0, count: 2 },
      { value: { a: 1, b: 2 }, count: 2 },
    ]);
  });

  test("is exact, without an error, up to twice the capacity, in any order and sharded any way", () => {
    const different = 2 * capacityFor(10);
    const random = randomFrom(1);
    const values = Array.from({ length: 30_000 }, (_, k) =>
      k < different ? k : Math.floor(different * random() ** 3),
    );
    const ranked = [...countsOf(values)].sort(([a, countA], [b, countB]) => countB - countA || a - b);
    const expected = ranked.slice(0, 10).map(([value, count]) => ({ value, count }));
    expect(accumulate(top(10), values).result(1000)).toEqual(expected);
    expect(accumulate(top(10), shuffled(values, 2)).result(1000)).toEqual(expected);
    expect(throughBytes(top(10), accumulateSharded(top(10), values, 6)).result(1000)).toEqual(expected);
  });

  test("beyond that states its error, and still finds the ten most frequent of 100,000 under Zipf's law", () => {
    const next = zipfFrom(3, 100_000);
    const values = Array.from({ length: 1_000_000 }, next);
    const exact = countsOf(values);
    for (const state of [accumulate(top(10), values), accumulateSharded(top(10), values, 8)]) {
      const list = state.result(1000);
      if (!Array.isArray(list)) throw new TypeError("top gives a list");
      expect(list.map(({ value }) => value).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      for (const { value, count, error } of list) {
        expect(error).toBeGreaterThan(0);
        expect(error).toBeLessThanOrEqual(values.length / (capacityFor(10) + 1));
        expect(count).toBeLessThanOrEqual(exact.get(value) ?? 0);
        expect(count + error).toBeGreaterThanOrEqual(exact.get(value) ?? 0);
      }
    }
  });
});

describe("counters with room for few values", () => {
  const streams = fc.array(fc.oneof(fc.nat(1), fc.nat(8), fc.nat(200)), { maxLength: 400 });

  test("are within their bounds for any stream", () => {
    fc.assert(
      fc.property(streams, fc.integer({ min: 1, max: 20 }), (values, capacity) =>
        expectWithinBounds(hittersOf(values, capacity), values, capacity),
      ),
      { numRuns: 500 },
    );
  });

  test("take off no more than the next largest count", () => {
    const values = [0, 0, 0, 0, 0, 1, 2];
    const hitters = hittersOf(values, 1);
    expectWithinBounds(hitters, values, 1);
    expect([hitters.ranked(), hitters.error]).toEqual([[[0, 4]], 1]);
  });

  test("are within their bounds after any merge, through bytes too, and never hold more than twice the capacity", () => {
    fc.assert(
      fc.property(streams, fc.nat(400), fc.nat(400), fc.integer({ min: 1, max: 20 }), (values, a, b, capacity) => {
        const cuts = [0, Math.min(a, b), Math.max(a, b), values.length];
        const all = new HeavyHitters(capacity);
        for (let part = 0; part < 3; part++) {
          const hitters = hittersOf(values.slice(cuts[part], cuts[part + 1]), capacity);
          all.merge(HeavyHitters.decode(new ByteReader(encoded(hitters)), capacity));
          expect(all.ranked().length).toBeLessThanOrEqual(2 * capacity);
        }
        expectWithinBounds(all, values, capacity);
      }),
      { numRuns: 500 },
    );
  });
});

describe("long values", () => {
  test("are bounded together, and the error says what that cost", () => {
    const hitters = new HeavyHitters(1000);
    const n = 20_000;
    const random = randomFrom(5);
    let ofTheFirst = 0;
    for (let k = 0; k < n; k++) {
      const pick = k % 4 === 0 ? 0 : Math.floor(random() * 5000);
      if (pick === 0) ofTheFirst++;
      hitters.add(longText(pick));
      if (k % 500 === 0) expect(hitters.retainedBytes()).toBeLessThan(2 * MAX_KEY_CHARS + 20_000);
    }
    const first = hitters.ranked()[0];
    expect(first?.[0]).toBe(longText(0));
    expect(first?.[1]).toBeLessThanOrEqual(ofTheFirst);
    expect((first?.[1] ?? 0) + hitters.error).toBeGreaterThanOrEqual(ofTheFirst);
  });

  test("leave a state below 2 MB encoded, even when every character must be escaped", () => {
    const hitters = new HeavyHitters(10_000);
    for (let k = 0; k < 20_000; k++) hitters.add(`${"\u{1}".repeat(k % 300)}${k}`);
    expect(encoded(hitters).length).toBeLessThan(2_000_000);
  });
});

test("any value becomes a key and comes back", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const plain: JsonValue = JSON.parse(JSON.stringify(value));
      fc.pre(plain !== null);
      if (plain === null) return;
      expect(valueOf(keyOf(plain))).toEqual(plain);
      expect(JSON.parse(jsonOf(keyOf(plain)))).toEqual(plain);
    }),
    { examples: [["\0"], ["\0s\0"], ["\ud800"], [["\0"]]] },
  );
});

test("text with half a surrogate pair survives being stored", () => {
  const values = ["\ud800", "\ud801", "\ud800"];
  const list = [
    { value: "\ud800", count: 2 },
    { value: "\ud801", count: 1 },
  ];
  expect(throughBytes(top(3), accumulate(top(3), values)).result(1000)).toEqual(list);
});
