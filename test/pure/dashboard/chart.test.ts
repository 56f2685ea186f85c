import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SecondCount } from "../../../core/live/protocol.ts";
import { assignSlots, SLOTS } from "../../../dashboard/chart/slots.ts";
import { averageRate, bySecond, OTHER, peakRate, stackSeconds, upperEdges } from "../../../dashboard/chart/stack.ts";

function second(at: number, by_type: Record<string, number>): SecondCount {
  return { at, total: Object.values(by_type).reduce((sum, count) => sum + count, 0), by_type };
}

const numbered = (names: readonly string[]): Map<string, number> => new Map(names.map((name, i) => [name, i + 1]));

function types(count: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`type${i}`, 100 - i]));
}

describe("stacking", () => {
  test("seconds without events are zero, and seconds outside are left out", () => {
    const seconds = bySecond([
      second(8, { a: 9 }),
      second(10, { a: 1 }),
      second(12, { a: 2, b: 3 }),
      second(13, { a: 7 }),
    ]);
    const stack = stackSeconds(seconds, 12, 3, numbered);
    expect(stack.at).toEqual([10, 11, 12]);
    expect(stack.totals).toEqual([1, 0, 5]);
    expect(Object.fromEntries(stack.series.map(({ name, counts }) => [name, counts]))).toEqual({
      a: [1, 0, 2],
      b: [0, 0, 3],
    });
  });

  test("layers lie in the order of their slots, not of their size", () => {
    const slots = new Map([
      ["small", 1],
      ["large", 2],
    ]);
    const stack = stackSeconds(bySecond([second(1, { large: 9, small: 1 })]), 1, 1, () => slots);
    expect(stack.series.map(({ name }) => name)).toEqual(["small", "large"]);
    expect(upperEdges(stack)).toEqual([[1], [10]]);
  });

  test("eight types are all shown; of nine the two smallest become other", () => {
    expect(stackSeconds(bySecond([second(1, types(8))]), 1, 1, numbered).series.map(({ name }) => name)).not.toContain(
      OTHER,
    );
    const nine = stackSeconds(bySecond([second(1, types(9))]), 1, 1, numbered);
    expect(nine.series).toHaveLength(8);
    expect(nine.series.at(-1)).toMatchObject({ name: OTHER, slot: 0, counts: [93 + 92] });
  });

  test("the topmost edge is the total, whatever came", () => {
    const seconds = fc.array(
      fc.record({
        at: fc.integer({ min: 1, max: 20 }),
        by_type: fc.dictionary(fc.string(), fc.nat(1_000), { maxKeys: 12 }),
      }),
    );
    fc.assert(
      fc.property(seconds, (some) => {
        const stack = stackSeconds(bySecond(some.map(({ at, by_type }) => second(at, by_type))), 20, 20, numbered);
        expect(upperEdges(stack).at(-1) ?? stack.totals).toEqual(stack.totals);
      }),
    );
  });

  test("rate is the mean and peak the largest of the last seconds", () => {
    const seconds = bySecond([second(1, { a: 50 }), second(9, { a: 10 }), second(10, { a: 20 })]);
    expect(averageRate(seconds, 10, 5)).toBe(6);
    expect(peakRate(seconds, 10, 5)).toBe(20);
  });
});

describe("colour slots", () => {
  test("a type keeps its colour while others come and go", () => {
    const first = assignSlots(new Map(), ["a", "b", "c"]);
    const second = assignSlots(first, ["z", "c", "a", "y"]);
    expect(second.get("a")).toBe(first.get("a"));
    expect(second.get("c")).toBe(first.get("c"));
  });

  test("no two names shown together share a colour, and the same names get the same colours on every page", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { maxLength: SLOTS }), (names) => {
        const slots = assignSlots(new Map(), names);
        expect(new Set(slots.values()).size).toBe(names.length);
        expect([...slots.values()].every((slot) => slot >= 1 && slot <= SLOTS)).toBe(true);
        expect(assignSlots(new Map(), names)).toEqual(slots);
      }),
    );
  });
});
