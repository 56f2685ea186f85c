import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MuteCalendar, muteTimesSchema } from "../../../core/alerts/mute-times.ts";

const MINUTE = 60_000;
const calendar = (...times: readonly unknown[]): MuteCalendar => new MuteCalendar(muteTimesSchema.parse(times));
const at = (text: string): number => Date.parse(text);

describe("mute times", () => {
  const nights = calendar({ from: "22:00", to: "06:00", timezone: "Europe/Berlin", days: ["fri"] });

  test.each([
    ["2026-11-20T21:59:00+01:00", false],
    ["2026-11-20T22:00:00+01:00", true],
    ["2026-11-21T05:59:59+01:00", true],
    ["2026-11-21T06:00:00+01:00", false],
    ["2026-11-21T23:00:00+01:00", false],
  ])("a night belongs to the day it begins on: %s %s", (text, muted) => expect(nights.isMuted(at(text))).toBe(muted));

  test("a range that runs over the week's end", () => {
    const sunday = calendar({ from: "22:00", to: "06:00", timezone: "UTC", days: ["sun"] });
    expect(sunday.isMuted(at("2026-11-23T03:00:00Z"))).toBe(true);
    expect(sunday.nextChange(at("2026-11-23T03:00:30Z"))).toBe(at("2026-11-23T06:00:00Z"));
  });

  test("whole days by default", () => {
    const weekend = calendar({ days: ["sat", "sun"], timezone: "UTC" });
    expect(weekend.isMuted(at("2026-11-22T23:59:59Z"))).toBe(true);
    expect(weekend.isMuted(at("2026-11-23T00:00:00Z"))).toBe(false);
  });

  test("local time is kept when the clocks change", () => {
    const night = calendar({ from: "00:00", to: "06:00", timezone: "Europe/Berlin" });
    // On 29 March 2026 the clock goes from 02:00 to 03:00, on 25 October from 03:00 back to 02:00.
    expect(night.isMuted(at("2026-03-29T03:59:00Z"))).toBe(true);
    expect(night.isMuted(at("2026-03-29T04:00:00Z"))).toBe(false);
    expect(night.isMuted(at("2026-10-25T04:59:00Z"))).toBe(true);
    expect(night.isMuted(at("2026-10-25T05:00:00Z"))).toBe(false);
  });

  test.each([
    [{ from: "9:00", timezone: "UTC" }],
    [{ from: "10:00", to: "10:00", timezone: "UTC" }],
    [{ from: "24:00", to: "00:00", timezone: "UTC" }],
    [{ days: [], timezone: "UTC" }],
    [{ timezone: "+01:00" }],
    [{}],
  ])("%j is refused", (time) => expect(muteTimesSchema.safeParse([time]).success).toBe(false));
});

test("nothing changes before the time that is said to be the next change, in any zone and season", () => {
  const time = fc
    .nat(1_439)
    .map((minute) => `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`);
  const days = fc.uniqueArray(fc.constantFrom("mon", "tue", "wed", "thu", "fri", "sat", "sun"), { minLength: 1 });
  const zone = fc.constantFrom("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu");
  // Around both changes of the clock in either half of the world.
  const start = fc.constantFrom("2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31", "2026-06-15");
  const property = fc.property(time, time, days, zone, start, fc.nat(2_000), (from, to, on, timezone, day, offset) => {
    fc.pre(from !== to);
    const mutes = calendar({ from, to, days: on, timezone });
    const begin = at(`${day}T00:00:00Z`) + offset * MINUTE;
    const change = mutes.nextChange(begin) ?? 0;
    expect(change).toBeGreaterThan(begin);
    for (let minute = begin; minute < Math.min(change, begin + 3_000 * MINUTE); minute += 7 * MINUTE) {
      expect(mutes.isMuted(minute)).toBe(mutes.isMuted(begin));
    }
    expect(mutes.isMuted(Math.max(begin, change - 1))).toBe(mutes.isMuted(begin));
  });
  fc.assert(property, { numRuns: 60 });
});
