import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type MeasureSpec, MAX_TOP_K, compileMeasure, prepareColumn } from "../../../core/aggregates/measures.ts";
import type { JsonValue } from "../../../core/events/event.ts";
import { isDeviation, isNearest, LARGEST, sumOf } from "./exact.ts";
import {
  accumulate,
  accumulateSharded,
  addAll,
  DISTRIBUTIONS,
  encoded,
  idOf,
  shuffled,
  SIZES,
  throughBytes,
} from "./samples.ts";

const HOUR = 3_600_000;
const MAX = Number.MAX_VALUE;

/** One of each function, those with options in more than one shape. */
const ALL: readonly MeasureSpec[] = [
  { fn: "count" },
  { fn: "count", field: "x" },
  { fn: "rate" },
  { fn: "rate", field: "x" },
  { fn: "sum", field: "x" },
  { fn: "avg", field: "x" },
  { fn: "min", field: "x" },
  { fn: "max", field: "x" },
  { fn: "stddev", field: "x" },
  { fn: "first", field: "x" },
  { fn: "last", field: "x" },
  { fn: "distinct", field: "x" },
  { fn: "quantile", field: "x", q: 0.5 },
  { fn: "quantile", field: "x", q: 0.99 },
  { fn: "top", field: "x" },
  { fn: "top", field: "x", k: 3 },
];
const named = ALL.map((spec) => [JSON.stringify(spec), spec] as const);

const resultOf = (spec: MeasureSpec, values: readonly (JsonValue | undefined)[], windowMs = HOUR): JsonValue =>
  accumulate(compileMeasure(spec), values).result(windowMs);

function numberOf(spec: MeasureSpec, values: readonly (JsonValue | undefined)[]): number {
  const result = resultOf(spec, values);
  if (typeof result !== "number") throw new TypeError(`${spec.fn} gave ${JSON.stringify(result)}`);
  return result;
}

describe("with nothing added", () => {
  test("count, rate, sum and distinct are 0, top is an empty list, the others are null", () => {
    const results = Object.fromEntries(ALL.map((spec) => [spec.fn, resultOf(spec, [])]));
    expect(results).toEqual({
      count: 0,
      rate: 0,
      sum: 0,
      distinct: 0,
      top: [],
      avg: null,
      min: null,
      max: null,
      stddev: null,
      first: null,
      last: null,
      quantile: null,
    });
  });

  test("or with only null and absent values, the results are the same, but rows are counted", () => {
    for (const spec of ALL) {
      const rows = (spec.fn === "count" || spec.fn === "rate") && spec.field === undefined;
      expect(resultOf(spec, [null, undefined]), JSON.stringify(spec)).toEqual(
        rows ? (spec.fn === "count" ? 2 : 2 / 3600) : resultOf(spec, []),
      );
    }
  });
});

describe("measures that need nothing of an event", () => {
  const measures = named.map(([name, spec]) => [name, compileMeasure(spec)] as const);
  const needless = measures.filter(([, { needs }]) => needs === "nothing");

  test("are some", () => {
    expect(needless.length).toBeGreaterThanOrEqual(2);
  });

  test.each(needless)("%s: so many rows at once are the same as one after the other", (_, measure) => {
    const atOnce = measure.create();
    atOnce.addRows?.(3);
    atOnce.addRows?.(0);
    atOnce.addRows?.(4);
    expect(encoded(atOnce)).toEqual(encoded(accumulate(measure, [1, null, 2, 3, undefined, 4, 5])));
  });
});

describe("what is not a finite number", () => {
  const notNumbers = ["7", true, false, null, undefined, [7], { value: 7 }, Number.NaN, Infinity, -Infinity];

  test.each(["sum", "avg", "min", "max", "stddev", "quantile"] as const)("is passed over by %s", (fn) => {
    expect(resultOf({ fn, field: "x", q: 0.5 }, [...notNumbers, 3, ...notNumbers, 5])).toBe(
      resultOf({ fn, field: "x", q: 0.5 }, [3, 5]),
    );
  });

  test("but present, is counted by count and rate", () => {
    expect(resultOf({ fn: "count", field: "x" }, ["7", false, null, undefined, 0, ""])).toBe(4);
    expect(resultOf({ fn: "rate", field: "x" }, ["7", false, null, undefined, 0, ""], 8000)).toBe(0.5);
  });
});

