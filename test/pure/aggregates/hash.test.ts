import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "../../../core/aggregates/canonical-json.ts";
import { hashValue } from "../../../core/aggregates/hash.ts";
import type { JsonValue } from "../../../core/events/event.ts";

const words = new Uint32Array(2);

function hashOf(value: JsonValue): string {
  hashValue(value, words, 0);
  return [words[1], words[0]].map((word) => (word ?? 0).toString(16).padStart(8, "0")).join("");
}

function bump(counts: Uint32Array, at: number, by: number): void {
  counts[at] = (counts[at] ?? 0) + by;
}

function nested(depth: number): JsonValue {
  let value: JsonValue = 1;
  for (let k = 0; k < depth; k++) value = k % 2 === 0 ? [value] : { a: value };
  return value;
}

describe("the hash of a JSON value", () => {
  test("never changes, as stored sketches depend on it", () => {
    const known: [JsonValue, string][] = [
      ["", "1e8153fd5039619b"],
      ["a", "5427eb075187067d"],
      ["user-42", "35750c8e0c73ac68"],
      ["zürich €😀", "34b508af24fbea43"],
      [0, "da83ffd4ab520913"],
      [42, "649127e37f2a355e"],
      [-1.5, "55ac30d2478a0906"],
      [true, "f7366193a5cce923"],
      [false, "a56da762bef1bd51"],
      [null, "5cfa67697dc4b409"],
      [[1, "a"], "193330e45144bb07"],
      [{ b: 1, a: [null] }, "1355a17ab056365d"],
    ];
    expect(known.map(([value]) => [value, hashOf(value)])).toEqual(known);
  });

  test("tells kinds apart, but not −0 from 0 or one order of keys from another", () => {
    const different: JsonValue[] = [
      "1",
      1,
      true,
      [1],
      ["1"],
      "[1]",
      { 1: 1 },
      "true",
      "null",
      null,
      "",
      [],
      {},
      false,
      0,
    ];
    expect(new Set(different.map(hashOf)).size).toBe(different.length);
    expect(hashOf(-0)).toBe(hashOf(0));
    expect(hashOf({ a: 1, b: { c: 2, d: -0 } })).toBe(hashOf({ b: { d: 0, c: 2 }, a: 1 }));
  });

  test("has no two alike among 200,000 values that resemble each other", () => {
    const values: JsonValue[] = [];
    for (let k = 0; k < 40_000; k++) {
      values.push(
        k,
        k / 8 + 0.0625,
        `user-${k}`,
        `10.${k >> 8}.${k & 255}.1`,
        " ".repeat(k % 100) + Math.floor(k / 100),
      );
    }
    expect(new Set(values.map(hashOf)).size).toBe(new Set(values).size);
  });

  test("spreads similar values evenly over registers, high bits and low (chi-squared within 5 sigma)", () => {
    const families: Record<string, (k: number) => JsonValue> = {
      integers: (k) => k,
      fractions: (k) => k / 1000,
      "numbered text": (k) => `user-${k}`,
      addresses: (k) => `10.${k >> 16}.${(k >> 8) & 255}.${k & 255}`,
      "time-ordered ids": (k) => `0190f3a2-7b${(k >> 8).toString(16).padStart(6, "0")}-7abc-8def-00000000${k % 256}`,
      "text of NULs": (k) => "\0".repeat(k % 500) + k,
    };
    const n = 100_000;
    const cells = 4096;
    for (const [family, valueOf] of Object.entries(families)) {
      const high = new Uint32Array(cells);
      const low = new Uint32Array(cells);
      for (let k = 0; k < n; k++) {
        hashValue(valueOf(k), words, 0);
        bump(high, (words[1] ?? 0) >>> 20, 1);
        bump(low, (words[0] ?? 0) & (cells - 1), 1);
      }
      for (const counts of [high, low]) {
        const chiSquared = counts.reduce((sum, count) => sum + (count - n / cells) ** 2 / (n / cells), 0);
        expect(Math.abs(chiSquared - (cells - 1)) / Math.sqrt(2 * (cells - 1)), family).toBeLessThan(5);
      }
    }
  });

  test("changes each bit with probability one half when one bit of the input changes", () => {
    const trials = 4000;
    const flips = new Uint32Array(64);
    const before = new Uint32Array(2);
    for (let k = 0; k < trials; k++) {
      const text = `event-${k}-${k * 7919}`;
      const at = k % text.length;
      const flipped =
        text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << (k % 7))) + text.slice(at + 1);
      hashValue(text, before, 0);
      hashValue(flipped, words, 0);
      for (let bit = 0; bit < 64; bit++) {
        bump(flips, bit, (((before[bit >> 5] ?? 0) ^ (words[bit >> 5] ?? 0)) >>> (bit & 31)) & 1);
      }
    }
    for (const [bit, count] of flips.entries()) {
      expect(Math.abs(count - trials / 2), `bit ${bit}`).toBeLessThan(5 * Math.sqrt(trials / 4));
    }
  });

  test("goes into the slot asked for", () => {
    const four = new Uint32Array(4);
    hashValue("a", four, 1);
    hashValue("a", words, 0);
    expect([...four]).toEqual([0, 0, ...words]);
  });
});

describe("canonical JSON", () => {
  test("is JSON of the same value, whatever the order of keys", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const plain: JsonValue = JSON.parse(JSON.stringify(value));
        const text = canonicalJson(plain);
        expect(JSON.parse(text)).toEqual(plain);
        expect(canonicalJson(reordered(plain))).toBe(text);
      }),
    );
  });

  test("sorts keys and writes no spaces", () => {
    expect(canonicalJson({ b: [1, "x", null], a: { d: true, c: -0 } })).toBe('{"a":{"c":0,"d":true},"b":[1,"x",null]}');
    expect(canonicalJson([])).toBe("[]");
    expect(canonicalJson({})).toBe("{}");
  });

  test("of a value nested 50,000 deep does not overflow the stack", () => {
    expect(canonicalJson(nested(50_000)).length).toBe(25_000 * 2 + 25_000 * 6 + 1);
    expect(hashOf(nested(50_000))).not.toBe(hashOf(nested(49_998)));
  });
});

function reordered(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(reordered);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, item]) => [key, reordered(item)]),
  );
}
