import { type ByteReader, type ByteWriter, CorruptStateError } from "../bytes.ts";
import type { Accumulator, Prepared } from "./accumulator.ts";
import { numberAt, wrongMerge } from "./prepared.ts";

const VERSION = 1;
const EMPTY = 0;
const FILLED = 1;

/** min and max: the smallest or largest number; null when there is none. */
export class ExtremeAccumulator implements Accumulator {
  readonly #of: "min" | "max";
  /** NaN until something was added. */
  #best = Number.NaN;

  constructor(of: "min" | "max") {
    this.#of = of;
  }

  add(prepared: Prepared, position: number): void {
    this.#take(numberAt(prepared, position));
  }

  merge(other: Accumulator): void {
    if (!(other instanceof ExtremeAccumulator) || other.#of !== this.#of) throw wrongMerge();
    this.#take(other.#best);
  }

  result(): number | null {
    return Number.isNaN(this.#best) ? null : this.#best;
  }

  encode(into: ByteWriter): void {
    into.u8(VERSION);
    into.u8(Number.isNaN(this.#best) ? EMPTY : FILLED);
    if (!Number.isNaN(this.#best)) into.f64(this.#best);
  }

  static decode(from: ByteReader, of: "min" | "max"): ExtremeAccumulator {
    from.version(VERSION, of);
    const state = new ExtremeAccumulator(of);
    const filled = from.u8();
    if (filled > FILLED) throw new CorruptStateError(`${of} has flag ${filled}`);
    if (filled === FILLED) {
      state.#best = from.f64();
      if (!Number.isFinite(state.#best)) throw new CorruptStateError(`${of} is not a finite number`);
    }
    return state;
  }

  retainedBytes(): number {
    return 40;
  }

  #take(value: number): void {
    const better = this.#of === "min" ? value < this.#best : value > this.#best;
    if (better || Number.isNaN(this.#best)) this.#best = value;
  }
}
