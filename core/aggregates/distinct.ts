import type { ByteReader, ByteWriter } from "../bytes.ts";
import type { Accumulator, Prepared } from "./accumulator.ts";
import { HyperLogLog } from "./hyperloglog.ts";
import { wrongMerge, wrongNeed } from "./prepared.ts";

const VERSION = 1;

/** distinct: about how many different values, null and absent ones passed over; 0 when there are none. */
export class DistinctAccumulator implements Accumulator {
  #sketch = new HyperLogLog();

  add(prepared: Prepared, position: number): void {
    if (prepared.as !== "hashes") throw wrongNeed(prepared, "hashes");
    if (prepared.present[position] !== 1) return;
    this.#sketch.add(prepared.words[2 * position] ?? 0, prepared.words[2 * position + 1] ?? 0);
  }

  merge(other: Accumulator): void {
    if (!(other instanceof DistinctAccumulator)) throw wrongMerge();
    this.#sketch.merge(other.#sketch);
  }

  result(): number {
    return this.#sketch.estimate();
  }

  encode(into: ByteWriter): void {
    into.u8(VERSION);
    this.#sketch.encode(into);
  }

  static decode(from: ByteReader): DistinctAccumulator {
    from.version(VERSION, "distinct");
    const state = new DistinctAccumulator();
    state.#sketch = HyperLogLog.decode(from);
    return state;
  }

  retainedBytes(): number {
    return 32 + this.#sketch.retainedBytes();
  }
}
