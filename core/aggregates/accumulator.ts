import type { ByteReader, ByteWriter } from "../bytes.ts";
import type { JsonValue } from "../events/event.ts";

/** What one aggregate function needs of each distinct value of a column, computed once per batch: numbers, hashes or the values. */
export type Prepared =
  | { readonly as: "nothing" }
  /** NaN where the value is not a finite number. */
  | { readonly as: "numbers"; readonly numbers: Float64Array }
  /** 64-bit hash of value k in words 2k (low) and 2k+1 (high); `present[k]` is 0 for null and absent values. */
  | { readonly as: "hashes"; readonly words: Uint32Array; readonly present: Uint8Array }
  | { readonly as: "values"; readonly values: readonly (JsonValue | undefined)[] };

/** Mergeable state of one measure in one (window, group). */
export interface Accumulator {
  /** Adds one event. `position` indexes `prepared`; `timestamp` (epoch ms) and `id` order first and last. */
  add(prepared: Prepared, position: number, timestamp: number, id: string): void;
  /** Adds so many events at once. Those of every measure that needs nothing of an event have it. */
  addRows?(count: number): void;
  /** Adds all of `other`, which must come from the same measure. `other` is left as it is. */
  merge(other: Accumulator): void;
  /** The number (or value, or list for top) shown to users; null when nothing was added and the function has no zero. `windowMs` is for `rate`. */
  result(windowMs: number): JsonValue;
  /** Appends a version byte and the state. */
  encode(into: ByteWriter): void;
  /** Bytes this holds in memory, roughly; for eviction decisions. */
  retainedBytes(): number;
}

/** One measure of a definition, ready to use. */
export interface MeasureFunction {
  /** Which `Prepared` its accumulators want, so that a batch prepares a column once for all who need the same. */
  readonly needs: Prepared["as"];
  create(): Accumulator;
  /** Reads what `encode` wrote. @throws CorruptStateError on a wrong version, length, NaN or out-of-range count */
  decode(from: ByteReader): Accumulator;
}
