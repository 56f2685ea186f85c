/**
 * Sums of doubles without any rounding error.
 *
 * Problem: floating-point addition is not associative, so a plain sum depends on the order of events and on how shards were
 * merged, and a variance from plain sums can even come out negative.
 * Rule: integers add up in one double for as long as that is exact. All else goes into a fixed-point number that is wide enough
 * for every double and for every square of a double, kept as 32-bit limbs with room for carries; only the limbs in use
 * exist. It is rounded once, when it is read.
 * Why not Shewchuk's partial sums: they are exact too, but an intermediate overflow (MAX + MAX − MAX) depends on the order,
 * and the same sum has many forms.
 */
import { type ByteReader, type ByteWriter, CorruptStateError } from "../bytes.ts";
import { type ScaledInteger, divide, toDouble } from "./scaled-integer.ts";

const LIMB = 2 ** 32;
/** Bit 0 of limb 0 weighs 2^−2240: 64 bits of slack below the square of the smallest double, 2^−2148. */
const UNIT_EXPONENT = -2240;
/** The limb whose bit 0 weighs 1. */
const ONES = 70;
/** Enough for 2^53 squares of the largest double: 2^2101 < 2^(142·32 − 2240). */
const LIMB_COUNT = 142;
/** Each addition changes a limb by less than 2^32; after this many, carries are moved on, so no limb reaches 2^53. */
const MAX_PENDING = 2 ** 19;

/** Squares of smaller and larger numbers would lose bits or overflow, and are computed scaled by 2^±608, which is 19 limbs. */
const SMALL_SQUARE = 2 ** -480;
const LARGE_SQUARE = 2 ** 500;
const SCALE = 2 ** 608;
const SCALE_LIMBS = 38;
/** Multiplying by this and subtracting splits 53 bits into 26 and 27 (Veltkamp). */
const SPLITTER = 2 ** 27 + 1;

const NO_LIMBS = new Float64Array(0);
const scratch = new DataView(new ArrayBuffer(8));

/** A sum of doubles, exact whatever their order and size. Its limits are 2^53 additions. */
export class ExactSum {
  /** A safe integer; the sum is this plus the limbs. */
  #integers = 0;
  /** Signed; limb k weighs 2^(32·(first + k) + UNIT_EXPONENT). */
  #limbs: Float64Array = NO_LIMBS;
  #first = 0;
  #pending = 0;

  /** `value` must be finite. */
  add(value: number): void {
    const sum = this.#integers + value;
    if (Number.isSafeInteger(value) && Number.isSafeInteger(sum)) this.#integers = sum;
    else this.#addBits(value, 0);
  }

  /** Adds value · value, exactly. `value` must be finite. */
  addSquare(value: number): void {
    const square = value * value;
    if (Number.isSafeInteger(value) && Number.isSafeInteger(square)) this.add(square);
    else if (Math.abs(value) < SMALL_SQUARE) this.#addProduct(value * SCALE, -SCALE_LIMBS);
    else if (Math.abs(value) > LARGE_SQUARE) this.#addProduct(value / SCALE, SCALE_LIMBS);
    else this.#addProduct(value, 0);
  }

