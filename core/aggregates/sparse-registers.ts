import { type ByteReader, type ByteWriter, CorruptStateError } from "../bytes.ts";

/** Bits of the hash that choose one of 2^25 virtual registers; the other 39 give its value. */
export const SPARSE_BITS = 25;
/** More registers than this would take more room, at 4 bytes each, than 2^14 packed dense ones at 6 bits. */
export const MAX_SPARSE_REGISTERS = 3072;

const VALUE_BITS = 6;
const MAX_VALUE = 64 - SPARSE_BITS + 1;
const FIRST_SLOTS = 8;

/**
 * The few non-zero registers of a young HyperLogLog: a hash table of codes, a code being register · 64 + value.
 *
 * A value is the place of the first 1 among the hash bits that are left, 1 to 40, so no code is 0, which marks a free slot.
 */
export class SparseRegisters {
  #slots = new Uint32Array(FIRST_SLOTS);
  #size = 0;

  /** Registers in use. */
  get size(): number {
    return this.#size;
  }

  /** Adds a 64-bit hash. */
  add(low: number, high: number): void {
    const rest = high & 0x7f;
    const value = rest === 0 ? 8 + Math.clz32(low) : Math.clz32(rest) - 24;
    this.put((((high >>> 7) << VALUE_BITS) | value) >>> 0);
  }

  /** Raises one register to the value in `code`. */
  put(code: number): void {
    const mask = this.#slots.length - 1;
    for (let slot = (code >>> VALUE_BITS) & mask; ; slot = (slot + 1) & mask) {
      const found = this.#slots[slot] ?? 0;
      if (found === 0) {
        this.#slots[slot] = code;
        this.#size++;
        if (this.#size * 4 > this.#slots.length * 3) this.#grow();
        return;
      }
      if (found >>> VALUE_BITS === code >>> VALUE_BITS) {
        if (code > found) this.#slots[slot] = code;
        return;
      }
    }
  }

  /** Codes in order of register. */
  codes(): Uint32Array {
    return this.#slots.filter((code) => code !== 0).sort();
  }

  encode(into: ByteWriter): void {
    into.varint(this.#size);
    let previous = 0;
    for (const code of this.codes()) {
      into.varint(code - previous);
      previous = code;
    }
  }

  /** @throws CorruptStateError unless the registers come in rising order with values of 1 to 40 */
  static decode(from: ByteReader): SparseRegisters {
    const registers = new SparseRegisters();
    const size = from.varint(MAX_SPARSE_REGISTERS);
    let previous = 0;
    for (let k = 0; k < size; k++) {
      const code = previous + from.varint(2 ** 31);
      const value = code % 2 ** VALUE_BITS;
      const rising = k === 0 || Math.floor(code / 2 ** VALUE_BITS) > previous >>> VALUE_BITS;
      if (!rising || code >= 2 ** (SPARSE_BITS + VALUE_BITS) || value < 1 || value > MAX_VALUE) {
        throw new CorruptStateError(`Not a sparse register: ${code}`);
      }
      registers.put(code);
      previous = code;
    }
    return registers;
  }

  retainedBytes(): number {
    return 96 + this.#slots.byteLength;
  }

  #grow(): void {
    const codes = this.#slots;
    this.#slots = new Uint32Array(2 * codes.length);
    this.#size = 0;
    for (const code of codes) if (code !== 0) this.put(code);
  }
}
