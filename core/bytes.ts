/** Bytes that were not written by this program, or not by this version of it: too short, out of range or inconsistent. */
export class CorruptStateError extends Error {
  override readonly name = "CorruptStateError";
}

const FIRST_CAPACITY_BYTES = 64;
/** 8 groups of 7 bits hold the 53 bits of a safe integer. */
const MAX_VARINT_BYTES = 8;
/** Above this, the platform's encoder beats a loop over characters. */
const SHORT_STRING_CHARS = 64;

const encoder = new TextEncoder();
// Without ignoreBOM a leading U+FEFF of the text would be swallowed.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Appends binary fields to a buffer that grows. Multi-byte numbers are little-endian. */
export class ByteWriter {
  #bytes = new Uint8Array(FIRST_CAPACITY_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** An integer 0 to 255. */
  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** An integer 0 to 2^32 − 1, four bytes. */
  u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  /** Any double, eight bytes; NaN loses its payload. */
  f64(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  /** A safe integer ≥ 0 in 1 to 8 bytes, 7 bits each, lowest first. @throws RangeError on anything else */
  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`Not a safe integer ≥ 0: ${value}`);
    this.#reserve(MAX_VARINT_BYTES);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) + 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  /** An integer within ±(2^52 − 1) as a varint with the sign in the lowest bit. @throws RangeError on anything else */
  signedVarint(value: number): void {
    this.varint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  /** The bytes alone; the reader must know how many. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** The length as a varint, then the bytes. */
  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  /** The UTF-8 length as a varint, then UTF-8. A lone surrogate becomes U+FFFD: write such text as JSON, which escapes it. */
  string(text: string): void {
    if (text.length > SHORT_STRING_CHARS || !this.#shortAscii(text)) this.bytes(encoder.encode(text));
  }

  /** A copy of what was written; writing may go on. */
  toUint8Array(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  /** What was written, not copied: good until something else is written. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Begins anew, in the same buffer. */
  clear(): void {
    this.#length = 0;
  }

  #shortAscii(text: string): boolean {
    this.#reserve(1 + text.length);
    const start = this.#length + 1;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code >= 0x80) return false;
      this.#bytes[start + at] = code;
    }
    this.#bytes[this.#length] = text.length;
    this.#length = start + text.length;
    return true;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Reads what a `ByteWriter` wrote, field by field. Every method throws CorruptStateError rather than read past the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#position;
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.#bytes.length - this.#position;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#advance(8), true);
  }

  /** A safe integer ≥ 0, and at most `max`. */
  varint(max = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    let weight = 1;
    for (let count = 0; count < MAX_VARINT_BYTES; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * weight;
      if (byte < 0x80) {
        if (value > max) throw new CorruptStateError(`Integer ${value} is over its limit ${max}`);
        return value;
      }
      weight *= 0x80;
    }
    throw new CorruptStateError("Integer is longer than 8 bytes");
  }

  signedVarint(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** The next `length` bytes, as a view of the input, not a copy. */
  raw(length: number): Uint8Array {
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** Bytes written by `bytes`, as a view of the input, not a copy. */
  bytes(): Uint8Array {
    return this.raw(this.varint());
  }

  /** Text written by `string`; ill-formed UTF-8 is refused. */
  string(): string {
    const bytes = this.bytes();
    try {
      return decoder.decode(bytes);
    } catch (cause) {
      throw new CorruptStateError("Text is not UTF-8", { cause });
    }
  }

  /** A count as a varint, then so many items. Each takes a byte at least, so too large a count is found out before there is room made for it. */
  list<T>(read: () => T): T[] {
    const count = this.varint(this.remaining);
    const items: T[] = [];
    for (let k = 0; k < count; k++) items.push(read());
    return items;
  }

  /** Reads one byte, which must be `version`. `what` names the state in the error. */
  version(version: number, what: string): void {
    const found = this.u8();
    if (found !== version) throw new CorruptStateError(`${what} has version ${found}, this program reads ${version}`);
  }

  /** Asserts that everything was read. */
  end(): void {
    if (this.remaining > 0) throw new CorruptStateError(`${this.remaining} bytes too many`);
  }

  #advance(length: number): number {
    if (length > this.remaining) throw new CorruptStateError(`${length} bytes wanted, ${this.remaining} left`);
    const start = this.#position;
    this.#position += length;
    return start;
  }
}