describe("numbers of every shape", () => {
  const cases = Object.entries(DISTRIBUTIONS).flatMap(([name, make]) =>
    SIZES.filter((n) => n > 0).map((n) => ({ name, n, values: make(n) })),
  );

  test.each(cases)("$name, n = $n: sum, avg, min, max and stddev are the exact ones", ({ values, n }) => {
    const exact = sumOf(values);
    const sum = numberOf({ fn: "sum" }, values);
    if (exact > LARGEST || exact < -LARGEST) expect(sum).toBe(exact > 0n ? MAX : -MAX);
    else expect(isNearest(sum, exact, 1n)).toBe(true);
    expect(isNearest(numberOf({ fn: "avg" }, values), exact, BigInt(n))).toBe(true);
    expect(numberOf({ fn: "min" }, values)).toBe(Math.min(...values) + 0);
    expect(numberOf({ fn: "max" }, values)).toBe(Math.max(...values) + 0);
    expect(isDeviation(numberOf({ fn: "stddev" }, values), values)).toBe(true);
  });

  test.each(cases)("$name, n = $n: any order and any shards give the same state, to the byte", ({ values }) => {
    for (const fn of ["count", "rate", "sum", "avg", "min", "max", "stddev", "quantile", "distinct"] as const) {
      const measure = compileMeasure({ fn, field: "x", q: 0.9 });
      const whole = encoded(accumulate(measure, values));
      expect(encoded(accumulate(measure, shuffled(values, 1))), fn).toEqual(whole);
      expect(encoded(accumulateSharded(measure, values, 3)), fn).toEqual(whole);
    }
  });

  test("a hundred thousand numbers, exactly", () => {
    const values = DISTRIBUTIONS["mixed sign"]?.(100_000) ?? [];
    expect(isNearest(numberOf({ fn: "sum" }, values), sumOf(values), 1n)).toBe(true);
    expect(isNearest(numberOf({ fn: "avg" }, values), sumOf(values), 100_000n)).toBe(true);
    expect(isDeviation(numberOf({ fn: "stddev" }, values), values)).toBe(true);
  });
});

