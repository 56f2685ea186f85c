// Operators of well-known stream libraries, in the form in which the rules are checked on ours.
import {
  asyncDistinct,
  asyncDrop,
  asyncFilter,
  asyncFlatMap,
  asyncInterleaveReady,
  asyncMap,
  asyncTake,
  asyncZip,
} from "iter-tools";
import * as ix from "ix/asynciterable";
import * as ixOperators from "ix/asynciterable/operators";
import * as rx from "rxjs";
import * as streaming from "streaming-iterables";
import { Fifo } from "../../../core/streams/fifo.ts";
import type { Source } from "../../../core/streams/source.ts";
import type { OperatorCase } from "./rules.ts";

/** A library and those of its operators that do what one of ours does. */
export interface Library {
  /** Of the package; its version is in package.json. */
  readonly name: string;
  readonly operators: readonly OperatorCase[];
}

type Make = (source: Source<number>) => AsyncIterable<unknown>;
type Join = (sources: readonly Source<number>[]) => AsyncIterable<unknown>;

/** Items of the source that results need, of those that need more than one each. */
const NEEDS: Readonly<Record<string, (results: number) => number>> = {
  reduce: () => Infinity,
  batch: (results) => results * 2,
  skip: (results) => results + 1,
};

function library(name: string, unary: Readonly<Record<string, Make>>, joins: Readonly<Record<string, Join>>): Library {
  const one = Object.entries(unary).map(([operator, make]) => ({
    name: operator,
    sources: 1,
    make: ([source = []]: readonly Source<number>[]) => make(source),
    needs: NEEDS[operator] ?? ((results: number) => results),
    ahead: operator === "flatMap" ? 1 : 0,
  }));
  const many = Object.entries(joins).map(([operator, make]) => ({
    name: operator,
    sources: 3,
    make,
    needs: (results: number) => results,
    ahead: operator === "zip" ? 0 : 1,
  }));
  return { name, operators: [...one, ...many] };
}

const double = (value: number): number => value * 2;
const always = (): boolean => true;
const add = (sum: number, value: number): number => sum + value;
const LONG_MS = 1_000_000;

/** RxJS pushes; what it reads is what `from` gives it, and what comes out is read as rxjs-for-await does: a queue without bound. */
async function* values<T>(observable: rx.Observable<T>): AsyncGenerator<T, void> {
  const queue = new Fifo<{ readonly value: T }>();
  let end: { error?: unknown } | undefined;
  let wake: () => void = nothing;
  const subscription = observable.subscribe({
    next: (value) => (queue.push({ value }), wake()),
    error: (error: unknown) => ((end = { error }), wake()),
    complete: () => ((end = {}), wake()),
  });
  try {
    for (;;) {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) yield item.value;
      if (end !== undefined && "error" in end) throw end.error;
      if (end !== undefined) return;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    subscription.unsubscribe();
  }
}

function nothing(): void {}

function readable<T>(observable: rx.Observable<T>): AsyncIterable<T> {
  return { [Symbol.asyncIterator]: () => values(observable) };
}

/** What is made of a synchronous source may be synchronous itself. */
function asynchronous<T>(result: AsyncIterable<T> | Iterable<T>): AsyncIterable<T> {
  return Symbol.asyncIterator in result ? result : ix.from(result);
}

const rxjs =
  (operator: rx.OperatorFunction<number, unknown>): Make =>
  (source) =>
    readable(rx.from(source).pipe(operator));
const ixed =
  (operator: (source: AsyncIterable<number>) => AsyncIterable<unknown>): Make =>
  (source) =>
    operator(ix.from(source));

/** All of them, in alphabetical order. */
export const LIBRARIES: readonly Library[] = [
  library(
    "iter-tools",
    {
      map: (source) => asyncMap(double, source),
      filter: (source) => asyncFilter(always, source),
      distinct: (source) => asyncDistinct(source),
      // Its batch gives lists that must be read before the next: that is another operator.
      take: (source) => asyncTake(1e9, source),
      skip: (source) => asyncDrop(1, source),
      flatMap: (source) => asyncFlatMap((value: number) => [value], source),
    },
    { merge: (sources) => asyncInterleaveReady(...sources), zip: (sources) => asyncZip(...sources) },
  ),
  library(
    "ix",
    {
      map: ixed(ixOperators.map(double)),
      filter: ixed(ixOperators.filter(always)),
      scan: ixed(ixOperators.scan({ seed: 0, callback: add })),
      // Its distinct looks through a list for each item, so 100,000 of them take minutes: it is left out.
      distinctUntilChanged: ixed(ixOperators.distinctUntilChanged()),
      batch: ixed(ixOperators.buffer(2)),
      take: ixed(ixOperators.take(1e9)),
      skip: ixed(ixOperators.skip(1)),
      timeout: ixed(ixOperators.timeout(LONG_MS)),
      flatMap: ixed(ixOperators.flatMap((value: number) => [value], 1)),
    },
    {
      merge: ([first = [], ...others]) => ix.merge(ix.from(first), ...others.map((source) => ix.from(source))),
      zip: ([first = [], ...others]) => ix.zip(ix.from(first), ...others.map((source) => ix.from(source))),
    },
  ),
  library(
    "rxjs",
    {
      map: rxjs(rx.map(double)),
      filter: rxjs(rx.filter(always)),
      scan: rxjs(rx.scan(add, 0)),
      reduce: rxjs(rx.reduce(add, 0)),
      distinct: rxjs(rx.distinct()),
      distinctUntilChanged: rxjs(rx.distinctUntilChanged()),
      batch: rxjs(rx.bufferCount(2)),
      take: rxjs(rx.take(1e9)),
      skip: rxjs(rx.skip(1)),
      timeout: rxjs(rx.timeout(LONG_MS)),
      flatMap: rxjs(rx.mergeMap((value: number) => [value], 1)),
    },
    {
      merge: (sources) => readable(rx.merge(...sources.map((source) => rx.from(source)))),
      zip: (sources) => readable(rx.zip(...sources.map((source) => rx.from(source)))),
    },
  ),
  library(
    "streaming-iterables",
    {
      map: (source) => streaming.map(double, source),
      filter: (source) => streaming.filter(always, source),
      batch: (source) => asynchronous(streaming.batch(2, source)),
      take: (source) => asynchronous(streaming.take(1e9, source)),
      skip: (source) => asynchronous(streaming.drop(1, source)),
      flatMap: (source) => streaming.flatMap((value: number) => [value], source),
    },
    { merge: (sources) => streaming.parallelMerge(...sources) },
  ),
];
