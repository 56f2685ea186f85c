import { describe, expect, test } from "vitest";
import { BUSY_PER_SECOND, TELL_BUSY_EVERY_MS, TELL_EVERY_MS, TellPace } from "../../../core/patterns/tell-pace.ts";

/** Tells as soon as it may, while so many events are counted a second, in steps of 50 ms. @returns the pauses, ms */
function pauses(perSecond: number, steps: number): number[] {
  const pace = new TellPace();
  const told: number[] = [];
  for (let nowMs = 0; nowMs < steps * 50; nowMs += 50) {
    pace.counted(perSecond / 20);
    if (pace.waitMs(nowMs) > 0) continue;
    pace.told(nowMs);
    told.push(nowMs);
  }
  return told.slice(1).map((at, k) => at - (told[k] ?? 0));
}

describe("how often keepers are told", () => {
  test("at once the first time, however much was counted before", () => {
    const pace = new TellPace();
    pace.counted(1_000_000);
    expect(pace.waitMs(0)).toBe(0);
    pace.told(0);
    expect(pace.waitMs(0)).toBe(TELL_EVERY_MS);
    expect(pace.waitMs(100)).toBe(TELL_EVERY_MS - 100);
  });

  test("four times a second up to so many events, and once a second beyond, as long as they come", () => {
    expect(new Set(pauses(BUSY_PER_SECOND, 100))).toEqual(new Set([TELL_EVERY_MS]));
    expect(new Set(pauses(BUSY_PER_SECOND + 1_000, 100).slice(1))).toEqual(new Set([TELL_BUSY_EVERY_MS]));
  });

  test("soon again once fewer come, and after a pause", () => {
    const pace = new TellPace();
    pace.told(0);
    pace.counted(10_000);
    pace.told(250);
    expect(pace.waitMs(250)).toBe(TELL_BUSY_EVERY_MS);
    pace.counted(10_000);
    pace.told(1_250);
    expect(pace.waitMs(1_250)).toBe(TELL_EVERY_MS);
    expect(pace.waitMs(60_000)).toBe(0);
  });
});
