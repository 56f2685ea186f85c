import { describe, expect, test } from "vitest";
import { Agenda } from "../../sim/agenda.ts";
import type { Limiter } from "../../sim/limiter.ts";
import { ours } from "../../sim/limiters.ts";
import { jainIndex } from "../../sim/meter.ts";
import { seededRandom } from "../../sim/random.ts";
import { type Experiment, run } from "../../sim/run.ts";

const nothing = (): void => undefined;

/** A window that never changes, so that Little's law tells what must come out. */
function fixed(window: number, pacingRatePerSecond = Infinity): () => Limiter {
  return () => ({
    window,
    pacingRatePerSecond,
    send: () => ({ acked: nothing, rejected: nothing, ignored: nothing }),
  });
}

const PATH = { kind: "bottleneck", ratePerSecond: 1_000, baseRttMs: 50, queue: 50 } as const;
const REFERENCE: Experiment = {
  seed: 1,
  path: PATH,
  flows: [{ startMs: 0 }],
  durationMs: 20_000,
  countFromMs: 5_000,
};

function jitteredThroughput(kind: "uniform" | "exponential"): number {
  const path = { ...PATH, ratePerSecond: 1e6, jitter: { kind, part: 0.2 } };
  return run({ ...REFERENCE, path }, fixed(10)).throughput;
}

describe("the bottleneck", () => {
  test("serves window / (base + service) below its capacity, without a queue", () => {
    const result = run(REFERENCE, fixed(25));
    expect(result.utilisation).toBeCloseTo(25 / 51, 2);
    expect(result.rejects).toBe(0);
  });

  test("serves its rate beyond, and what does not fit the path waits (Little)", () => {
    const result = run(REFERENCE, fixed(81));
    expect(result.utilisation).toBeCloseTo(1, 3);
    expect(result.meanQueue).toBeCloseTo(81 - 51, 0);
    expect(result.rejects).toBe(0);
  });

  test("refuses what neither fits the path nor the queue", () => {
    const result = run(REFERENCE, fixed(111));
    expect(result.utilisation).toBeCloseTo(1, 3);
    expect(result.longestQueue).toBe(50);
    // Ten slots are always on the way to a refusal, 20 a second each.
    expect(result.rejects).toBeCloseTo(200 / 1_200, 1);
  });

  test("is left empty by a sender paced below its rate", () => {
    const result = run(REFERENCE, fixed(1_000, 900));
    expect(result.utilisation).toBeCloseTo(0.9, 3);
    expect(result.meanQueue).toBeLessThan(0.1);
  });

  test("jitter keeps the mean round trip, exponential jitter lengthens it by its part", () => {
    expect(jitteredThroughput("uniform")).toBeCloseTo(200, -0.5);
    expect(jitteredThroughput("exponential")).toBeCloseTo(10 / 0.06, -0.5);
  });

  test("follows capacity steps, and utilisation counts what could be served", () => {
    const steps = [{ atMs: 10_000, ratePerSecond: 500 }];
    const result = run({ ...REFERENCE, path: { ...PATH, steps } }, fixed(81));
    expect(result.utilisation).toBeCloseTo(1, 2);
    expect(result.meter.servedBetween(11_000, 12_000)).toBe(500);
    expect(result.meter.reaches(1_000, 5_000)).toBe(0);
    expect(result.meter.reaches(1_000, 11_000)).toBe(Infinity);
  });
});

test("one seed gives one result, another seed another", () => {
  const path = { ...PATH, jitter: { kind: "uniform", part: 0.2 } } as const;
  const result = (seed: number) => {
    const { meter, ...figures } = run({ ...REFERENCE, path, seed, durationMs: 10_000 }, ours({ algorithm: "bbr" }));
    return { ...figures, served: meter.servedInSpan };
  };
  expect(result(7)).toEqual(result(7));
  expect(result(7)).not.toEqual(result(8));
});

test("the agenda runs by time, and by order of entry at one time", () => {
  const agenda = new Agenda();
  const random = seededRandom(3);
  const ran: number[] = [];
  const times = Array.from({ length: 500 }, () => Math.floor(random() * 50));
  for (const [index, time] of times.entries()) agenda.at(time, () => ran.push(time * 1_000 + index));
  agenda.runUntil(100);
  expect(ran.length).toBe(500);
  expect(ran).toEqual([...ran].sort((one, other) => one - other));
});

test("Jain's index is 1 for equals and 1/n for one that has all", () => {
  expect(jainIndex([3, 3, 3])).toBeCloseTo(1, 12);
  expect(jainIndex([1, 0, 0, 0])).toBe(0.25);
});
