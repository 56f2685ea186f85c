import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildBloom, MAX_FILTER_BYTES, mayContain, probesOf } from "../../../core/events/bloom.ts";

describe("Bloom filter", () => {
  test("never denies a key it was built from, however many there are", () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 3_000 }), (keys) => {
        const filter = buildBloom(keys);
        return keys.every((key) => mayContain(filter, key));
      }),
      { numRuns: 50 },
    );
  });

  test.for([
    [1, 2],
    [10, 13],
    [300, 375],
    [614, 768],
    [615, MAX_FILTER_BYTES],
    [100_000, MAX_FILTER_BYTES],
  ])("%i keys take %i bytes", ([keys, bytes]) => {
    expect(buildBloom(Array.from({ length: keys ?? 0 }, (_, i) => `u:${i}`)).length).toBe(bytes);
  });

  test("repeated keys make it no larger, no keys make it empty, and an empty one denies everything", () => {
    expect(buildBloom(["u:a", "u:a", "u:a"])).toEqual(buildBloom(["u:a"]));
    expect(buildBloom([])).toEqual(new Uint8Array(0));
    expect(mayContain(new Uint8Array(0), "u:a")).toBe(false);
  });

  // Four probes: (1 − e^(−4/bits))^4.
  test.for([
    [50, 0.012],
    [614, 0.012],
    [1_000, 0.053],
    [2_000, 0.281],
  ])("with %i keys a share of about %f of absent keys looks present", ([keys = 0, rate = 0]) => {
    const filter = buildBloom(Array.from({ length: keys }, (_, i) => `c:request-${i}`));
    const absent = Array.from({ length: 40_000 }, (_, i) => `c:request-${1_000_000 + i}`);
    const share = absent.filter((key) => mayContain(filter, key)).length / absent.length;
    // Half of the rate beside it: a single filter of 50 keys varies that much.
    expect(Math.abs(share - rate)).toBeLessThan(rate / 2);
  });

  test("probes are part of the stored format: they must never change", () => {
    expect(probesOf("u:alice")).toEqual([
      { hash: 251_112_118, mask: 64 },
      { hash: 157_270_164, mask: 2 },
      { hash: 63_428_209, mask: 16 },
      { hash: 506_457_166, mask: 128 },
    ]);
  });
});
