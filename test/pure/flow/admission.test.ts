import { describe, expect, test } from "vitest";
import { Admission, type AdmissionLimit, TARGET_WAIT_MS } from "../../../core/flow/admission.ts";
import { admittedRate, TRICKLE_PER_SECOND } from "../../../core/flow/admitted-rate.ts";
import { FLOW_ALGORITHMS } from "../../../core/flow/index.ts";
import { over, runPlatform } from "../../sim/platform.ts";

const half = (): number => 0.5;
const SEEDS = [1, 2, 3];
const CAPACITY = 100_000;
const steady = (): number => CAPACITY;

/** Keeps `inFlight` events on their way at `rate` for three seconds, up to 1,000. */
function drive(admission: Admission, rate: number, inFlight: number, ageMs: number): void {
  admission.accepted(inFlight + 1, -2_000);
  // One message that found no queue: what it took is what the others are measured by.
  admission.applied(1, 0, -2_000);
  for (let nowMs = -1_900; nowMs <= 1_000; nowMs += 100) {
    admission.accepted(rate / 10, nowMs);
    admission.applied(rate / 10, ageMs, nowMs);
    admission.limit(nowMs);
  }
}

/** Events per second let in when timers fire late and so many of each ten requests are turned away. */
function rateWhenLate(refused: number): number {
  const admission = new Admission("adaptive", -2_000, half);
  drive(admission, 20_000, 0, 300);
  for (let n = 0; n < 20; n++) {
    admission.turnedAway(refused, 10, 1_000);
    admission.lagged(100, 1_000);
  }
  return admission.limit(1_000).ratePerSecond ?? Infinity;
}

describe("admission", () => {
  test("without a queue nothing is limited", () => {
    const admission = new Admission("adaptive", -2_000, half);
    drive(admission, 200_000, 0, 5);
    expect(admission.limit(1_000)).toMatchObject({ isPressed: false, ratePerSecond: null });
  });

  test("with a queue the rate is what is applied, less when more is in flight than the window", () => {
    const admission = new Admission("adaptive", -2_000, half);
    drive(admission, 20_000, 30_000, 600);
    const { isPressed, ratePerSecond, capacityPerSecond } = admission.limit(1_000);
    expect(isPressed).toBe(true);
    expect(capacityPerSecond).toBeCloseTo(20_000, -3);
    expect(ratePerSecond).toBeLessThan(20_000);
  });

  test("messages of twice the target age close the door", () => {
    const admission = new Admission("adaptive", -2_000, half);
    drive(admission, 20_000, 0, 2 * TARGET_WAIT_MS);
    expect(admission.limit(1_000).ratePerSecond).toBe(0);
  });

  test("a trickle is let in whatever messages wait: its few events did not make the queue", () => {
    const admission = new Admission("adaptive", -2_000, half);
    drive(admission, 20, 0, 5 * TARGET_WAIT_MS);
    expect(admission.limit(1_000)).toMatchObject({ isPressed: true, ratePerSecond: 0 });
    expect(admittedRate(admission.limit(1_000), null)).toBe(TRICKLE_PER_SECOND);
    admission.accepted(2_000, 1_000);
    expect(admittedRate(admission.limit(1_000), null)).toBe(0);
  });

  test("opens again a second after the queue has gone", () => {
    const admission = new Admission("adaptive", -2_000, half);
    drive(admission, 20_000, 0, 2 * TARGET_WAIT_MS);
    admission.applied(0, 5, 1_100);
    expect(admission.limit(1_200).isPressed).toBe(true);
    expect(admission.limit(2_300)).toMatchObject({ isPressed: false, ratePerSecond: null });
  });

  test("stays limited while producers are turned away: they would be back at once", () => {
    const admission = new Admission("adaptive", -2_000, half);
    drive(admission, 20_000, 0, 2 * TARGET_WAIT_MS);
    admission.applied(0, 5, 1_100);
    admission.limit(1_200);
    for (let nowMs = 1_500; nowMs < 10_000; nowMs += 500) admission.turnedAway(1, 10, nowMs);
    expect(admission.limit(10_000).isPressed).toBe(true);
  });

  test("late timers of an isolate lower the rate in a flood, and not of one who is hardly turned away", () => {
    expect(rateWhenLate(8)).toBe(0);
    expect(rateWhenLate(2)).toBeGreaterThan(20_000);
  });

  test("a capacity survives a restart, and so does the controller", () => {
    const before = new Admission("aimd", -2_000, half);
    drive(before, 20_000, 30_000, 600);
    const snapshot = JSON.parse(JSON.stringify(before.snapshot())) as ReturnType<Admission["snapshot"]>;
    const after = new Admission("aimd", 50_000, half, 30_000, snapshot);
    expect(after.snapshot()).toEqual(before.snapshot());
    expect(after.limit(50_000)).toMatchObject({ inFlight: 30_000 });
  });

  test("a snapshot of another algorithm or of nonsense counts for its capacity", () => {
    const snapshot = new Admission("aimd", 0, half).snapshot();
    const other = new Admission("bbr", 0, half, 0, { ...snapshot, capacityPerSecond: 123 });
    expect(other.limit(0).capacityPerSecond).toBe(123);
    const broken = { ...snapshot, controller: { ...snapshot.controller, clockMs: Number.NaN } };
    expect(() => new Admission("aimd", 0, half, 0, broken)).not.toThrow();
  });

  test("refusals of an object make the window smaller, down to what keeps it busy", () => {
    const admission = new Admission("aimd", -2_000, half);
    drive(admission, 20_000, 30_000, 600);
    const before = admission.limit(1_000).window;
    for (let n = 1; n < 50; n++) {
      admission.accepted(2_000, 1_000 + n * 100);
      admission.refused(5, 1_000 + n * 100);
    }
    const { window, capacityPerSecond } = admission.limit(6_000);
    expect(window).toBeLessThanOrEqual(before);
    expect(window).toBeGreaterThanOrEqual(capacityPerSecond * 0.2);
  });

  test("a guaranteed part is let in whatever the own path says, unless as much as a second of it is in flight", () => {
    const limit: AdmissionLimit = {
      isPressed: true,
      ratePerSecond: 100,
      window: 1_000,
      inFlight: 5_000,
      oldestAgeMs: 300,
      waitMs: 300,
      longestWaitMs: 300,
      lagMs: 0,
      capacityPerSecond: 10_000,
    };
    expect(admittedRate(limit, { guaranteed: 9_000, atMost: null })).toBe(9_000);
    expect(admittedRate({ ...limit, inFlight: 9_001 }, { guaranteed: 9_000, atMost: null })).toBe(100);
    expect(admittedRate({ ...limit, ratePerSecond: 50_000 }, { guaranteed: 9_000, atMost: 12_000 })).toBe(12_000);
    expect(admittedRate({ ...limit, ratePerSecond: null }, { guaranteed: 9_000, atMost: 12_000 })).toBeNull();
    expect(admittedRate(limit, null)).toBe(100);
  });
});