  merge(other: ExactSum): void {
    this.add(other.#integers);
    if (other.#limbs.length === 0) return;
    if (this.#pending + other.#pending >= MAX_PENDING) this.#settle();
    const offset = this.#reach(other.#first, other.#first + other.#limbs.length - 1);
    for (let k = 0; k < other.#limbs.length; k++)
      this.#limbs[offset + k] = (this.#limbs[offset + k] ?? 0) + (other.#limbs[k] ?? 0);
    this.#pending += other.#pending + 1;
  }

  /** The whole sum. */
  exact(): ScaledInteger {
    if (this.#limbs.length === 0) return { units: BigInt(this.#integers), exponent: 0 };
    this.#settle();
    let units = 0n;
    for (let k = this.#limbs.length - 1; k >= 0; k--) units = (units << 32n) + BigInt(this.#limbs[k] ?? 0);
    return this.#limbs.length === 0
      ? { units: BigInt(this.#integers), exponent: 0 }
      : { units, exponent: 32 * this.#first + UNIT_EXPONENT };
  }

  /** The double nearest to sum / count; ±Number.MAX_VALUE when it is out of range. `count` is a positive safe integer. */
  dividedBy(count: number): number {
    if (this.#limbs.length === 0) return this.#integers / count;
    return toDouble(divide(this.exact(), BigInt(count)));
  }

  /** Writes the same bytes for the same sum, however it came about. */
  encode(into: ByteWriter): void {
    this.#settle();
    into.varint(this.#limbs.length);
    if (this.#limbs.length === 0) {
      into.f64(this.#integers);
      return;
    }
    into.varint(this.#first);
    const top = this.#limbs.length - 1;
    for (let k = 0; k < top; k++) into.u32(this.#limbs[k] ?? 0);
    into.signedVarint(this.#limbs[top] ?? 0);
  }

  /** @throws CorruptStateError */
  static decode(from: ByteReader): ExactSum {
    const sum = new ExactSum();
    const length = from.varint(LIMB_COUNT);
    if (length === 0) {
      sum.#integers = from.f64() + 0;
      if (!Number.isSafeInteger(sum.#integers)) throw new CorruptStateError("A sum's integer part is out of range");
      return sum;
    }
    sum.#first = from.varint(LIMB_COUNT - length);
    sum.#limbs = new Float64Array(length);
    sum.#pending = 1;
    for (let k = 0; k < length - 1; k++) sum.#limbs[k] = from.u32();
    const top = from.signedVarint();
    if (Math.abs(top) >= LIMB) throw new CorruptStateError("A sum's top limb is out of range");
    sum.#limbs[length - 1] = top;
    return sum;
  }

  /** Bytes held in memory, roughly. */
  retainedBytes(): number {
    return 64 + 8 * this.#limbs.length + (this.#limbs.length > 0 ? 64 : 0);
  }

  /** Dekker's product: `square` rounded, and its rounding error, which is a double too; both are added, moved by `limbs`. */
  #addProduct(value: number, limbs: number): void {
    const square = value * value;
    const spread = SPLITTER * value;
    const high = spread - (spread - value);
    const low = value - high;
    this.#addBits(square, limbs);
    this.#addBits(low * low - (square - high * high - 2 * high * low), limbs);
  }

  /** Adds value · 2^(32 · limbs). */
  #addBits(value: number, limbs: number): void {
    if (value === 0) return;
    if (this.#pending >= MAX_PENDING) this.#settle();
    this.#pending++;
    scratch.setFloat64(0, value, true);
    const low = scratch.getUint32(0, true);
    const signAndHigh = scratch.getUint32(4, true);
    const biased = (signAndHigh >>> 20) & 0x7ff;
    const high = biased === 0 ? signAndHigh & 0xfffff : (signAndHigh & 0xfffff) | 0x100000;
    const bit = (biased === 0 ? 1 : biased) - 1075 - UNIT_EXPONENT;
    const limb = (bit >>> 5) + limbs;
    const shift = bit & 31;
    const at = this.#reach(limb, limb + 2);
    const sign = value < 0 ? -1 : 1;
    this.#addToLimb(at, sign * ((low << shift) >>> 0));
    // Two steps, because a shift by 32 shifts by 0.
    this.#addToLimb(at + 1, sign * (((high << shift) | ((low >>> 1) >>> (31 - shift))) >>> 0));
    this.#addToLimb(at + 2, sign * ((high >>> 1) >>> (31 - shift)));
  }

  #addToLimb(at: number, amount: number): void {
    this.#limbs[at] = (this.#limbs[at] ?? 0) + amount;
  }

  /** Makes the limbs cover `from` to `to`. @returns where `from` is */
  #reach(from: number, to: number): number {
    const end = this.#first + this.#limbs.length;
    if (this.#limbs.length > 0 && from >= this.#first && to < end) return from - this.#first;
    const first = this.#limbs.length === 0 ? from : Math.min(from, this.#first);
    const grown = new Float64Array(Math.max(to + 1, this.#limbs.length === 0 ? 0 : end) - first);
    grown.set(this.#limbs, this.#limbs.length === 0 ? 0 : this.#first - first);
    this.#limbs = grown;
    this.#first = first;
    return from - first;
  }

  /**
   * Brings the sum into its one canonical form: a safe integer alone if it is one; else limbs of 0 to 2^32 − 1 under a signed
   * top limb, without zero limbs at either end.
   */
  #settle(): void {
    if (this.#limbs.length === 0) return;
    const ones = this.#reach(ONES, Math.max(ONES + 1, this.#first + this.#limbs.length));
    const high = Math.floor(this.#integers / LIMB);
    this.#addToLimb(ones, this.#integers - high * LIMB);
    this.#addToLimb(ones + 1, high);
    this.#integers = 0;
    this.#pending = 1;
    this.#carry();
    this.#trim();
    const value = (this.#limbs[0] ?? 0) + (this.#limbs[1] ?? 0) * LIMB;
    const whole = this.#first >= ONES && this.#first + this.#limbs.length <= ONES + 2;
    const integers = this.#first === ONES ? value : value * LIMB;
    if (this.#limbs.length > 0 && !(whole && Number.isSafeInteger(integers))) return;
    this.#integers = this.#limbs.length === 0 ? 0 : integers;
    this.#limbs = NO_LIMBS;
    this.#pending = 0;
  }

  #carry(): void {
    const top = this.#limbs.length - 1;
    let carry = 0;
    for (let k = 0; k < top; k++) {
      const limb = (this.#limbs[k] ?? 0) + carry;
      carry = Math.floor(limb / LIMB);
      this.#limbs[k] = limb - carry * LIMB;
    }
    this.#addToLimb(top, carry);
  }

  #trim(): void {
    let start = 0;
    let end = this.#limbs.length;
    while (end > 0 && this.#limbs[end - 1] === 0) end--;
    // A top of −1 above another limb is that limb minus 2^32.
    while (end > 1 && this.#limbs[end - 1] === -1 && this.#limbs[end - 2] !== 0) {
      end--;
      this.#addToLimb(end - 1, -LIMB);
    }
    while (start < end && this.#limbs[start] === 0) start++;
    this.#limbs = this.#limbs.slice(start, end);
    this.#first += start;
  }
}