describe("the standard deviation", () => {
  test("is the population's, divided by n", () => {
    expect(resultOf({ fn: "stddev" }, [2, 4, 4, 4, 5, 5, 7, 9])).toBe(2);
    expect(resultOf({ fn: "stddev" }, [1, 3])).toBe(1);
    expect(resultOf({ fn: "stddev" }, [42])).toBe(0);
  });

  test("does not drown in a large mean", () => {
    expect(resultOf({ fn: "stddev" }, [1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16])).toBe(Math.sqrt(22.5));
    expect(resultOf({ fn: "stddev" }, [2 ** 52, 2 ** 52 + 1])).toBe(0.5);
    expect(
      resultOf(
        { fn: "stddev" },
        Array.from({ length: 1000 }, () => 0.1),
      ),
    ).toBe(0);
    expect(resultOf({ fn: "stddev" }, [MAX, -MAX])).toBe(MAX);
    expect(resultOf({ fn: "stddev" }, [5e-324, 0])).toBe(0);
  });

  test("is right for any numbers, and stays the same through bytes", () => {
    const number = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.double({ min: 1, max: 2, noNaN: true }),
      fc.integer(),
    );
    fc.assert(
      fc.property(fc.array(number, { minLength: 1, maxLength: 30 }), (values) => {
        const measure = compileMeasure({ fn: "stddev" });
        const state = accumulate(measure, values);
        const deviation = state.result(HOUR);
        expect(
          typeof deviation === "number" && isDeviation(deviation, values),
          `${JSON.stringify(values)} → ${JSON.stringify(deviation)}`,
        ).toBe(true);
        expect(throughBytes(measure, state).result(HOUR)).toBe(deviation);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("first and last", () => {
  const measureOf = {
    first: compileMeasure({ fn: "first", field: "x" }),
    last: compileMeasure({ fn: "last", field: "x" }),
  };

  test("go by timestamp, then by id, whatever the order of arrival", () => {
    const column = prepareColumn("values", ["b1", "a2", "a1", "z0"]);
    const times = [200, 100, 100, 50];
    const ids = ["b1", "a2", "a1", "z0"];
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 2, 0],
      [1, 0, 2],
    ]) {
      const first = measureOf.first.create();
      const last = measureOf.last.create();
      for (const k of order) {
        first.add(column, k, times[k] ?? 0, ids[k] ?? "");
        last.add(column, k, times[k] ?? 0, ids[k] ?? "");
      }
      expect([first.result(HOUR), last.result(HOUR)]).toEqual(["a1", "b1"]);
      first.add(column, 3, 50, "z0");
      expect(first.result(HOUR)).toBe("z0");
    }
  });

  test("take the greater id of one instant for last", () => {
    const column = prepareColumn("values", ["x", "y"]);
    const last = measureOf.last.create();
    last.add(column, 1, 100, "id-2");
    last.add(column, 0, 100, "id-1");
    expect(last.result(HOUR)).toBe("y");
  });

  test("pass over events without a value, and keep values of any kind", () => {
    expect(accumulate(measureOf.first, [null, undefined, { b: [1], a: null }, 2]).result(HOUR)).toEqual({
      a: null,
      b: [1],
    });
    expect(accumulate(measureOf.last, [1, false, null, undefined]).result(HOUR)).toBe(false);
  });

  test("of shards, merged in any order and through bytes, are those of the whole", () => {
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom(null, undefined, "", 0, false, "\ud800"));
    fc.assert(
      fc.property(fc.array(value, { maxLength: 30 }), fc.integer({ min: 1, max: 5 }), (raw, shards) => {
        const values: (JsonValue | undefined)[] = raw.map((item) =>
          item === undefined ? undefined : JSON.parse(JSON.stringify(item)),
        );
        for (const measure of Object.values(measureOf)) {
          const whole = accumulate(measure, values);
          expect(encoded(accumulateSharded(measure, values, shards))).toEqual(encoded(whole));
          expect(throughBytes(measure, whole).result(HOUR)).toEqual(whole.result(HOUR));
        }
      }),
    );
  });
});

describe.each(named)("%s", (_name, spec) => {
  const measure = compileMeasure(spec);
  const values: (JsonValue | undefined)[] = [
    1,
    2.5,
    -3,
    0,
    -0,
    1e300,
    5e-324,
    "1",
    "a",
    "zürich",
    null,
    undefined,
    true,
    [1, 2],
    { a: 1 },
    "a",
    1,
    ...(DISTRIBUTIONS["mixed sign"]?.(500) ?? []),
  ];

  test("goes on after being written and read as if it had not been", () => {
    for (const cut of [0, 1, 5, 16, 300]) {
      const state = throughBytes(measure, accumulate(measure, values.slice(0, cut)));
      addAll(state, measure, values.slice(cut), cut);
      const whole = accumulate(measure, values);
      expect(state.result(HOUR)).toEqual(whole.result(HOUR));
      expect(throughBytes(measure, state).result(HOUR)).toEqual(whole.result(HOUR));
    }
  });

  test("merges to the same in any grouping, and with nothing to itself", () => {
    const part = (from: number, to: number) => accumulate(measure, values.slice(from, to), from);
    const [a, b, c] = [part(0, 10), part(10, 200), part(200, 517)];
    const left = measure.create();
    for (const state of [a, b, c]) left.merge(state);
    const right = measure.create();
    const tail = part(10, 200);
    tail.merge(c);
    for (const state of [measure.create(), tail, a]) right.merge(state);
    expect(left.result(HOUR)).toEqual(right.result(HOUR));
    expect(left.result(HOUR)).toEqual(accumulate(measure, values).result(HOUR));
    expect(encoded(a)).toEqual(encoded(part(0, 10)));
    expect(encoded(c)).toEqual(encoded(part(200, 517)));
  });

  test("refuses to merge with another measure, or to read a column prepared for one", () => {
    const other = compileMeasure(spec.fn === "sum" ? { fn: "avg" } : { fn: "sum" });
    expect(() => measure.create().merge(other.create())).toThrow(TypeError);
    if (measure.needs === "nothing") return;
    expect(() => measure.create().add({ as: "nothing" }, 0, 0, "id")).toThrow(TypeError);
  });

  test("says it takes little memory when it is new", () => {
    expect(measure.create().retainedBytes()).toBeGreaterThan(0);
    expect(measure.create().retainedBytes()).toBeLessThan(1000);
  });
});

describe("options", () => {
  test("rate is per second of the window it is asked for", () => {
    const state = accumulate(compileMeasure({ fn: "rate" }), [1, 2, 3, 4, 5, 6]);
    expect(state.result(60_000)).toBe(0.1);
    expect(state.result(500)).toBe(12);
  });

  test("a quantile needs q from 0 to 1, a top k from 1 to 1,000", () => {
    for (const q of [undefined, -0.1, 1.1, Number.NaN]) {
      expect(() => compileMeasure(q === undefined ? { fn: "quantile" } : { fn: "quantile", q })).toThrow(RangeError);
    }
    for (const k of [0, 1.5, MAX_TOP_K + 1, Number.NaN])
      expect(() => compileMeasure({ fn: "top", k })).toThrow(RangeError);
    expect(compileMeasure({ fn: "top", k: MAX_TOP_K }).needs).toBe("values");
    expect(compileMeasure({ fn: "quantile", q: 1 }).needs).toBe("numbers");
  });

  test("a top list is ten long unless its definition says otherwise", () => {
    const values = Array.from({ length: 50 }, (_, k) => k);
    expect(resultOf({ fn: "top" }, values)).toHaveLength(10);
    expect(resultOf({ fn: "top", k: 12 }, values)).toHaveLength(12);
  });

  test("min and max of 0 and −0 are 0 in either order", () => {
    for (const fn of ["min", "max"] as const) {
      for (const values of [
        [0, -0],
        [-0, 0],
      ])
        expect(Object.is(resultOf({ fn }, values), 0)).toBe(true);
    }
  });
});

test("distinct tells values by kind, and objects by content", () => {
  const values = [1, "1", 1, -0, 0, true, "true", { a: 1, b: 2 }, { b: 2, a: 1 }, [1], null, undefined, ""];
  expect(resultOf({ fn: "distinct" }, values)).toBe(8);
});

test("ids of the sample events sort as their numbers do", () => {
  expect(idOf(9) < idOf(10)).toBe(true);
});
