import type { ByteReader, ByteWriter } from "../bytes.ts";
import type { Accumulator, Prepared } from "./accumulator.ts";
import { DDSketch } from "./ddsketch.ts";
import { numberAt, wrongMerge } from "./prepared.ts";

const VERSION = 1;

/** quantile: the number at `q` (0 to 1) of the way through the sorted numbers, within 1 %; null when there are none. */
export class QuantileAccumulator implements Accumulator {
  readonly #q: number;
  #sketch = new DDSketch();

  constructor(q: number) {
    this.#q = q;
  }

  add(prepared: Prepared, position: number): void {
    const value = numberAt(prepared, position);
    if (!Number.isNaN(value)) this.#sketch.add(value);
  }

  merge(other: Accumulator): void {
    if (!(other instanceof QuantileAccumulator)) throw wrongMerge();
    this.#sketch.merge(other.#sketch);
  }

  result(): number | null {
    return this.#sketch.quantile(this.#q);
  }

  encode(into: ByteWriter): void {
    into.u8(VERSION);
    this.#sketch.encode(into);
  }

  static decode(from: ByteReader, q: number): QuantileAccumulator {
    from.version(VERSION, "quantile");
    const state = new QuantileAccumulator(q);
    state.#sketch = DDSketch.decode(from);
    return state;
  }

  retainedBytes(): number {
    return 40 + this.#sketch.retainedBytes();
  }
}
