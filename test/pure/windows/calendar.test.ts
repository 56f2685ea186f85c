import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CALENDAR_UNITS, CalendarFrame, isTimeZone } from "../../../core/windows/calendar.ts";

const HOUR = 3_600_000;
const hours = (ms: number): number => ms / HOUR;
const at = (text: string): number => Date.parse(text);

/** The window that holds `time`, as RFC 3339. */
function windowOf(unit: "1d" | "1w" | "1mo", zone: string, time: string): readonly [start: string, end: string] {
  const frame = new CalendarFrame(unit, zone);
  const start = frame.startOf(at(time));
  return [new Date(start).toISOString(), new Date(frame.endOf(start)).toISOString()];
}

describe("days", () => {
  test.each([
    ["Europe/Berlin", "2026-03-29T12:00:00Z", 23],
    ["Europe/Berlin", "2026-10-25T12:00:00Z", 25],
    ["Europe/Berlin", "2026-10-26T12:00:00Z", 24],
    // Their clock moves by half an hour.
    ["Australia/Lord_Howe", "2026-04-04T20:00:00Z", 24.5],
    ["Australia/Lord_Howe", "2026-10-03T20:00:00Z", 23.5],
    ["UTC", "2026-10-25T12:00:00Z", 24],
    // Midnight is skipped: the day begins at 1 o'clock.
    ["America/Sao_Paulo", "2018-11-04T12:00:00Z", 23],
    // Midnight turns back to 23 o'clock: the day before gets the hour.
    ["America/Sao_Paulo", "2019-02-16T12:00:00Z", 25],
    ["America/Sao_Paulo", "2019-02-17T12:00:00Z", 24],
  ])("in %s the day of %s has %d hours", (zone, time, length) => {
    const [start, end] = windowOf("1d", zone, time);
    expect(hours(at(end) - at(start))).toBe(length);
  });

  test("begin at local midnight, before and after a change of the clock", () => {
    expect(windowOf("1d", "Europe/Berlin", "2026-03-28T23:00:00Z")).toEqual([
      "2026-03-28T23:00:00.000Z",
      "2026-03-29T22:00:00.000Z",
    ]);
    expect(windowOf("1d", "Europe/Berlin", "2026-03-28T22:59:59.999Z")).toEqual([
      "2026-03-27T23:00:00.000Z",
      "2026-03-28T23:00:00.000Z",
    ]);
    expect(windowOf("1d", "Australia/Lord_Howe", "2026-04-05T00:00:00Z")).toEqual([
      "2026-04-04T13:00:00.000Z",
      "2026-04-05T13:30:00.000Z",
    ]);
  });

  test("one that never was has no window: Samoa went from 29 to 31 December 2011", () => {
    expect(windowOf("1d", "Pacific/Apia", "2011-12-30T09:59:59Z")).toEqual([
      "2011-12-29T10:00:00.000Z",
      "2011-12-30T10:00:00.000Z",
    ]);
    expect(windowOf("1d", "Pacific/Apia", "2011-12-30T10:00:00Z")).toEqual([
      "2011-12-30T10:00:00.000Z",
      "2011-12-31T10:00:00.000Z",
    ]);
  });

  test("an hour told twice around midnight belongs to the day that had begun: Newfoundland went from 0:01 back to 23:01", () => {
    const [start, end] = windowOf("1d", "America/St_Johns", "2010-11-07T12:00:00Z");
    expect([start, end]).toEqual(["2010-11-07T02:30:00.000Z", "2010-11-08T03:30:00.000Z"]);
    expect(windowOf("1d", "America/St_Johns", "2010-11-07T02:45:00Z")).toEqual([start, end]);
  });
});

describe("weeks and months", () => {
  test("a week begins on Monday, also across a new year and a change of the clock", () => {
    expect(windowOf("1w", "Europe/Berlin", "2026-03-29T12:00:00Z")).toEqual([
      "2026-03-22T23:00:00.000Z",
      "2026-03-29T22:00:00.000Z",
    ]);
    expect(windowOf("1w", "UTC", "2027-01-01T00:00:00Z")).toEqual([
      "2026-12-28T00:00:00.000Z",
      "2027-01-04T00:00:00.000Z",
    ]);
  });

  test("a month begins on its first day and has as many hours as it has", () => {
    expect(windowOf("1mo", "Europe/Berlin", "2026-03-31T21:59:59Z")).toEqual([
      "2026-02-28T23:00:00.000Z",
      "2026-03-31T22:00:00.000Z",
    ]);
    expect(windowOf("1mo", "UTC", "2024-02-29T12:00:00Z")).toEqual([
      "2024-02-01T00:00:00.000Z",
      "2024-03-01T00:00:00.000Z",
    ]);
    expect(windowOf("1mo", "Australia/Lord_Howe", "2026-12-31T13:00:00Z")).toEqual([
      "2026-12-31T13:00:00.000Z",
      "2027-01-31T13:00:00.000Z",
    ]);
  });
});

test("in every zone windows follow each other without gap, each beginning as its date does", () => {
  const zones = Intl.supportedValuesOf("timeZone");
  const clocks = new Map(zones.map((zone) => [zone, new Intl.DateTimeFormat("sv-SE", { timeZone: zone })]));
  const date = (zone: string, time: number): string => clocks.get(zone)?.format(time) ?? "";
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.constantFrom(...CALENDAR_UNITS),
      fc.integer({ min: at("1990-01-01T00:00:00Z"), max: at("2040-01-01T00:00:00Z") }),
      (zone, unit, time) => {
        const frame = new CalendarFrame(unit, zone);
        const start = frame.startOf(time);
        const end = frame.endOf(start);
        expect(start <= time && time < end).toBe(true);
        expect([frame.startOf(start), frame.startOf(end - 1), frame.startOf(end)]).toEqual([start, start, end]);
        expect(new CalendarFrame(unit, zone).startOf(end)).toBe(end);
        // Swedish dates are year-month-day, so text order is their order.
        expect(date(zone, start) > date(zone, start - 1000)).toBe(true);
        const [year, month, day] = date(zone, start).split("-").map(Number);
        const weekday = new Date(Date.UTC(year ?? 0, (month ?? 0) - 1, day)).getUTCDay();
        if (unit === "1w") expect([zone, weekday]).toEqual([zone, 1]);
        if (unit === "1mo") expect(day).toBe(1);
      },
    ),
    { numRuns: 1000 },
  );
});

test("zones are known by their names only", () => {
  expect(["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"].every(isTimeZone)).toBe(true);
  expect(["", "+01:00", "Berlin", "Europe/Bärlin", "Mars/Olympus"].some(isTimeZone)).toBe(false);
});
