// Every operator against the same thing done to a list.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { batch, window } from "../../../core/streams/batch.ts";
import { toArray } from "../../../core/streams/collect.ts";
import { distinct, distinctUntilChanged } from "../../../core/streams/distinct.ts";
import { flatMap } from "../../../core/streams/flat-map.ts";
import { reduce, scan } from "../../../core/streams/fold.ts";
import { filter, map } from "../../../core/streams/map.ts";
import { merge } from "../../../core/streams/merge.ts";
import { pipe } from "../../../core/streams/pipe.ts";
import type { Operator } from "../../../core/streams/source.ts";
import { skip, take } from "../../../core/streams/take.ts";
import { zip } from "../../../core/streams/zip.ts";

const list = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 40 });
const count = fc.integer({ min: 1, max: 6 });

/** A source that takes a few turns of the microtask queue for each item, differently from item to item. */
async function* uneven<T>(items: readonly T[], turns: readonly number[]): AsyncGenerator<T> {
  for (const [index, value] of items.entries()) {
    for (let turn = turns[index % turns.length] ?? 0; turn > 0; turn--) await Promise.resolve();
    yield value;
  }
}

const turns = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 5 });

function chunks(items: readonly number[], size: number, every: number): number[][] {
  const windows: number[][] = [];
  for (let start = 0; start < items.length; start += every) {
    const isNew = windows.length === 0 || start - every + size < items.length;
    if (isNew) windows.push(items.slice(start, start + size));
  }
  return windows;
}

const isEven = (value: number): boolean => value % 2 === 0;

const ORACLES: readonly {
  readonly name: string;
  make(n: number, m: number): Operator<number, unknown>;
  list(items: readonly number[], n: number, m: number): unknown[];
}[] = [
  {
    name: "map",
    make: (n) => map((value, index) => [value * n, index]),
    list: (items, n) => items.map((value, index) => [value * n, index]),
  },
  {
    name: "filter",
    make: () => filter(async (value) => isEven(value)),
    list: (items) => items.filter((value) => isEven(value)),
  },
  {
    name: "scan",
    make: (n) => scan((sum: number, value) => sum + value, n),
    list: (items, n) => items.map((_, index) => items.slice(0, index + 1).reduce((sum, value) => sum + value, n)),
  },
  {
    name: "reduce",
    make: (n) => reduce((sum: number, value) => sum + value, n),
    list: (items, n) => [items.reduce((sum, value) => sum + value, n)],
  },
  { name: "take", make: (n) => take(n - 1), list: (items, n) => items.slice(0, n - 1) },
  { name: "skip", make: (n) => skip(n - 1), list: (items, n) => items.slice(n - 1) },
  { name: "batch", make: (n) => batch(n), list: (items, n) => chunks(items, n, n) },
  { name: "window", make: (n, m) => window(n, m), list: (items, n, m) => chunks(items, n, m) },
  { name: "distinct", make: () => distinct(), list: (items) => [...new Set(items)] },
  {
    name: "distinctUntilChanged",
    make: () => distinctUntilChanged(),
    list: (items) => items.filter((value, index) => value !== items[index - 1]),
  },
  {
    name: "flatMap",
    make: (n, m) => flatMap((value) => Array.from({ length: value % m }, () => value), { concurrency: n }),
    list: (items, _, m) => items.flatMap((value) => Array.from({ length: value % m }, () => value)),
  },
];

test.each(ORACLES)("$name does to a stream what it does to a list", async ({ make, list: oracle }) => {
  await fc.assert(
    fc.asyncProperty(list, turns, count, count, async (items, wait, n, m) => {
      expect(await toArray(pipe(uneven(items, wait), make(n, m)))).toEqual(oracle(items, n, m));
    }),
  );
});

test("flatMap in order equals flatMap of a list whatever the inner sources take", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(list, { maxLength: 8 }), turns, count, async (lists, wait, concurrency) => {
      const inner = lists.map((items, index) => ({ items, wait: [...wait.slice(index % wait.length), 1] }));
      const expand = flatMap((of: (typeof inner)[number]) => uneven(of.items, of.wait), { concurrency });
      expect(await toArray(pipe(inner, expand))).toEqual(lists.flat());
    }),
  );
});

test("merge and flatMap by arrival deliver every item once and keep the order of each source", async () => {
  const sources = fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), turns), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(sources, count, fc.boolean(), async (specs, concurrency, isMerge) => {
      const items = specs.map(([length], source) => Array.from({ length }, (_, index) => ({ source, index })));
      const make = () => items.map((list, index) => uneven(list, specs[index]?.[1] ?? []));
      const expand = flatMap((of: ReturnType<typeof make>[number]) => of, { concurrency, order: "arrival" });
      const got = await toArray(isMerge ? merge(make()) : pipe(make(), expand));
      for (const [source, list] of items.entries()) {
        expect(got.filter((value) => value.source === source)).toEqual(list);
      }
      expect(got.length).toBe(items.flat().length);
    }),
  );
});

test("zip pairs the items as far as the shortest source goes", async () => {
  await fc.assert(
    fc.asyncProperty(list, list, turns, async (left, right, wait) => {
      const length = Math.min(left.length, right.length);
      const expected = Array.from({ length }, (_, index) => [left[index], String(right[index])]);
      const got: [number, string][] = await toArray(zip([uneven(left, wait), right.map(String)]));
      expect(got).toEqual(expected);
    }),
  );
});

test("a pipe of operators equals the chain of list methods", async () => {
  await fc.assert(
    fc.asyncProperty(list, turns, count, async (items, wait, n) => {
      const stream = pipe(
        uneven(items, wait),
        map((value) => value + 1),
        filter((value) => isEven(value)),
        skip(1),
        take(n),
        batch(2),
      );
      const chain = items
        .map((value) => value + 1)
        .filter((value) => isEven(value))
        .slice(1, 1 + n);
      expect(await toArray(stream)).toEqual(chunks(chain, 2, 2));
    }),
  );
});

test("no sources give nothing", async () => {
  expect([await toArray(merge([])), await toArray(zip([]))]).toEqual([[], []]);
});
