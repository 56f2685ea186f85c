/**
 * The most frequent values, in bounded memory.
 *
 * Problem: the ten busiest of millions of paths, without a counter for each.
 * Rule: Misra-Gries counters. When there are more than twice the capacity, the count of the (capacity + 1)-th largest is taken
 * off all of them, and those with nothing left go. Each such purge takes that much off more than `capacity` counters,
 * so what was ever taken off one value is at most N / (capacity + 1) of N additions. It is kept, as `error`: the true count of
 * a value is between its counter and its counter + error, and a value without a counter had at most `error`.
 * Two summaries merge by adding counters and errors, and the bound holds for the sum (Agarwal et al.).
 * With at most 2 · capacity different values nothing is ever taken off, and counts are exact.
 * Why not SpaceSaving: the same bounds, but it must find the smallest counter on each miss.
 *
 * @see Agarwal, Cormode, Huang, Phillips, Wei, Yi, "Mergeable summaries", PODS 2012
 */
import { type ByteReader, type ByteWriter, CorruptStateError } from "../bytes.ts";
import type { JsonValue } from "../events/event.ts";
import { parseStoredJson } from "./canonical-json.ts";
import { MAX_COUNT } from "./limits.ts";
import { compareKeys, jsonOf, keyOf, type ValueKey } from "./value-key.ts";

/**
 * Long values (whole URLs, say) are also bounded together, so that one state stays below 2 MB of UTF-8 even if all is escaped:
 * above this many UTF-16 units, only the most frequent values that fit into half of it are kept, and `error` grows accordingly.
 */
export const MAX_KEY_CHARS = 262_144;

const BYTES_PER_COUNTER = 48;

/** A value and how often it was counted. */
export type Counted = readonly [key: ValueKey, count: number];

/** Counters of values, the frequent ones. */
export class HeavyHitters {
  readonly #capacity: number;
  readonly #counters = new Map<ValueKey, number>();
  #chars = 0;
  #error = 0;

  /** @param capacity counters that are kept at least, while values are short; exact up to twice as many values */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The most that any count may be too low. */
  get error(): number {
    return this.#error;
  }

  add(value: Exclude<JsonValue, null>): void {
    this.#increase(keyOf(value), 1);
    this.#purgeIfFull();
  }

  merge(other: HeavyHitters): void {
    for (const [key, count] of other.#counters) this.#increase(key, count);
    this.#error += other.#error;
    this.#purgeIfFull();
  }

  /** All counters, largest first; those alike by value: booleans, numbers, text, then lists and objects. */
  ranked(): Counted[] {
    return [...this.#counters].sort(([keyA, countA], [keyB, countB]) => countB - countA || compareKeys(keyA, keyB));
  }

  encode(into: ByteWriter): void {
    into.varint(this.#error);
    into.varint(this.#counters.size);
    for (const [key, count] of this.#counters) {
      into.string(jsonOf(key));
      into.varint(count);
    }
  }

  /** @throws CorruptStateError */
  static decode(from: ByteReader, capacity: number): HeavyHitters {
    const state = new HeavyHitters(capacity);
    state.#error = from.varint(MAX_COUNT);
    const size = from.varint(2 * capacity);
    for (let k = 0; k < size; k++) {
      const value = parseStoredJson(from.string());
      const count = from.varint(MAX_COUNT);
      if (value === null || count === 0) throw new CorruptStateError(`${count} times ${JSON.stringify(value)}`);
      state.#increase(keyOf(value), count);
    }
    if (state.#counters.size !== size) throw new CorruptStateError("A value is counted twice");
    return state;
  }

  retainedBytes(): number {
    return 96 + BYTES_PER_COUNTER * this.#counters.size + 2 * this.#chars;
  }

  #increase(key: ValueKey, count: number): void {
    const known = this.#counters.get(key);
    if (known === undefined && typeof key === "string") this.#chars += key.length;
    this.#counters.set(key, (known ?? 0) + count);
  }

  #purgeIfFull(): void {
    if (this.#counters.size > 2 * this.#capacity || this.#chars > MAX_KEY_CHARS) this.#purge();
  }

  /** Takes what the first counter that is not to be kept has off all counters. */
  #purge(): void {
    const least = this.#chars > MAX_KEY_CHARS / 2 ? this.#leastByText() : this.#leastBySize();
    this.#error += least;
    for (const [key, count] of this.#counters) {
      if (count > least) this.#counters.set(key, count - least);
      else {
        this.#counters.delete(key);
        if (typeof key === "string") this.#chars -= key.length;
      }
    }
  }

  /** The (capacity + 1)-th largest count; 0 if there is none. */
  #leastBySize(): number {
    const rising = Float64Array.from(this.#counters.values()).sort();
    return rising[rising.length - 1 - this.#capacity] ?? 0;
  }

  /** The count of the first value that does not fit into the capacity or half the room for text. */
  #leastByText(): number {
    let chars = 0;
    for (const [at, [key, count]] of this.ranked().entries()) {
      chars += typeof key === "string" ? key.length : 0;
      if (at >= this.#capacity || chars > MAX_KEY_CHARS / 2) return count;
    }
    return 0;
  }
}
