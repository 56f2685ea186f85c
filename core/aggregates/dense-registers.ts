import { type ByteReader, type ByteWriter, CorruptStateError } from "../bytes.ts";
import { SPARSE_BITS } from "./sparse-registers.ts";

/** Bits of the hash that choose a register; standard error 1.04 / √(2^14) = 0.81 %. */
const DENSE_BITS = 14;
/** Registers of a sketch: the standard error of its estimate is 1.04 / √REGISTERS, 0.8 %. */
export const REGISTERS = 2 ** DENSE_BITS;
/** A register holds the place of the first 1 among the 50 other bits; 51 when there is none. */
export const MAX_REGISTER = 64 - DENSE_BITS + 1;

/** Four registers of 6 bits in three bytes. */
const PACKED_BYTES = (REGISTERS * 6) / 8;
const BETWEEN_BITS = SPARSE_BITS - DENSE_BITS;

/** All registers of a HyperLogLog: a byte each in memory, 6 bits each when encoded. */
export class DenseRegisters {
  readonly #registers = new Uint8Array(REGISTERS);

  /** Adds a 64-bit hash. */
  add(low: number, high: number): void {
    const rest = high & 0x3ffff;
    this.#raise(high >>> 18, rest === 0 ? 19 + Math.clz32(low) : Math.clz32(rest) - 13);
  }

  /** Adds what a code of `SparseRegisters` knows: the 11 bits of its register beyond the first 14 come before its value. */
  put(code: number): void {
    const register = code >>> 6;
    const between = register & (2 ** BETWEEN_BITS - 1);
    this.#raise(register >>> BETWEEN_BITS, between === 0 ? BETWEEN_BITS + (code & 63) : Math.clz32(between) - 20);
  }

  merge(other: DenseRegisters): void {
    for (let k = 0; k < REGISTERS; k++) this.#raise(k, other.#registers[k] ?? 0);
  }

  /** How many registers hold each value, 0 to MAX_REGISTER. */
  histogram(): Uint32Array {
    const counts = new Uint32Array(MAX_REGISTER + 1);
    for (const value of this.#registers) counts[value] = (counts[value] ?? 0) + 1;
    return counts;
  }

  encode(into: ByteWriter): void {
    const packed = new Uint8Array(PACKED_BYTES);
    for (let k = 0, at = 0; k < REGISTERS; k += 4, at += 3) {
      const bits = (this.#at(k) << 18) | (this.#at(k + 1) << 12) | (this.#at(k + 2) << 6) | this.#at(k + 3);
      packed[at] = bits >>> 16;
      packed[at + 1] = bits >>> 8;
      packed[at + 2] = bits;
    }
    into.raw(packed);
  }

  /** @throws CorruptStateError */
  static decode(from: ByteReader): DenseRegisters {
    const dense = new DenseRegisters();
    const packed = from.raw(PACKED_BYTES);
    for (let k = 0; k < REGISTERS; k++) {
      const at = Math.floor(k / 4) * 3;
      const bits = ((packed[at] ?? 0) << 16) | ((packed[at + 1] ?? 0) << 8) | (packed[at + 2] ?? 0);
      const value = (bits >>> (18 - 6 * (k % 4))) & 63;
      if (value > MAX_REGISTER) throw new CorruptStateError(`Not a register: ${value}`);
      dense.#registers[k] = value;
    }
    return dense;
  }

  retainedBytes(): number {
    return 96 + REGISTERS;
  }

  #at(register: number): number {
    return this.#registers[register] ?? 0;
  }

  #raise(register: number, value: number): void {
    if (value > this.#at(register)) this.#registers[register] = value;
  }
}
