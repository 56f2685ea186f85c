import { describe, expect, test } from "vitest";
import { envoyLimit } from "../../sim/peers/envoy-gradient.ts";
import { NetflixAimd } from "../../sim/peers/netflix-aimd.ts";
import { NetflixGradient2 } from "../../sim/peers/netflix-gradient2.ts";
import { NetflixVegas } from "../../sim/peers/netflix-vegas.ts";

function vegasAfter(...rttsMs: number[]): number {
  const limit = new NetflixVegas({ initialLimit: 10, maxLimit: 20 });
  for (const rttMs of rttsMs) limit.update(rttMs, 10, false);
  return limit.limit;
}

describe("our implementation of Netflix VegasLimit (VegasLimitTest)", () => {
  test("increases from 10 to 16 when the round trip stays at 10 ms", () => {
    expect(vegasAfter(10, 10)).toBe(16);
  });

  test("decreases from 10 to 9 at 50 ms", () => {
    expect(vegasAfter(10, 50)).toBe(9);
  });

  test("stays at 10 at 14 ms", () => {
    expect(vegasAfter(10, 14)).toBe(10);
  });

  test("with smoothing of a half and halving comes from 100 to 75 and 56", () => {
    const settings = { initialLimit: 100, maxLimit: 200, smoothing: 0.5, decrease: (limit: number) => limit / 2 };
    const limit = new NetflixVegas(settings);
    limit.update(10, 100, false);
    limit.update(20, 100, false);
    expect(limit.limit).toBe(75);
    limit.update(20, 100, false);
    expect(limit.limit).toBe(56);
  });
});

test("our implementation of Netflix Gradient2Limit follows the computed vector: ten times 100 ms, ten times 300 ms", () => {
  const limit = new NetflixGradient2({ initialLimit: 100 });
  const limits: number[] = [];
  for (let sample = 0; sample < 20; sample++) {
    limit.update(sample < 10 ? 100 : 300, 100);
    limits.push(limit.limit);
  }
  expect(limits.slice(0, 10)).toEqual([100, 101, 102, 103, 104, 104, 105, 106, 107, 108]);
  expect(limits.slice(10)).toEqual([98, 89, 81, 74, 67, 62, 56, 52, 48, 44]);
  expect(limit.estimate).toBeCloseTo(44.518, 4);
  expect(limit.longRttMs).toBeCloseTo(106.5568, 4);
});

test("our implementation of Envoy's gradient controller follows the computed vector from a limit of 100 at 10 ms", () => {
  const limits: number[] = [];
  let limit = 100;
  for (const sampleMs of [10, 10, 12.5, 25, 50, 10]) {
    limit = envoyLimit(limit, 10, sampleMs);
    limits.push(limit);
  }
  expect(limits).toEqual([136, 183, 196, 107, 60, 83]);
});

describe("our implementation of Netflix AIMDLimit (AIMDLimitTest)", () => {
  test("goes from 10 to 11 upon success", () => {
    const limit = new NetflixAimd({ initialLimit: 10, minLimit: 1 });
    limit.update(1, 10, false);
    expect(limit.limit).toBe(11);
  });

  test("goes from 30 to 27 upon a drop", () => {
    const limit = new NetflixAimd({ initialLimit: 30 });
    limit.update(1, 30, true);
    expect(limit.limit).toBe(27);
  });
});
