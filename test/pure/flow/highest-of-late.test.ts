import fc from "fast-check";
import { expect, test } from "vitest";
import { HighestOfLate } from "../../../core/flow/highest-of-late.ts";

test("the highest value is that of all noted within the span", () => {
  const step = fc.record({ value: fc.nat(20), afterMs: fc.nat(400) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const highest = new HighestOfLate(1_000);
      const noted: { value: number; atMs: number }[] = [];
      let nowMs = 0;
      for (const { value, afterMs } of steps) {
        nowMs += afterMs;
        const within = () => noted.filter(({ atMs }) => nowMs - atMs <= 1_000).map((one) => one.value);
        expect(highest.at(nowMs)).toBe(Math.max(-Infinity, ...within()));
        highest.note(value, nowMs);
        noted.push({ value, atMs: nowMs });
        expect(highest.at(nowMs)).toBe(Math.max(...within()));
      }
    }),
  );
});
