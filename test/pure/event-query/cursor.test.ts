import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeCursor, encodeCursor } from "../../../core/events/cursor.ts";
import { ALL_EVENTS, type Cursor } from "../../../core/events/query.ts";

const place: fc.Arbitrary<Cursor> = fc.record({
  timestamp: fc.integer({ min: -8.64e15, max: 8.64e15 }),
  id: fc.stringMatching(/^[A-Za-z0-9._:~-]{0,64}$/),
});

describe("cursor", () => {
  test("comes back as the place it was made of", () => {
    fc.assert(
      fc.property(place, (cursor) => {
        const text = encodeCursor(cursor, "acme", ALL_EVENTS);
        expect(text).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(decodeCursor(text, "acme", ALL_EVENTS)).toEqual(cursor);
      }),
    );
  });

  test("with any one character changed, added or left out it is refused", () => {
    const text = encodeCursor({ timestamp: 1_795_305_600_000, id: "a.b:c-1" }, "acme", ALL_EVENTS);
    for (let at = 0; at < text.length; at++) {
      const [before, here, after] = [text.slice(0, at), text[at] ?? "", text.slice(at + 1)];
      const other = here === "A" ? "B" : "A";
      for (const changed of [before + other + after, before + after, before + here + other + after]) {
        expect(decodeCursor(changed, "acme", ALL_EVENTS)).toBeNull();
      }
    }
  });

  test("is refused for another tenant and for every other query, but not when a list has another order", () => {
    const query = { ...ALL_EVENTS, types: ["a", "b"], fromMs: 5 };
    const text = encodeCursor({ timestamp: 7, id: "x" }, "acme", query);
    expect(decodeCursor(text, "acme", { ...query, types: ["b", "a"] })).not.toBeNull();
    expect(decodeCursor(text, "other", query)).toBeNull();
    const others = [
      { order: "asc" },
      { fromMs: 6 },
      { toMs: 9 },
      { types: ["a"] },
      { sources: ["a"] },
      { userIds: ["a"] },
      { sessionIds: ["a"] },
      { correlationIds: ["a"] },
      { severities: ["low"] },
      { tags: ["a"] },
      { ids: ["a"] },
    ] as const;
    for (const other of others) expect(decodeCursor(text, "acme", { ...query, ...other })).toBeNull();
  });

  test("any other text is refused", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String()), (text) => decodeCursor(text, "acme", ALL_EVENTS) === null),
    );
  });
});