describe("a simulated platform", () => {
  test.each(SEEDS)("normal traffic of two tenants, 85 percent of the capacity, is never limited (seed %i)", (seed) => {
    const tenants = [{ offers: () => 60_000 }, { offers: () => 25_000 }];
    for (const outcome of runPlatform({ seed, durationMs: 20_000, capacity: steady, tenants }))
      expect(over(outcome, 0, 20_000).refused).toBe(0);
  });

  test.each(SEEDS)("bursts that are served within a quarter of a second are let through (seed %i)", (seed) => {
    const tenants = [{ offers: (atMs: number) => (atMs % 5_000 < 300 ? 150_000 : 0) }];
    const [outcome] = runPlatform({ seed, durationMs: 20_000, capacity: steady, tenants });
    expect(outcome && over(outcome, 0, 20_000).refused).toBe(0);
  });

  test.each(SEEDS)("a flood of three times the capacity is cut to it, and messages stay young (seed %i)", (seed) => {
    const [outcome] = runPlatform({
      seed,
      durationMs: 20_000,
      capacity: steady,
      tenants: [{ offers: (atMs) => (atMs < 2_000 ? 20_000 : 300_000) }],
    });
    if (outcome === undefined) throw new Error("no outcome");
    expect(over(outcome, 2_000, 5_000).oldestAgeMs).toBeLessThan(TARGET_WAIT_MS);
    const later = over(outcome, 5_000, 20_000);
    expect(later.applied).toBeGreaterThan(0.97 * CAPACITY);
    expect(later.oldestAgeMs).toBeLessThan(400);
  });

  test.each(FLOW_ALGORITHMS)("%s keeps the flood's messages below the target age", (algorithm) => {
    const tenants = [{ offers: (atMs: number) => (atMs < 1_000 ? 1_000 : 300_000) }, { offers: () => 40_000 }];
    for (const outcome of runPlatform({ seed: 1, durationMs: 20_000, capacity: steady, tenants, algorithm })) {
      const later = over(outcome, 3_000, 20_000);
      expect(later.oldestAgeMs).toBeLessThan(TARGET_WAIT_MS);
    }
  });

  test.each(SEEDS)(
    "beside a flood one who wants less than his part gets 95 percent of what he wants (seed %i)",
    (seed) => {
      const tenants = [{ offers: (atMs: number) => (atMs < 2_000 ? 0 : 260_000) }, { offers: () => 40_000 }];
      const [flood, modest] = runPlatform({ seed, durationMs: 30_000, capacity: steady, tenants }).map((outcome) =>
        over(outcome, 2_000, 30_000),
      );
      expect(modest?.admitted).toBeGreaterThan(0.95 * 40_000);
      expect((flood?.applied ?? 0) + (modest?.applied ?? 0)).toBeGreaterThan(0.95 * CAPACITY);
    },
  );

  test.each(SEEDS)("two floods share by weight (seed %i)", (seed) => {
    const tenants = [{ offers: () => 200_000, weight: 3 }, { offers: () => 200_000 }];
    const [heavy, light] = runPlatform({ seed, durationMs: 30_000, capacity: steady, tenants }).map((outcome) =>
      over(outcome, 5_000, 30_000),
    );
    const part = (heavy?.applied ?? 0) / ((heavy?.applied ?? 0) + (light?.applied ?? 0));
    expect(part).toBeGreaterThan(0.7);
    expect(part).toBeLessThan(0.8);
  });

  test.each(SEEDS)("many isolates hold no more back and let no more through than one (seed %i)", (seed) => {
    const tenants = [
      { offers: () => 300_000, isolates: 10 },
      { offers: () => 40_000, isolates: 10 },
    ];
    const [flood, modest] = runPlatform({ seed, durationMs: 30_000, capacity: steady, tenants }).map((outcome) =>
      over(outcome, 5_000, 30_000),
    );
    expect(modest?.admitted).toBeGreaterThan(0.95 * 40_000);
    expect((flood?.applied ?? 0) + (modest?.applied ?? 0)).toBeGreaterThan(0.95 * CAPACITY);
    expect(flood?.oldestAgeMs).toBeLessThan(TARGET_WAIT_MS);
  });

  test.each(SEEDS)(
    "a queue that takes 0.8 s anyway is no pressure, and a flood adds a second at most (seed %i)",
    (seed) => {
      const settings = { seed, capacity: steady, queueDelayMs: 800 };
      const calm = [{ offers: () => 60_000 }, { offers: (atMs: number) => (atMs % 10_000 < 5_000 ? 25_000 : 1_000) }];
      for (const outcome of runPlatform({ ...settings, durationMs: 20_000, tenants: calm }))
        expect(over(outcome, 0, 20_000).refused).toBe(0);
      const tenants = [{ offers: (atMs: number) => (atMs < 5_000 ? 20_000 : 300_000) }];
      const [outcome] = runPlatform({ ...settings, durationMs: 30_000, tenants });
      const later = outcome && over(outcome, 8_000, 30_000);
      expect(later?.applied).toBeGreaterThan(0.95 * CAPACITY);
      expect(later?.oldestAgeMs).toBeLessThan(800 + TARGET_WAIT_MS);
    },
  );

  test("a flood of five minutes does not get used to its queue", () => {
    const tenants = [{ offers: () => 300_000 }, { offers: () => 20_000 }];
    for (const outcome of runPlatform({ seed: 1, capacity: steady, durationMs: 300_000, tenants }))
      expect(over(outcome, 280_000, 300_000).oldestAgeMs).toBeLessThan(TARGET_WAIT_MS);
  });

  test.each(SEEDS)("a capacity that falls to a third is followed, and back (seed %i)", (seed) => {
    const capacity = (atMs: number): number => (atMs < 10_000 || atMs >= 20_000 ? CAPACITY : 30_000);
    const tenants = [{ offers: () => 300_000 }, { offers: () => 10_000 }];
    const [flood, modest] = runPlatform({ seed, durationMs: 30_000, capacity, tenants });
    if (flood === undefined || modest === undefined) throw new Error("no outcome");
    expect(over(flood, 10_000, 14_000).oldestAgeMs).toBeLessThan(2.2 * TARGET_WAIT_MS);
    expect(over(flood, 14_000, 20_000).oldestAgeMs).toBeLessThan(TARGET_WAIT_MS);
    expect(over(modest, 14_000, 20_000).admitted).toBeGreaterThan(0.95 * 10_000);
    expect(over(flood, 23_000, 30_000).applied).toBeGreaterThan(0.75 * CAPACITY);
  });
});
