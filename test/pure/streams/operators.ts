import { abortable } from "../../../core/streams/abort.ts";
import { batch, window } from "../../../core/streams/batch.ts";
import { distinct, distinctUntilChanged } from "../../../core/streams/distinct.ts";
import { flatMap } from "../../../core/streams/flat-map.ts";
import { reduce, scan } from "../../../core/streams/fold.ts";
import { filter, map } from "../../../core/streams/map.ts";
import { merge } from "../../../core/streams/merge.ts";
import { pipe } from "../../../core/streams/pipe.ts";
import type { Operator, Source, Stream } from "../../../core/streams/source.ts";
import { skip, take } from "../../../core/streams/take.ts";
import { bufferTime, debounce, throttle, timeout } from "../../../core/streams/timed.ts";
import { zip } from "../../../core/streams/zip.ts";
import { restlessClock } from "./clocks.ts";
import type { OperatorCase } from "./rules.ts";

/** One of ours. */
interface OwnOperator extends OperatorCase {
  make(sources: readonly Source<number>[]): Stream<unknown>;
}

const same = (results: number): number => results;

function unary(
  name: string,
  make: () => Operator<number, unknown>,
  needs: (results: number) => number = same,
  ahead = 0,
): OwnOperator {
  return { name, sources: 1, make: ([source = []]) => pipe(source, make()), needs, ahead };
}

export const OPERATORS: readonly OwnOperator[] = [
  unary("map", () => map((value) => value * 2)),
  unary("map with a promise", () => map((value) => Promise.resolve(value * 2))),
  unary("filter", () => filter((value) => value > 0)),
  unary("scan", () => scan((sum: number, value) => sum + value, 0)),
  unary(
    "reduce",
    () => reduce((sum: number, value) => sum + value, 0),
    () => Infinity,
  ),
  unary("distinct", () => distinct()),
  unary("distinctUntilChanged", () => distinctUntilChanged()),
  unary(
    "batch",
    () => batch(2),
    (results) => results * 2,
  ),
  unary(
    "window",
    () => window(2, 1),
    (results) => results + 1,
  ),
  unary("take", () => take(1e9)),
  unary(
    "skip",
    () => skip(1),
    (results) => results + 1,
  ),
  unary("abortable", () => abortable(new AbortController().signal)),
  unary("timeout", () => timeout(1e9, restlessClock())),
  unary("throttle", () => throttle(10, restlessClock())),
  unary("debounce", () => debounce(10, restlessClock()), same, 1),
  unary("bufferTime", () => bufferTime(10, restlessClock()), same, 1),
  unary("flatMap, in order", () => flatMap((value) => [value], { concurrency: 3 }), same, 3),
  unary("flatMap, by arrival", () => flatMap((value) => [value], { concurrency: 3, order: "arrival" }), same, 3),
  {
    name: "flatMap, over its inner sources",
    sources: 2,
    make: (sources) =>
      pipe(
        sources,
        flatMap((source) => source, { concurrency: 2, order: "arrival" }),
      ),
    needs: same,
    ahead: 1,
  },
  { name: "merge", sources: 3, make: (sources) => merge(sources), needs: same, ahead: 1 },
  { name: "zip", sources: 3, make: (sources) => zip([...sources]), needs: same, ahead: 0 },
  {
    name: "a pipe of many",
    sources: 2,
    make: (sources) =>
      pipe(
        merge(sources),
        map(String),
        filter(() => true),
        take(1e9),
        batch(1),
      ),
    needs: same,
    ahead: 1,
  },
];
