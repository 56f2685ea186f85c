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

/** A `top` list is this long unless its definition says otherwise. */
const DEFAULT_TOP_K = 10;
/** A longer list would let one state outgrow the row it is stored in. */
export const MAX_TOP_K = 1000;

/** Every aggregate function there is. */
export type MeasureName =
  | "count"
  | "sum"
  | "avg"
  | "min"
  | "max"
  | "stddev"
  | "rate"
  | "first"
  | "last"
  | "distinct"
  | "quantile"
  | "top";

/** What is measured, apart from the field's path and the filter, which are the caller's. */
export interface MeasureSpec {
  readonly fn: MeasureName;
  /** Only whether there is one matters here: count and rate without a field take every row. */
  readonly field?: string;
  /** For quantile: 0 to 1. */
  readonly q?: number;
  /** For top: 1 to MAX_TOP_K. */
  readonly k?: number;
}

const MEASURES: Readonly<Record<MeasureName, (spec: MeasureSpec) => MeasureFunction>> = {
  count: (spec) => countMeasure(spec, "number"),
  rate: (spec) => countMeasure(spec, "per_second"),
  sum: () =>
    numeric(
      () => new SumAccumulator(),
      (from) => SumAccumulator.decode(from),
    ),
  avg: () =>
    numeric(
      () => new AverageAccumulator(),
      (from) => AverageAccumulator.decode(from),
    ),
  stddev: () =>
    numeric(
      () => new DeviationAccumulator(),
      (from) => DeviationAccumulator.decode(from),
    ),
  min: () =>
    numeric(
      () => new ExtremeAccumulator("min"),
      (from) => ExtremeAccumulator.decode(from, "min"),
    ),
  max: () =>
    numeric(
      () => new ExtremeAccumulator("max"),
      (from) => ExtremeAccumulator.decode(from, "max"),
    ),
  first: () => endpointMeasure("first"),
  last: () => endpointMeasure("last"),
  distinct: () => ({
    needs: "hashes",
    create: () => new DistinctAccumulator(),
    decode: (from) => DistinctAccumulator.decode(from),
  }),
  quantile: quantileMeasure,
  top: topMeasure,
};

/** @throws RangeError when a quantile's q or a top's k is missing or out of range; check definitions before they get here */
export function compileMeasure(spec: MeasureSpec): MeasureFunction {
  return MEASURES[spec.fn](spec);
}

/** Brings the distinct values of a column into the form that a measure needs. */
export function prepareColumn(needs: Prepared["as"], values: readonly (JsonValue | undefined)[]): Prepared {
  if (needs === "nothing") return { as: needs };
  if (needs === "values") return { as: needs, values };
  return needs === "numbers" ? numberColumn(values) : hashColumn(values);
}

function numberColumn(values: readonly (JsonValue | undefined)[]): Prepared {
  const numbers = new Float64Array(values.length);
  for (let at = 0; at < values.length; at++) {
    const value = values[at];
    // −0 + 0 is 0, so that which of the two is the minimum does not depend on the order.
    numbers[at] = typeof value === "number" && Number.isFinite(value) ? value + 0 : Number.NaN;
  }
  return { as: "numbers", numbers };
}

function hashColumn(values: readonly (JsonValue | undefined)[]): Prepared {
  const words = new Uint32Array(2 * values.length);
  const present = new Uint8Array(values.length);
  for (let at = 0; at < values.length; at++) {
    const value = values[at];
    if (value === undefined || value === null) continue;
    hashValue(value, words, at);
    present[at] = 1;
  }
  return { as: "hashes", words, present };
}

function numeric(create: () => Accumulator, decode: (from: ByteReader) => Accumulator): MeasureFunction {
  return { needs: "numbers", create, decode };
}

function countMeasure(spec: MeasureSpec, shown: CountKind["shown"]): MeasureFunction {
  const kind: CountKind = { of: spec.field === undefined ? "rows" : "present", shown };
  return {
    needs: kind.of === "rows" ? "nothing" : "values",
    create: () => new CountAccumulator(kind),
    decode: (from) => CountAccumulator.decode(from, kind),
  };
}

function endpointMeasure(of: "first" | "last"): MeasureFunction {
  return {
    needs: "values",
    create: () => new EndpointAccumulator(of),
    decode: (from) => EndpointAccumulator.decode(from, of),
  };
}

function quantileMeasure({ q = Number.NaN }: MeasureSpec): MeasureFunction {
  if (!(q >= 0 && q <= 1)) throw new RangeError(`quantile needs q from 0 to 1, not ${q}`);
  return numeric(
    () => new QuantileAccumulator(q),
    (from) => QuantileAccumulator.decode(from, q),
  );
}

function topMeasure({ k = DEFAULT_TOP_K }: MeasureSpec): MeasureFunction {
  if (!Number.isInteger(k) || k < 1 || k > MAX_TOP_K)
    throw new RangeError(`top needs k from 1 to ${MAX_TOP_K}, not ${k}`);
  return { needs: "values", create: () => new TopAccumulator(k), decode: (from) => TopAccumulator.decode(from, k) };
}
