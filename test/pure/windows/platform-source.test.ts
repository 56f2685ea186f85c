import { describe, expect, test } from "vitest";
import { MAX_SOURCES, PLATFORM_SOURCE, Sources } from "../../../core/windows/sources.ts";
import { advanceWatermark, nextIdleCheck } from "../../../core/windows/watermark.ts";

const policy = { outOfOrdernessMs: 10, idleTimeoutMs: 1000 };

/** @param heard [name, newest event and its receipt] */
function sourcesOf(...heard: (readonly [string, number])[]): Sources {
  const sources = new Sources();
  for (const [name, at] of heard) Object.assign(sources.of(name), { newest: at, lastReceived: at });
  return sources;
}

describe("the platform's own source", () => {
  test("neither starts a watermark, nor holds it back, nor moves it", () => {
    expect(advanceWatermark(-Infinity, sourcesOf([PLATFORM_SOURCE, 500]), policy, -Infinity)).toBe(-Infinity);
    const both = sourcesOf([PLATFORM_SOURCE, 500], ["shop", 900]);
    expect(advanceWatermark(-Infinity, both, policy, -Infinity)).toBe(890);
    const ahead = sourcesOf([PLATFORM_SOURCE, 5000], ["shop", 900]);
    expect(advanceWatermark(-Infinity, ahead, policy, -Infinity)).toBe(890);
  });

  test("puts off no idle check", () => {
    const both = sourcesOf([PLATFORM_SOURCE, 5000], ["shop", 900]);
    expect(nextIdleCheck(both, policy, -Infinity, 890, 950)).toBe(1900);
    expect(advanceWatermark(890, both, policy, 3000)).toBe(2990);
  });

  test("is apart also from the many sources that share one entry", () => {
    const sources = new Sources();
    for (let k = 0; k < MAX_SOURCES + 5; k++) sources.of(`s${k}`);
    expect(sources.of("one more")).toBe(sources.at(0));
    expect(sources.of(PLATFORM_SOURCE).name).toBe(PLATFORM_SOURCE);
    expect(new Sources(sources.toJSON()).of(PLATFORM_SOURCE).name).toBe(PLATFORM_SOURCE);
  });
});
