import type { ByteReader, ByteWriter } from "../bytes.ts";
import type { JsonValue } from "../events/event.ts";
import type { Accumulator, Prepared } from "./accumulator.ts";
import { HeavyHitters } from "./heavy-hitters.ts";
import { valueAt, wrongMerge } from "./prepared.ts";
import { valueOf } from "./value-key.ts";

const VERSION = 1;
const CAPACITY_PER_RANK = 10;
const MIN_CAPACITY = 1000;

/** Counters kept for a list of `k`: counts are exact up to twice as many different values, else off by at most N / (capacity + 1). */
export const capacityFor = (k: number): number => Math.max(CAPACITY_PER_RANK * k, MIN_CAPACITY);

/**
 * top: the `k` most frequent values, most frequent first, as {value, count}; [] when there are none. Null and absent values are
 * passed over. When there were too many different values to count them all, each entry also has an `error`: its true count is
 * `count` to `count + error`.
 */
export class TopAccumulator implements Accumulator {
  readonly #k: number;
  #hitters: HeavyHitters;

  constructor(k: number) {
    this.#k = k;
    this.#hitters = new HeavyHitters(capacityFor(k));
  }

  add(prepared: Prepared, position: number): void {
    const value = valueAt(prepared, position);
    if (value !== undefined) this.#hitters.add(value);
  }

  merge(other: Accumulator): void {
    if (!(other instanceof TopAccumulator) || other.#k !== this.#k) throw wrongMerge();
    this.#hitters.merge(other.#hitters);
  }

  result(): JsonValue {
    const { error } = this.#hitters;
    const top = this.#hitters.ranked().slice(0, this.#k);
    return top.map(([key, count]) =>
      error === 0 ? { value: valueOf(key), count } : { value: valueOf(key), count, error },
    );
  }

  encode(into: ByteWriter): void {
    into.u8(VERSION);
    this.#hitters.encode(into);
  }

  static decode(from: ByteReader, k: number): TopAccumulator {
    from.version(VERSION, "top");
    const state = new TopAccumulator(k);
    state.#hitters = HeavyHitters.decode(from, capacityFor(k));
    return state;
  }

  retainedBytes(): number {
    return 40 + this.#hitters.retainedBytes();
  }
}
