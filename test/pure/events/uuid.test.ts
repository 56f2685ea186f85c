import * as fc from "fast-check";
import { expect, test } from "vitest";
import { uuidv7, uuidv7Time } from "../../../core/events/uuid.ts";

const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
const times = fc.integer({ min: 0, max: 2 ** 48 - 1 });

test("a made id has the layout of RFC 9562's example", () => {
  // Appendix A.6: 2022-02-22T19:22:22.000Z, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F
  const random = Uint8Array.from([0, 0, 0, 0, 0, 0, 0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f]);
  expect(uuidv7(1_645_557_742_000, random)).toBe("017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
});

test("the time comes back from any made id, in either case", () => {
  fc.assert(
    fc.property(times, bytes16, (at, random) => {
      expect(uuidv7Time(uuidv7(at, random))).toBe(at);
      expect(uuidv7Time(uuidv7(at, random).toUpperCase())).toBe(at);
    }),
  );
});

test("ids sort as their times do", () => {
  fc.assert(
    fc.property(times, times, bytes16, bytes16, (a, b, randomA, randomB) => {
      fc.pre(a < b);
      expect(uuidv7(a, randomA) < uuidv7(b, randomB)).toBe(true);
    }),
  );
});

test("several ids can share one buffer of random bytes", () => {
  const random = Uint8Array.from({ length: 32 }, (_, at) => at * 7);
  expect(uuidv7(5, random, 16)).toBe(uuidv7(5, random.slice(16)));
});

test.each([
  "",
  "abc",
  "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",
  "017f22e2-79b0-7cc3-18c4-dc0c0c07398f",
  "017f22e279b07cc398c4dc0c0c07398f",
  "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
])("%j has no time", (id) => {
  expect(uuidv7Time(id)).toBeNull();
});
