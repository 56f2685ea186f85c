import fc from "fast-check";
import { expect, test } from "vitest";
import { GroupKeys, MAX_GROUP_KEY_LENGTH } from "../../../core/windows/group-keys.ts";

test("a group's key is the JSON text of its values, however often and among however many others it is asked for", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.constant(null))), (values) => {
      const keys = new GroupKeys();
      for (const value of [...values, ...values]) expect(keys.ofOne(value)).toBe(JSON.stringify([value]));
      expect(keys.of(values)).toBe(JSON.stringify(values));
    }),
  );
  const keys = new GroupKeys();
  for (let k = 0; k < 50_000; k++) expect(keys.ofOne(`client-${k % 30_000}`)).toBe(`["client-${k % 30_000}"]`);
});

test("values that are too long have no key", () => {
  const keys = new GroupKeys();
  const longest = "x".repeat(MAX_GROUP_KEY_LENGTH - 4);
  expect(keys.ofOne(longest)).toBe(`["${longest}"]`);
  expect(keys.ofOne(`${longest}x`)).toBeNull();
  expect(keys.of([longest, 1])).toBeNull();
});
