import fc from "fast-check";
import { expect, test } from "vitest";
import { GroupKeys, MAX_GROUP_KEY_LENGTH } from "../../../core/windows/group-keys.ts";

test("a group's key is the JSON text of its values, however often and among however many others it is asked for", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.constant(null))), (values) => {
      const keys = new GroupKeys();
      for (const value of [...values, ...values]) expect(keys.ofOne(value)?.text).toBe(JSON.stringify([value]));
      expect(keys.of(values)?.text).toBe(JSON.stringify(values));
    }),
  );
  const keys = new GroupKeys();
  for (let k = 0; k < 50_000; k++) expect(keys.ofOne(`client-${k % 30_000}`)?.text).toBe(`["client-${k % 30_000}"]`);
});

test("the numbers of remembered keys are small, each key's own, and stay", () => {
  const keys = new GroupKeys();
  const numbersOf = () => Array.from({ length: 1000 }, (_, k) => keys.ofOne(`client-${k}`)?.number);
  expect(numbersOf()).toEqual(Array.from({ length: 1000 }, (_, k) => k));
  expect(numbersOf()).toEqual(Array.from({ length: 1000 }, (_, k) => k));
  expect([keys.ofOne(1)?.number, keys.of(["a", "b"])?.number]).toEqual([-1, -1]);
});

test("values that are too long have no key", () => {
  const keys = new GroupKeys();
  const longest = "x".repeat(MAX_GROUP_KEY_LENGTH - 4);
  expect(keys.ofOne(longest)?.text).toBe(`["${longest}"]`);
  expect(keys.ofOne(`${longest}x`)).toBeNull();
  expect(keys.of([longest, 1])).toBeNull();
});
