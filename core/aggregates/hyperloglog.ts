/**
 * How many distinct values were seen, from their 64-bit hashes, in at most 17 kB.
 *
 * Problem: counting users of a month exactly needs every user id; and the counts of days do not add up.
 * Rule: HyperLogLog with 2^14 registers, standard error 1.04 / √16384 = 0.81 %. Until more than 3,072 registers are filled, the
 * same hashes are kept at 2^25 registers, sparsely, and the filled ones are the count: only one time in eight do even two of
 * 3,072 values share a register. A sparse register holds all that is needed to fill the dense one. Merging takes the maximum
 * per register, so it is the union exactly: commutative, associative, and merging the same sketch twice changes nothing.
 * Dense registers are read by Ertl's improved raw estimator, which has no bias at small counts to correct by tables, as HLL++
 * does. Its other correction, for full registers, only matters beyond 2^53 values, where counting ends here anyway.
 *
 * @see O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284; its σ as in hllSigma of
 * Redis, src/hyperloglog.c
 */
import { type ByteReader, type ByteWriter, CorruptStateError } from "../bytes.ts";
import { DenseRegisters, MAX_REGISTER, REGISTERS } from "./dense-registers.ts";
import { MAX_SPARSE_REGISTERS, SparseRegisters } from "./sparse-registers.ts";

const SPARSE = 0;
const DENSE = 1;
/** 1 / (2 ln 2) */
const ALPHA_INFINITY = 0.5 / Math.LN2;

/** A set of hashes, approximately. */
export class HyperLogLog {
  #registers: SparseRegisters | DenseRegisters = new SparseRegisters();

  /** Adds a 64-bit hash. */
  add(low: number, high: number): void {
    this.#registers.add(low, high);
    this.#densify();
  }

  merge(other: HyperLogLog): void {
    const theirs = other.#registers;
    if (theirs instanceof SparseRegisters) {
      for (const code of theirs.codes()) this.#registers.put(code);
    } else {
      if (this.#registers instanceof SparseRegisters) this.#registers = toDense(this.#registers);
      this.#registers.merge(theirs);
    }
    this.#densify();
  }

  /** The number of distinct hashes, rounded to a safe integer; 0 when nothing was added. */
  estimate(): number {
    const registers = this.#registers;
    if (registers instanceof SparseRegisters) return registers.size;
    return Math.round(Math.min(estimateFrom(registers.histogram()), Number.MAX_SAFE_INTEGER));
  }

  /** Writes the same bytes for the same set of hashes, however it came about; at most 12,289 bytes. */
  encode(into: ByteWriter): void {
    into.u8(this.#registers instanceof SparseRegisters ? SPARSE : DENSE);
    this.#registers.encode(into);
  }

  /** @throws CorruptStateError */
  static decode(from: ByteReader): HyperLogLog {
    const sketch = new HyperLogLog();
    const form = from.u8();
    if (form > DENSE) throw new CorruptStateError(`Unknown form of HyperLogLog: ${form}`);
    sketch.#registers = form === SPARSE ? SparseRegisters.decode(from) : DenseRegisters.decode(from);
    return sketch;
  }

  /** Bytes held in memory, roughly. */
  retainedBytes(): number {
    return 32 + this.#registers.retainedBytes();
  }

  #densify(): void {
    const registers = this.#registers;
    if (registers instanceof SparseRegisters && registers.size > MAX_SPARSE_REGISTERS)
      this.#registers = toDense(registers);
  }
}

function toDense(sparse: SparseRegisters): DenseRegisters {
  const dense = new DenseRegisters();
  for (const code of sparse.codes()) dense.put(code);
  return dense;
}

function estimateFrom(histogram: Uint32Array): number {
  const share = (value: number) => (histogram[value] ?? 0) / REGISTERS;
  let sum = 0;
  for (let value = MAX_REGISTER; value >= 1; value--) sum = 0.5 * (sum + share(value));
  return (ALPHA_INFINITY * REGISTERS) / (sum + sigma(share(0)));
}

/** x + Σ x^(2^k) · 2^(k−1) over k ≥ 1, which stands for the empty registers; Infinity at 1. */
function sigma(x: number): number {
  if (x === 1) return Infinity;
  let sum = x;
  let before = -1;
  for (let power = x * x, weight = 1; sum !== before; power *= power, weight *= 2) {
    before = sum;
    sum += power * weight;
  }
  return sum;
}
