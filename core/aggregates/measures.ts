import type { ByteReader } from "../bytes.ts";
import type { JsonValue } from "../events/event.ts";
import type { Accumulator, MeasureFunction, Prepared } from "./accumulator.ts";
import { CountAccumulator, type CountKind } from "./count.ts";
import { DistinctAccumulator } from "./distinct.ts";
import { EndpointAccumulator } from "./endpoints.ts";
import { ExtremeAccumulator } from "./extremes.ts";
import { hashValue } from "./hash.ts";
import { AverageAccumulator, DeviationAccumulator, SumAccumulator } from "./moments.ts";
import { QuantileAccumulator } from "./quantile.ts";
import { TopAccumulator } from "./top-k.ts";

/** Every aggregate function there is. */
export const MEASURE_FUNCTIONS = [
  "count",
  "sum",
  "avg",
  "min",
  "max",
  "stddev",
  "rate",
  "first",
  "last",
  "distinct",
  "quantile",
  "top",
] as const;

/** A `top` list is this long unless its definition says otherwise. */
export const DEFAULT_TOP_K = 10;
/** A longer list would let one state outgrow the row it is stored in. */
export const MAX_TOP_K = 1000;

/** What is measured, apart from the field's path and the filter, which are the caller's. */
export interface MeasureSpec {
  readonly fn: (typeof MEASURE_FUNCTIONS)[number];
  /** Only whether there is one matters here: count and rate without a field take every row. */
  readonly field?: string;
  /** For quantile: 0 to 1. */
  readonly q?: number;
  /** For top: 1 to MAX_TOP_K. */
  readonly k?: number;
}

/** @throws RangeError when a quantile's q or a top's k is missing or out of range; check definitions before they get here */
export function compileMeasure(spec: MeasureSpec): MeasureFunction {
  switch (spec.fn) {
    case "count":
      return countMeasure({ of: spec.field === undefined ? "rows" : "present", shown: "number" });
    case "rate":
      return countMeasure({ of: spec.field === undefined ? "rows" : "present", shown: "per_second" });
    case "sum":
      return measure("numbers", () => new SumAccumulator(), SumAccumulator.decode);
    case "avg":
      return measure("numbers", () => new AverageAccumulator(), AverageAccumulator.decode);
    case "stddev":
      return measure("numbers", () => new DeviationAccumulator(), DeviationAccumulator.decode);
    case "min":
    case "max":
      return extremeMeasure(spec.fn);
    case "first":
    case "last":
      return endpointMeasure(spec.fn);
    case "distinct":
      return measure("hashes", () => new DistinctAccumulator(), DistinctAccumulator.decode);
    case "quantile":
      return quantileMeasure(spec.q ?? Number.NaN);
    case "top":
      return topMeasure(spec.k ?? DEFAULT_TOP_K);
  }
}

/** Brings the distinct values of a column into the form that a measure needs. */
export function prepareColumn(needs: Prepared["as"], values: readonly (JsonValue | undefined)[]): Prepared {
  switch (needs) {
    case "nothing":
      return { as: "nothing" };
    case "numbers":
      return { as: "numbers", numbers: Float64Array.from(values, finiteOrNaN) };
    case "hashes":
      return hashColumn(values);
    case "values":
      return { as: "values", values };
  }
}

/** −0 becomes 0, so that which of the two is a minimum or a first sum does not depend on the order. */
function finiteOrNaN(value: JsonValue | undefined): number {
  return typeof value === "number" && Number.isFinite(value) ? value + 0 : Number.NaN;
}

function hashColumn(values: readonly (JsonValue | undefined)[]): Prepared {
  const words = new Uint32Array(2 * values.length);
  const present = new Uint8Array(values.length);
  for (const [at, value] of values.entries()) {
    if (value === undefined || value === null) continue;
    hashValue(value, words, at);
    present[at] = 1;
  }
  return { as: "hashes", words, present };
}

function measure(
  needs: Prepared["as"],
  create: () => Accumulator,
  decode: (from: ByteReader) => Accumulator,
): MeasureFunction {
  return { needs, create, decode };
}

function countMeasure(kind: CountKind): MeasureFunction {
  const needs = kind.of === "rows" ? "nothing" : "values";
  return measure(
    needs,
    () => new CountAccumulator(kind),
    (from) => CountAccumulator.decode(from, kind),
  );
}

function extremeMeasure(of: "min" | "max"): MeasureFunction {
  return measure(
    "numbers",
    () => new ExtremeAccumulator(of),
    (from) => ExtremeAccumulator.decode(from, of),
  );
}

function endpointMeasure(of: "first" | "last"): MeasureFunction {
  return measure(
    "values",
    () => new EndpointAccumulator(of),
    (from) => EndpointAccumulator.decode(from, of),
  );
}

function quantileMeasure(q: number): MeasureFunction {
  if (!(q >= 0 && q <= 1)) throw new RangeError(`quantile needs q from 0 to 1, not ${q}`);
  return measure(
    "numbers",
    () => new QuantileAccumulator(q),
    (from) => QuantileAccumulator.decode(from, q),
  );
}

function topMeasure(k: number): MeasureFunction {
  if (!Number.isInteger(k) || k < 1 || k > MAX_TOP_K)
    throw new RangeError(`top needs k from 1 to ${MAX_TOP_K}, not ${k}`);
  return measure(
    "values",
    () => new TopAccumulator(k),
    (from) => TopAccumulator.decode(from, k),
  );
}
