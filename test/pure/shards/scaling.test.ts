import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BUSY_EVENTS_PER_SECOND,
  calm,
  type LoadReading,
  QUIET_EVENTS_PER_SECOND,
  QUIET_FOR_MS,
  READ_EVERY_MS,
  scale,
  type Scaling,
} from "../../../core/windows/scaling.ts";
import { MAX_SHARDS } from "../../../core/windows/slot-map.ts";

/** A tenant whose events spread evenly, read every `READ_EVERY_MS`. */
class Tenant {
  count: number;
  scaling: Scaling;
  now = 0;
  readonly changes: { readonly at: number; readonly from: number; readonly to: number }[] = [];

  constructor(count = 1, mode: "auto" | "manual" = "auto") {
    this.count = count;
    this.scaling = calm(mode);
  }

  read(reading: LoadReading, isMoving = false): void {
    this.now += READ_EVERY_MS;
    const { next, count } = scale(this.scaling, reading, this.count, isMoving, this.now);
    this.scaling = next;
    if (count === null) return;
    this.changes.push({ at: this.now, from: this.count, to: count });
    this.count = count;
  }

  /** A steady load for so long. */
  run(total: number, ms: number, overloads = 0): void {
    for (const until = this.now + ms; this.now < until;) this.read({ total, busiest: total / this.count, overloads });
  }
}

const MINUTE = 60_000;

describe("how many shards a tenant has", () => {
  test("doubles after a minute of too much, and again as long as it is too much", () => {
    const tenant = new Tenant();
    tenant.run(3.5 * BUSY_EVENTS_PER_SECOND, 10 * MINUTE);
    expect(tenant.changes).toEqual([
      { at: MINUTE, from: 1, to: 2 },
      { at: 2 * MINUTE, from: 2, to: 4 },
    ]);
  });

  test("doubles when objects turn calls away, however few events there are", () => {
    const tenant = new Tenant(2);
    tenant.run(100, MINUTE, 3);
    expect(tenant.count).toBe(4);
  });

  test("stays when the load is short, or comes and goes", () => {
    const tenant = new Tenant();
    for (let k = 0; k < 50; k++) {
      tenant.run(5 * BUSY_EVENTS_PER_SECOND, 3 * READ_EVERY_MS);
      tenant.run(100, 3 * READ_EVERY_MS);
    }
    expect(tenant.changes).toEqual([]);
  });

  test("one busy shard among idle ones is enough to grow", () => {
    const tenant = new Tenant(4);
    for (let k = 0; k < 4; k++)
      tenant.read({ total: BUSY_EVENTS_PER_SECOND + 1, busiest: BUSY_EVENTS_PER_SECOND + 1, overloads: 0 });
    expect(tenant.count).toBe(8);
  });

  test("never passes the most there may be", () => {
    const tenant = new Tenant(12);
    tenant.run(1e9, 60 * MINUTE);
    expect(tenant.count).toBe(MAX_SHARDS);
  });

  test("halves after half an hour of quiet, and not sooner", () => {
    const tenant = new Tenant(4);
    tenant.run(100, QUIET_FOR_MS - MINUTE);
    expect(tenant.count).toBe(4);
    tenant.run(100, 2 * MINUTE);
    expect(tenant.count).toBe(2);
    tenant.run(0, 3 * QUIET_FOR_MS);
    expect(tenant.count).toBe(1);
  });

  test("begins to count quiet anew after any reading that was not", () => {
    const tenant = new Tenant(2);
    tenant.run(100, QUIET_FOR_MS - MINUTE);
    tenant.read({ total: 2 * QUIET_EVENTS_PER_SECOND, busiest: QUIET_EVENTS_PER_SECOND, overloads: 0 });
    tenant.run(100, QUIET_FOR_MS - MINUTE);
    expect(tenant.changes).toEqual([]);
  });

  test("decides nothing while slots move, and waits its full time afterwards", () => {
    const tenant = new Tenant();
    for (let k = 0; k < 20; k++) tenant.read({ total: 1e6, busiest: 1e6, overloads: 9 }, true);
    expect(tenant.changes).toEqual([]);
    tenant.run(1e6, MINUTE);
    expect(tenant.changes).toHaveLength(1);
  });

  test("is left alone in manual mode", () => {
    const tenant = new Tenant(4, "manual");
    tenant.run(1e6, 10 * MINUTE, 5);
    tenant.run(0, 3 * QUIET_FOR_MS);
    expect(tenant.changes).toEqual([]);
  });

  test("does not swing: under a steady load of any size it settles and stays", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000 }), fc.constantFrom(1, 2, 4, 8, 16), (total, count) => {
        const tenant = new Tenant(count);
        tenant.run(total, 6 * QUIET_FOR_MS);
        const directions = new Set(tenant.changes.map(({ from, to }) => Math.sign(to - from)));
        expect(directions.size).toBeLessThanOrEqual(1);
        const settled = tenant.changes.length;
        tenant.run(total, 2 * QUIET_FOR_MS);
        expect(tenant.changes).toHaveLength(settled);
      }),
      { numRuns: 40 },
    );
  });
});
