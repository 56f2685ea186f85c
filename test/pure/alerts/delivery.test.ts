import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decideDelivery,
  FIRST_DELAY_SECONDS,
  MAX_ATTEMPTS,
  MAX_DELAY_SECONDS,
  retryAfterSeconds,
} from "../../../core/alerts/delivery.ts";
import type { Attempted } from "../../../core/alerts/delivery.ts";

const NOW = Date.UTC(2026, 10, 22);
const answered = (status: number, retryAfter: string | null = null): Attempted => ({
  kind: "answered",
  status,
  retryAfter,
});
const delayOf = (attempted: Attempted, attempt: number, random: number): number => {
  const decision = decideDelivery(attempted, attempt, NOW, random);
  return decision.outcome === "retry" ? decision.delaySeconds : Number.NaN;
};

describe("what follows an attempt", () => {
  test.each([200, 201, 202, 204, 299])("%i is delivered", (status) => {
    expect(decideDelivery(answered(status), 1, NOW, 0.5)).toEqual({ outcome: "delivered" });
  });

  test.each([408, 425, 429, 500, 502, 503, 504, 599])("%i is tried again", (status) => {
    expect(decideDelivery(answered(status), 1, NOW, 0.5).outcome).toBe("retry");
  });

  test.each([301, 302, 307, 400, 401, 403, 404, 410, 413, 422])("%i is final", (status) => {
    expect(decideDelivery(answered(status), 1, NOW, 0.5)).toEqual({ outcome: "failed" });
  });

  test("no answer is tried again; a target that may not be called is not", () => {
    expect(decideDelivery({ kind: "unanswered", error: "timeout" }, 1, NOW, 0.5).outcome).toBe("retry");
    expect(decideDelivery({ kind: "refused", error: "private" }, 1, NOW, 0.5)).toEqual({ outcome: "failed" });
  });

  test(`attempt ${MAX_ATTEMPTS} is the last`, () => {
    expect(decideDelivery(answered(500), MAX_ATTEMPTS - 1, NOW, 0.5).outcome).toBe("retry");
    expect(decideDelivery(answered(500), MAX_ATTEMPTS, NOW, 0.5)).toEqual({ outcome: "failed" });
  });
});

describe("delays", () => {
  test("double, half of each by chance, up to the limit", () => {
    expect([0, 0.999_999].map((random) => delayOf(answered(500), 1, random))).toEqual([3, 5]);
    expect([0, 0.999_999].map((random) => delayOf(answered(500), 4, random))).toEqual([20, 40]);
    expect(delayOf(answered(500), 14, 0.999_999)).toBe(MAX_DELAY_SECONDS);
  });

  test("are never shorter than the receiver asks for, within the limit, and always whole seconds in range", () => {
    const status = fc.constantFrom(429, 503);
    fc.assert(
      fc.property(
        status,
        fc.integer({ min: 1, max: MAX_ATTEMPTS - 1 }),
        fc.nat(100_000),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (code, attempt, asked, random) => {
          const delay = delayOf(answered(code, String(asked)), attempt, random);
          expect(Number.isInteger(delay)).toBe(true);
          expect(delay).toBeGreaterThanOrEqual(Math.min(MAX_DELAY_SECONDS, Math.max(asked, FIRST_DELAY_SECONDS / 2)));
          expect(delay).toBeLessThanOrEqual(MAX_DELAY_SECONDS);
        },
      ),
    );
  });
});

test.each([
  ["120", 120],
  [" 7 ", 7],
  ["0", 0],
  ["Sun, 22 Nov 2026 00:01:30 GMT", 90],
  ["Sat, 21 Nov 2026 00:00:00 GMT", 0],
  ["soon", null],
  ["-5", null],
  ["1.5", null],
  ["", null],
  [null, null],
])("Retry-After %j is %j seconds", (header, seconds) => {
  expect(retryAfterSeconds(header, NOW)).toBe(seconds);
});
