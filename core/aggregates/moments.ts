import type { ByteReader, ByteWriter } from "../bytes.ts";
import type { Accumulator, Prepared } from "./accumulator.ts";
import { ExactSum } from "./exact-sum.ts";
import { MAX_COUNT } from "./limits.ts";
import { numberAt, wrongMerge } from "./prepared.ts";
import { divide, multiply, squareRoot, subtract, toDouble } from "./scaled-integer.ts";

const VERSION = 1;

/** Sum of the numbers, rounded once from the exact sum; 0 when there are none, ±Number.MAX_VALUE when it is out of range. */
export class SumAccumulator implements Accumulator {
  #sum = new ExactSum();

  add(prepared: Prepared, position: number): void {
    const value = numberAt(prepared, position);
    if (!Number.isNaN(value)) this.#sum.add(value);
  }

  merge(other: Accumulator): void {
    if (!(other instanceof SumAccumulator)) throw wrongMerge();
    this.#sum.merge(other.#sum);
  }

  result(): number {
    return this.#sum.dividedBy(1);
  }

  encode(into: ByteWriter): void {
    into.u8(VERSION);
    this.#sum.encode(into);
  }

  static decode(from: ByteReader): SumAccumulator {
    from.version(VERSION, "sum");
    const state = new SumAccumulator();
    state.#sum = ExactSum.decode(from);
    return state;
  }

  retainedBytes(): number {
    return 32 + this.#sum.retainedBytes();
  }
}

/** Mean of the numbers, rounded once; null when there are none. */
export class AverageAccumulator implements Accumulator {
  #count = 0;
  #sum = new ExactSum();

  add(prepared: Prepared, position: number): void {
    const value = numberAt(prepared, position);
    if (Number.isNaN(value)) return;
    this.#count++;
    this.#sum.add(value);
  }

  merge(other: Accumulator): void {
    if (!(other instanceof AverageAccumulator)) throw wrongMerge();
    this.#count += other.#count;
    this.#sum.merge(other.#sum);
  }

  result(): number | null {
    return this.#count === 0 ? null : this.#sum.dividedBy(this.#count);
  }

  encode(into: ByteWriter): void {
    into.u8(VERSION);
    into.varint(this.#count);
    this.#sum.encode(into);
  }

  static decode(from: ByteReader): AverageAccumulator {
    from.version(VERSION, "avg");
    const state = new AverageAccumulator();
    state.#count = from.varint(MAX_COUNT);
    state.#sum = ExactSum.decode(from);
    return state;
  }

  retainedBytes(): number {
    return 40 + this.#sum.retainedBytes();
  }
}

/**
 * Population standard deviation (divided by n, not n − 1), within 1 unit in the last place; null without numbers.
 *
 * From exact sums of x and x²: n·Σx² − (Σx)² is then exact too, so nothing cancels and it is never negative.
 */
export class DeviationAccumulator implements Accumulator {
  #count = 0;
  #sum = new ExactSum();
  #squares = new ExactSum();

  add(prepared: Prepared, position: number): void {
    const value = numberAt(prepared, position);
    if (Number.isNaN(value)) return;
    this.#count++;
    this.#sum.add(value);
    this.#squares.addSquare(value);
  }

  merge(other: Accumulator): void {
    if (!(other instanceof DeviationAccumulator)) throw wrongMerge();
    this.#count += other.#count;
    this.#sum.merge(other.#sum);
    this.#squares.merge(other.#squares);
  }

  result(): number | null {
    if (this.#count === 0) return null;
    const n = BigInt(this.#count);
    const sum = this.#sum.exact();
    const spread = subtract(multiply({ units: n, exponent: 0 }, this.#squares.exact()), multiply(sum, sum));
    // Only a forged state has a negative spread.
    return spread.units <= 0n ? 0 : toDouble(squareRoot(divide(spread, n * n)));
  }

  encode(into: ByteWriter): void {
    into.u8(VERSION);
    into.varint(this.#count);
    this.#sum.encode(into);
    this.#squares.encode(into);
  }

  static decode(from: ByteReader): DeviationAccumulator {
    from.version(VERSION, "stddev");
    const state = new DeviationAccumulator();
    state.#count = from.varint(MAX_COUNT);
    state.#sum = ExactSum.decode(from);
    state.#squares = ExactSum.decode(from);
    return state;
  }

  retainedBytes(): number {
    return 48 + this.#sum.retainedBytes() + this.#squares.retainedBytes();
  }
}
