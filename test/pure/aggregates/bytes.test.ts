import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteReader, ByteWriter, CorruptStateError } from "../../../core/bytes.ts";

function written(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter();
  write(writer);
  return writer.toUint8Array();
}

describe("what a ByteWriter writes, a ByteReader reads", () => {
  test("fields of every kind, one after the other", () => {
    const bytes = written((writer) => {
      writer.u8(255);
      writer.u32(0xffff_ffff);
      writer.f64(-0.1);
      writer.varint(300);
      writer.signedVarint(-300);
      writer.bytes(Uint8Array.of(1, 2, 3));
      writer.string("zürich €");
      writer.raw(Uint8Array.of(9));
    });
    const reader = new ByteReader(bytes);
    expect(reader.u8()).toBe(255);
    expect(reader.u32()).toBe(0xffff_ffff);
    expect(reader.f64()).toBe(-0.1);
    expect(reader.varint()).toBe(300);
    expect(reader.signedVarint()).toBe(-300);
    expect([...reader.bytes()]).toEqual([1, 2, 3]);
    expect(reader.string()).toBe("zürich €");
    expect(reader.remaining).toBe(1);
    expect([...reader.raw(1)]).toEqual([9]);
    expect(() => reader.end()).not.toThrow();
  });

  test("any safe integer as a varint, in as many bytes as its bits need", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const bytes = written((writer) => writer.varint(value));
        expect(new ByteReader(bytes).varint()).toBe(value);
        expect(bytes.length).toBe(Math.max(1, Math.ceil(value.toString(2).length / 7)));
      }),
    );
  });

  test("signed integers up to 2^52 − 1 both ways", () => {
    const limit = 2 ** 52 - 1;
    fc.assert(
      fc.property(fc.integer({ min: -limit, max: limit }), (value) => {
        const bytes = written((writer) => writer.signedVarint(value));
        expect(new ByteReader(bytes).signedVarint()).toBe(value);
      }),
      { examples: [[limit], [-limit], [0], [-1]] },
    );
  });

  test("any well-formed text, short or long, and a byte order mark at its start", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 300 }), (text) => {
        expect(new ByteReader(written((writer) => writer.string(text))).string()).toBe(text);
      }),
      { examples: [["\u{feff}a"], ["a".repeat(64)], ["a".repeat(65)], [`${"a".repeat(63)}é`], ["\0"]] },
    );
  });

  test("any double, NaN and −0 included", () => {
    fc.assert(
      fc.property(fc.double(), (value) => {
        expect(new ByteReader(written((writer) => writer.f64(value))).f64()).toBe(value);
      }),
    );
  });

  test("from a view that does not start at the buffer's beginning", () => {
    const bytes = written((writer) => writer.f64(Math.PI));
    const shifted = new Uint8Array(13);
    shifted.set(bytes, 5);
    expect(new ByteReader(shifted.subarray(5)).f64()).toBe(Math.PI);
  });
});

describe("a ByteReader refuses with CorruptStateError", () => {
  const reads: Record<string, (reader: ByteReader) => unknown> = {
    u8: (reader) => reader.u8(),
    u32: (reader) => reader.u32(),
    f64: (reader) => reader.f64(),
    varint: (reader) => reader.varint(),
    signedVarint: (reader) => reader.signedVarint(),
    bytes: (reader) => reader.bytes(),
    string: (reader) => reader.string(),
  };

  test.each(Object.entries(reads))("%s past the end", (_, read) => {
    expect(() => read(new ByteReader(new Uint8Array(0)))).toThrow(CorruptStateError);
  });

  test("a length that is larger than what follows, before it allocates anything", () => {
    const bytes = written((writer) => writer.varint(2 ** 50));
    expect(() => new ByteReader(bytes).bytes()).toThrow(CorruptStateError);
    expect(() => new ByteReader(bytes).string()).toThrow(CorruptStateError);
  });

  test("integers of more than 53 bits, and those over the limit asked for", () => {
    expect(() => new ByteReader(new Uint8Array(9).fill(0xff)).varint()).toThrow(CorruptStateError);
    expect(() => new ByteReader(Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 127)).varint()).toThrow(
      CorruptStateError,
    );
    expect(() => new ByteReader(Uint8Array.of(11)).varint(10)).toThrow(CorruptStateError);
    expect(new ByteReader(Uint8Array.of(10)).varint(10)).toBe(10);
  });

  test("text that is not UTF-8, an unknown version, and bytes left over", () => {
    expect(() => new ByteReader(Uint8Array.of(1, 0xff)).string()).toThrow(CorruptStateError);
    expect(() => new ByteReader(Uint8Array.of(2)).version(1, "count")).toThrow(
      "count has version 2, this program reads 1",
    );
    expect(() => new ByteReader(Uint8Array.of(2)).end()).toThrow(CorruptStateError);
  });
});

test("a ByteWriter refuses integers that it could not give back", () => {
  const writer = new ByteWriter();
  for (const value of [-1, 1.5, 2 ** 53, Number.NaN, Infinity]) expect(() => writer.varint(value)).toThrow(RangeError);
});
