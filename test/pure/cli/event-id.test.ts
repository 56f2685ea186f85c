import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OccurrenceCounter, lineEventId } from "../../../cli/ship/event-id.ts";
import { uuidv7Time } from "../../../core/events/uuid.ts";

const TIME = Date.parse("2015-05-17T10:05:03Z");
/** The platform's rule for ids. */
const ID = /^[A-Za-z0-9._:-]{1,64}$/;

describe("the id of a line's event", () => {
  test("is the same for the same line, whenever it is made", () => {
    expect(lineEventId("shop", "a line", 0, TIME)).toBe(lineEventId("shop", "a line", 0, TIME));
    // Pinned: another id for the same line would count every shipped event twice.
    expect(lineEventId("shop", "a line", 0, TIME)).toBe("014d6155-8098-7c91-bab7-eb13fce48e25");
  });

  test("is a UUIDv7 of the line's own time", () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), fc.integer({ min: 0, max: 2 ** 48 - 1 }), (line, occurrence, time) => {
        expect(uuidv7Time(lineEventId("shop", line, occurrence, time))).toBe(time);
      }),
    );
  });

  test("differs by source, text, occurrence and time", () => {
    const ids = [
      lineEventId("shop", "a line", 0, TIME),
      lineEventId("blog", "a line", 0, TIME),
      lineEventId("shop", "another", 0, TIME),
      lineEventId("shop", "a line", 1, TIME),
      lineEventId("shop", "a line", 0, TIME + 1),
      lineEventId("sho", "pa line", 0, TIME),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("of a line without a time is hexadecimal and claims no time", () => {
    const id = lineEventId("shop", "a line", 0, null);
    expect(id).toMatch(ID);
    expect(uuidv7Time(id)).toBeNull();
  });
});

describe("counting occurrences", () => {
  test("agrees with a map, also while the table grows", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 2 }), { maxLength: 300 }), (lines) => {
        const counter = new OccurrenceCounter(2);
        const seen = new Map<string, number>();
        for (const line of lines) {
          expect(counter.count(line)).toBe(seen.get(line) ?? 0);
          seen.set(line, (seen.get(line) ?? 0) + 1);
        }
      }),
    );
  });
});
