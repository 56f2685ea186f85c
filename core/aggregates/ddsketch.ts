/**
 * Quantiles with a bounded relative error, from sketches that merge without loss.
 *
 * Problem: exact quantiles need every number; t-digests promise nothing in the worst case and change with the order of merging.
 * Rule: DDSketch. A bin holds the numbers of (γ^(i−1), γ^i], γ = (1 + α) / (1 − α), and stands for 2γ^i / (γ + 1), which is
 * within α = 1 % of each of them. Negative numbers have bins of their own, by magnitude; zero has a counter. Merging adds bins,
 * so shards merged give the very sketch that one would have built.
 * Limits: numbers nearer to zero than 2^−1022 count as zero. At most 2,048 bins a sign are kept: only where numbers of one sign
 * fall into more, those of the smallest magnitude are taken for the smallest kept, and quantiles among them are too far from zero.
 *
 * @see Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019
 */
import { type ByteReader, type ByteWriter, CorruptStateError } from "../bytes.ts";
import { BinCounts } from "./bin-counts.ts";
import { MAX_COUNT } from "./limits.ts";

/** Bound of the relative error of a quantile. */
export const RELATIVE_ACCURACY = 0.01;

const GAMMA = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY);
const LN_GAMMA = Math.log(GAMMA);
/** Logarithm of 2 / (γ + 1), from the upper end of a bin to the number that stands for it. */
const LN_MIDDLE = Math.log(2 / (GAMMA + 1));
/** Smaller doubles are subnormal and have too few digits to be within 1 %. */
const SMALLEST_MAGNITUDE = 2 ** -1022;
const LOWEST_INDEX = indexOf(SMALLEST_MAGNITUDE);
const HIGHEST_INDEX = indexOf(Number.MAX_VALUE);

/** A multiset of finite numbers, approximately. */
export class DDSketch {
  #positive = new BinCounts();
  #negative = new BinCounts();
  #zeros = 0;
  /** Exact; meaningless while empty. */
  #min = Infinity;
  #max = -Infinity;

  /** How many numbers were added. */
  get count(): number {
    return this.#negative.total + this.#zeros + this.#positive.total;
  }

  /** `value` must be finite, and 0 rather than −0. */
  add(value: number): void {
    if (value >= SMALLEST_MAGNITUDE) this.#positive.add(indexOf(value), 1);
    else if (value <= -SMALLEST_MAGNITUDE) this.#negative.add(indexOf(-value), 1);
    else this.#zeros++;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
  }

  merge(other: DDSketch): void {
    this.#positive.merge(other.#positive);
    this.#negative.merge(other.#negative);
    this.#zeros += other.#zeros;
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
  }

  /**
   * The number of rank ⌊q · (count − 1)⌋, 0-based, in rising order, within 1 %; the first and the last are exact.
   * @param q 0 to 1
   * @returns null when the sketch is empty
   */
  quantile(q: number): number | null {
    const count = this.count;
    if (count === 0) return null;
    const rank = Math.floor(q * (count - 1));
    if (rank === 0) return this.#min;
    if (rank === count - 1) return this.#max;
    return Math.min(this.#max, Math.max(this.#min, this.#valueAt(rank)));
  }

  /** Writes the same bytes for the same numbers, in whatever order and however merged. */
  encode(into: ByteWriter): void {
    this.#negative.encode(into);
    into.varint(this.#zeros);
    this.#positive.encode(into);
    if (this.count === 0) return;
    into.f64(this.#min);
    into.f64(this.#max);
  }

  /** @throws CorruptStateError */
  static decode(from: ByteReader): DDSketch {
    const sketch = new DDSketch();
    sketch.#negative = BinCounts.decode(from, LOWEST_INDEX, HIGHEST_INDEX);
    sketch.#zeros = from.varint(MAX_COUNT);
    sketch.#positive = BinCounts.decode(from, LOWEST_INDEX, HIGHEST_INDEX);
    if (sketch.count > MAX_COUNT) throw new CorruptStateError("More numbers than can be counted");
    if (sketch.count === 0) return sketch;
    sketch.#min = from.f64();
    sketch.#max = from.f64();
    if (!Number.isFinite(sketch.#min) || !Number.isFinite(sketch.#max) || sketch.#min > sketch.#max) {
      throw new CorruptStateError(`A sketch from ${sketch.#min} to ${sketch.#max}`);
    }
    return sketch;
  }

  /** Bytes held in memory, roughly. */
  retainedBytes(): number {
    return 96 + this.#positive.retainedBytes() + this.#negative.retainedBytes();
  }

  #valueAt(rank: number): number {
    const negatives = this.#negative.total;
    if (rank < negatives) return -middleOf(this.#negative.indexAt(negatives - 1 - rank));
    if (rank < negatives + this.#zeros) return 0;
    return middleOf(this.#positive.indexAt(rank - negatives - this.#zeros));
  }
}

function indexOf(magnitude: number): number {
  return Math.ceil(Math.log(magnitude) / LN_GAMMA);
}

function middleOf(index: number): number {
  return Math.exp(index * LN_GAMMA + LN_MIDDLE);
}
