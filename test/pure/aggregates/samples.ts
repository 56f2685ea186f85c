import type { Accumulator, MeasureFunction } from "../../../core/aggregates/accumulator.ts";
import { prepareColumn } from "../../../core/aggregates/measures.ts";
import { ByteReader, ByteWriter } from "../../../core/bytes.ts";
import type { JsonValue } from "../../../core/events/event.ts";

/** Uniform numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Integers from 1 to `size`, k with probability proportional to k^−1.1. */
export function zipfFrom(seed: number, size: number): () => number {
  const random = randomFrom(seed);
  const cumulative = new Float64Array(size);
  let total = 0;
  for (let k = 0; k < size; k++) cumulative[k] = total += (k + 1) ** -1.1;
  return () => {
    const wanted = random() * total;
    let from = 0;
    let to = size - 1;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((cumulative[middle] ?? 0) <= wanted) from = middle + 1;
      else to = middle;
    }
    return from + 1;
  };
}

function logNormalFrom(seed: number): () => number {
  const random = randomFrom(seed);
  return () => Math.exp(2 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()) + 5);
}

const times = (n: number, next: () => number): number[] => Array.from({ length: n }, next);

/** Numbers of every shape that sketches are known to trip over; each makes n of them. */
export const DISTRIBUTIONS: Readonly<Record<string, (n: number) => number[]>> = {
  uniform: (n) => times(n, randomFrom(1)),
  "Zipf 1.1": (n) => times(n, zipfFrom(2, 10_000)),
  "log-normal": (n) => times(n, logNormalFrom(3)),
  sorted: (n) => times(n, logNormalFrom(4)).sort((a, b) => a - b),
  reversed: (n) => times(n, logNormalFrom(5)).sort((a, b) => b - a),
  constant: (n) => Array.from({ length: n }, () => 0.1),
  "all negative": (n) => times(n, logNormalFrom(6)).map((value) => -value),
  "mixed sign": (n) => times(n, logNormalFrom(7)).map((value, k) => (k % 3 === 0 ? -value : k % 7 === 0 ? 0 : value)),
  "large integers": (n) => times(n, randomFrom(8)).map((value) => Math.floor(value * 2 ** 53) * (value < 0.5 ? -1 : 1)),
  extremes: (n) => {
    const random = randomFrom(9);
    const picks = [0, -0, 5e-324, -5e-324, 1e-310, Number.MAX_VALUE, -Number.MAX_VALUE, 1, -1, 1e200, -1e-200, 0.1];
    return Array.from({ length: n }, () => picks[Math.floor(random() * picks.length)] ?? 0);
  },
};

export const SIZES = [0, 1, 2, 10, 100, 1000, 10_000];

/** Event k of a list has this timestamp and id; several share a timestamp. */
export const timestampOf = (k: number): number => 1_700_000_000_000 + Math.floor(k / 3);
export const idOf = (k: number): string => `id-${String(k).padStart(7, "0")}`;

/** Adds `values`, one event each, as a batch would. `from` is the number of the first event. */
export function addAll(
  to: Accumulator,
  measure: MeasureFunction,
  values: readonly (JsonValue | undefined)[],
  from = 0,
): void {
  const prepared = prepareColumn(measure.needs, values);
  for (let k = 0; k < values.length; k++) to.add(prepared, k, timestampOf(from + k), idOf(from + k));
}

export function accumulate(
  measure: MeasureFunction,
  values: readonly (JsonValue | undefined)[],
  from = 0,
): Accumulator {
  const state = measure.create();
  addAll(state, measure, values, from);
  return state;
}

/** The same values, dealt to `shards` states in turn, which are merged, the last into the one before and so on. */
export function accumulateSharded(
  measure: MeasureFunction,
  values: readonly (JsonValue | undefined)[],
  shards: number,
): Accumulator {
  const states = Array.from({ length: shards }, () => measure.create());
  const prepared = prepareColumn(measure.needs, values);
  for (let k = 0; k < values.length; k++) states[k % shards]?.add(prepared, k, timestampOf(k), idOf(k));
  return states.reduceRight((merged, state) => {
    state.merge(merged);
    return state;
  });
}

export function encoded(state: Pick<Accumulator, "encode">): Uint8Array {
  const writer = new ByteWriter();
  state.encode(writer);
  return writer.toUint8Array();
}

/** Writes a state and reads it back, all of it. */
export function throughBytes(measure: MeasureFunction, state: Accumulator): Accumulator {
  const reader = new ByteReader(encoded(state));
  const copy = measure.decode(reader);
  reader.end();
  return copy;
}

/** The same values in an order that depends on the seed. */
export function shuffled<T>(values: readonly T[], seed: number): T[] {
  const random = randomFrom(seed);
  return values
    .map((value) => ({ value, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value);
}
