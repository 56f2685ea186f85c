import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CorruptChunkError,
  InflateBudget,
  MAX_INFLATED_BYTES,
  MAX_INFLATED_IN_FLIGHT_BYTES,
  inflatedBytes,
  joinChunks,
  packChunk,
  splitChunks,
  unpackChunk,
} from "../../../storage/chunk.ts";

describe("chunks", () => {
  test("any well-formed text comes back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 200 }), (text) => unpackChunk(packChunk(text)) === text),
    );
  });

  test("a chunk owns its buffer, so that a queue message carries nothing else", () => {
    const chunk = packChunk("x".repeat(1000));
    expect(chunk.buffer.byteLength).toBe(chunk.length);
  });

  test("a byte order mark at the start is kept", () => {
    expect(unpackChunk(packChunk("\ufeffx"))).toBe("\ufeffx");
  });

  test("the largest text is packed, one byte more is refused", () => {
    expect(inflatedBytes(packChunk("x".repeat(MAX_INFLATED_BYTES)))).toBe(MAX_INFLATED_BYTES);
    expect(() => packChunk("x".repeat(MAX_INFLATED_BYTES + 1))).toThrow(CorruptChunkError);
  });

  test("another codec, truncated bytes and any flipped byte of the stream are refused", () => {
    const chunk = packChunk(JSON.stringify(Array.from({ length: 100 }, (_, n) => ({ n }))));
    expect(() => unpackChunk(Uint8Array.of(3, ...chunk.subarray(1)))).toThrow(CorruptChunkError);
    expect(() => unpackChunk(Uint8Array.of(1, ...chunk.subarray(1)))).toThrow(CorruptChunkError);
    expect(() => unpackChunk(new Uint8Array())).toThrow(CorruptChunkError);
    expect(() => unpackChunk(chunk.subarray(0, 9))).toThrow(CorruptChunkError);
    expect(() => unpackChunk(chunk.subarray(0, 10))).toThrow(CorruptChunkError);
    expect(() => unpackChunk(chunk.subarray(0, -5))).toThrow(CorruptChunkError);
    for (let at = 0; at < chunk.length; at++) {
      const flipped = chunk.with(at, (chunk[at] ?? 0) ^ 0x10);
      expect(() => unpackChunk(flipped)).toThrow(CorruptChunkError);
    }
  });

  test("a chunk that says it is small and is not stops at what it said", () => {
    const bomb = packChunk("x".repeat(1_000_000));
    new DataView(bomb.buffer).setUint32(1, 10, true);
    expect(() => unpackChunk(bomb)).toThrow(CorruptChunkError);
  });

  test("chunks of earlier versions, which are gzip, are read with the same care", () => {
    const text = JSON.stringify(Array.from({ length: 100 }, (_, n) => ({ n })));
    const chunk = Uint8Array.of(1, ...gzipSync(text, { level: 1 }));
    expect(unpackChunk(chunk)).toBe(text);
    expect(inflatedBytes(chunk)).toBe(text.length);
    expect(() => unpackChunk(chunk.subarray(0, 18))).toThrow(CorruptChunkError);
    expect(() => unpackChunk(chunk.subarray(0, -5))).toThrow(CorruptChunkError);
    for (let at = 11; at < chunk.length; at++)
      expect(() => unpackChunk(chunk.with(at, (chunk[at] ?? 0) ^ 0x10))).toThrow(CorruptChunkError);
  });
});

describe("the inflate budget", () => {
  const chunk = packChunk("x".repeat(MAX_INFLATED_BYTES));

  test("holds what fits and refuses the next, which then takes nothing", () => {
    const budget = new InflateBudget();
    for (let taken = 0; taken + MAX_INFLATED_BYTES <= MAX_INFLATED_IN_FLIGHT_BYTES; taken += MAX_INFLATED_BYTES)
      unpackChunk(chunk, budget);
    expect(budget.inFlight).toBe(MAX_INFLATED_IN_FLIGHT_BYTES);
    expect(() => unpackChunk(chunk, budget)).toThrow(RangeError);
    budget.release(chunk);
    expect(budget).toMatchObject({
      inFlight: MAX_INFLATED_IN_FLIGHT_BYTES - MAX_INFLATED_BYTES,
      peak: MAX_INFLATED_IN_FLIGHT_BYTES,
    });
  });

  test("a chunk that cannot be inflated leaves nothing taken", () => {
    const budget = new InflateBudget();
    expect(() => unpackChunk(chunk.with(50, (chunk[50] ?? 0) ^ 0xff), budget)).toThrow(CorruptChunkError);
    expect(budget.inFlight).toBe(0);
  });
});

describe("joined chunks", () => {
  test("any list comes back", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 6 }), (list) => {
        expect(splitChunks(joinChunks(list)).map((chunk) => Array.from(chunk))).toEqual(
          list.map((chunk) => Array.from(chunk)),
        );
      }),
    );
  });

  test.each([[[1]], [[1, 0, 0, 0]], [[2, 0, 0, 0, 9]], [[255, 255, 255, 255, 9]]])("%j is refused", (bytes) => {
    expect(() => splitChunks(Uint8Array.from(bytes))).toThrow(CorruptChunkError);
  });
});
