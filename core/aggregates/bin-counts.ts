import { type ByteReader, type ByteWriter, CorruptStateError } from "../bytes.ts";
import { MAX_COUNT } from "./limits.ts";

/** Bins beyond this are folded into the lowest one kept. At 1 % a bin, bins in a row span a factor of 6·10^17. */
export const MAX_BINS = 2048;

const FIRST_BINS = 4;

/**
 * Counts by integer index, in order of index, at most 2,048 of them.
 *
 * Sorted arrays rather than an array over the whole range, because most groups of an aggregation see few numbers: ten of them
 * take 100 bytes instead of some thousand. When bins run out, the highest 2,048 indexes stay and the lowest of them
 * takes all that was below; that is the same bins whatever the order of additions and merges.
 */
export class BinCounts {
  #indexes = new Int32Array(FIRST_BINS);
  #counts = new Float64Array(FIRST_BINS);
  #size = 0;
  #total = 0;

  /** Bins in use. */
  get size(): number {
    return this.#size;
  }

  /** Sum of the counts. */
  get total(): number {
    return this.#total;
  }

  /** Adds `count` > 0 to the bin of `index`. */
  add(index: number, count: number): void {
    this.#total += count;
    const at = this.#lowerBound(index);
    if (at < this.#size && this.#indexes[at] === index) this.#increase(at, count);
    else if (this.#size < MAX_BINS) this.#insert(at, index, count);
    else if (at === 0) this.#increase(0, count);
    else this.#foldLowestAndInsert(at, index, count);
  }

  merge(other: BinCounts): void {
    for (let at = 0; at < other.#size; at++) this.add(other.#indexes[at] ?? 0, other.#counts[at] ?? 0);
  }

  /** Index of the bin that holds the item of 0-based `rank` < total, counting from the lowest index. */
  indexAt(rank: number): number {
    let seen = 0;
    for (let at = 0; at < this.#size; at++) {
      seen += this.#counts[at] ?? 0;
      if (seen > rank) return this.#indexes[at] ?? 0;
    }
    throw new RangeError(`Rank ${rank} of ${this.#total}`);
  }

  encode(into: ByteWriter): void {
    into.varint(this.#size);
    let previous = 0;
    for (let at = 0; at < this.#size; at++) {
      const index = this.#indexes[at] ?? 0;
      if (at === 0) into.signedVarint(index);
      else into.varint(index - previous);
      into.varint(this.#counts[at] ?? 0);
      previous = index;
    }
  }

  /** @throws CorruptStateError unless indexes rise from ≥ `lowest` to ≤ `highest` and counts are positive */
  static decode(from: ByteReader, lowest: number, highest: number): BinCounts {
    const bins = new BinCounts();
    const size = from.varint(MAX_BINS);
    let previous = lowest - 1;
    for (let at = 0; at < size; at++) {
      const index = at === 0 ? from.signedVarint() : previous + from.varint();
      const count = from.varint(MAX_COUNT);
      if (index <= previous || index > highest || count === 0)
        throw new CorruptStateError(`Bin ${index} with count ${count}`);
      bins.#insert(at, index, count);
      bins.#total += count;
      previous = index;
    }
    return bins;
  }

  retainedBytes(): number {
    return 160 + this.#indexes.byteLength + this.#counts.byteLength;
  }

  #increase(at: number, count: number): void {
    this.#counts[at] = (this.#counts[at] ?? 0) + count;
  }

  /** First position whose index is ≥ `index`; `size` if none. */
  #lowerBound(index: number): number {
    let from = 0;
    let to = this.#size;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#indexes[middle] ?? 0) < index) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  #insert(at: number, index: number, count: number): void {
    if (this.#size === this.#indexes.length) this.#grow();
    this.#indexes.copyWithin(at + 1, at, this.#size);
    this.#counts.copyWithin(at + 1, at, this.#size);
    this.#indexes[at] = index;
    this.#counts[at] = count;
    this.#size++;
  }

  /** All bins are in use: the lowest goes into the one above it, which may be the new one. */
  #foldLowestAndInsert(at: number, index: number, count: number): void {
    const lowest = this.#counts[0] ?? 0;
    this.#indexes.copyWithin(0, 1, at);
    this.#counts.copyWithin(0, 1, at);
    this.#indexes[at - 1] = index;
    this.#counts[at - 1] = count;
    this.#increase(0, lowest);
  }

  #grow(): void {
    const capacity = Math.min(MAX_BINS, 2 * this.#indexes.length);
    const indexes = new Int32Array(capacity);
    const counts = new Float64Array(capacity);
    indexes.set(this.#indexes);
    counts.set(this.#counts);
    this.#indexes = indexes;
    this.#counts = counts;
  }
}
