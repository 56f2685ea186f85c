import { describe, expect, test } from "vitest";
import { CAPACITY_REPORT_MS, CapacityLedger } from "../../../core/flow/capacity.ts";

const flood = { demand: Infinity, applied: 60_000, weight: 1, waitMs: 200 };
const modest = { demand: 40_000, applied: 40_000, weight: 1, waitMs: 200 };

describe("the shared capacity", () => {
  test("one tenant alone has nine tenths guaranteed and no upper bound", () => {
    const ledger = new CapacityLedger();
    expect(ledger.report("a", flood, 0)).toEqual({ guaranteed: 54_000, atMost: null });
  });

  test("one who wants less than his part is not bounded, and a flooder gets what that leaves", () => {
    const ledger = new CapacityLedger();
    ledger.report("flood", flood, 0);
    expect(ledger.report("modest", modest, 1)).toEqual({ guaranteed: 45_000, atMost: null });
    expect(ledger.report("flood", flood, 2)).toEqual({ guaranteed: 45_000, atMost: 65_000 });
  });

  test("two that want everything get it by weight", () => {
    const ledger = new CapacityLedger();
    ledger.report("a", { ...flood, weight: 3 }, 0);
    const share = ledger.report("b", { ...flood, applied: 40_000 }, 1);
    expect(share?.guaranteed).toBeCloseTo(22_500);
    expect(share?.atMost).toBeCloseTo(26_250);
  });

  test("without a queue more may be tried", () => {
    const ledger = new CapacityLedger();
    ledger.report("a", { ...flood, waitMs: 0 }, 0);
    expect(ledger.report("b", { ...flood, waitMs: 0 }, 1)?.atMost).toBe(90_000);
  });

  test("a tenant that is silent for three seconds is under no pressure any more", () => {
    const ledger = new CapacityLedger();
    ledger.report("a", flood, 0);
    expect(ledger.figures(CAPACITY_REPORT_MS)).toEqual({ tenants: 1, capacityPerSecond: 60_000 });
    expect(ledger.report("b", modest, CAPACITY_REPORT_MS + 1)).toMatchObject({ guaranteed: 36_000 });
  });

  test("tenants beyond the ten thousand that are followed are told of no share", () => {
    const ledger = new CapacityLedger();
    for (let n = 0; n < 10_000; n++) ledger.report(`t${n}`, { ...modest, applied: 1 }, 0);
    expect(ledger.report("one more", modest, 0)).toBeNull();
  }, 60_000);
});
