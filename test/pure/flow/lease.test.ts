import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LeaseLedger } from "../../../core/flow/lease.ts";
import type { LeaseAnswer, Quota } from "../../../core/flow/lease-messages.ts";

const QUOTA: Quota = { ratePerSecond: 100, burst: 1_000, bytesPerSecond: 1e9, maxBacklog: 5_000, leaseMs: 3_000 };
const NOTHING = { events: 0, bytes: 0 };

function ask(ledger: LeaseLedger, nowMs: number, want: number, events = 0, isolate = "a"): LeaseAnswer {
  return ledger.lease({ isolate, used: { events, bytes: events * 100 }, want }, nowMs);
}

describe("a lease", () => {
  test("is at most half of what the bucket holds", () => {
    const ledger = new LeaseLedger(QUOTA, 0);
    expect(ask(ledger, 0, 200)).toMatchObject({
      refused: false,
      granted: 200,
      expiresAtMs: 3_000,
      limit: 1_000,
      remaining: 800,
    });
    expect(ask(ledger, 0, 5_000)).toMatchObject({ granted: 400, remaining: 400 });
    expect(ask(ledger, 0, 5_000, 0, "b")).toMatchObject({ granted: 200 });
  });

  test("refills with time, up to the burst", () => {
    const ledger = new LeaseLedger(QUOTA, 0);
    ask(ledger, 0, 500);
    expect(ask(ledger, 2_000, 100)).toMatchObject({ remaining: 600, resetAtMs: 6_000 });
    expect(ask(ledger, 1e9, 0, 600)).toMatchObject({ remaining: 400 });
  });

  test("that nobody reports comes back when it expires", () => {
    const ledger = new LeaseLedger({ ...QUOTA, ratePerSecond: 0.001 }, 0);
    ask(ledger, 0, 500);
    expect(ask(ledger, 2_999, 0, 0, "b")).toMatchObject({ remaining: 500 });
    expect(ask(ledger, 3_000, 0, 0, "b")).toMatchObject({ remaining: 1_000 });
  });

  test("that is given back comes back at once", () => {
    const ledger = new LeaseLedger(QUOTA, 0);
    ask(ledger, 0, 500);
    expect(ask(ledger, 0, 0, 100)).toMatchObject({ granted: 0, remaining: 900 });
  });

  test("time that goes back gains nothing and breaks nothing", () => {
    const ledger = new LeaseLedger(QUOTA, 10_000);
    ask(ledger, 10_000, 500);
    expect(ask(ledger, 0, 0, 500)).toMatchObject({ remaining: 500 });
    expect(ask(ledger, 10_000, 0)).toMatchObject({ remaining: 500 });
  });
});

describe("a refusal", () => {
  test("over the quota says when the debt is paid", () => {
    const ledger = new LeaseLedger(QUOTA, 0);
    expect(ask(ledger, 0, 1, 1_500)).toMatchObject({
      refused: true,
      reason: "over_quota",
      retryAfterSeconds: 6,
      remaining: 0,
    });
    expect(ask(ledger, 5_000, 1)).toMatchObject({ refused: true, retryAfterSeconds: 1 });
    expect(ask(ledger, 5_010, 1)).toMatchObject({ refused: false, granted: 1 });
  });

  test("comes for a backlog beyond the bound, and ends when it is applied", () => {
    const ledger = new LeaseLedger({ ...QUOTA, burst: 1e9 }, 0);
    expect(ask(ledger, 0, 1, 5_000)).toMatchObject({ refused: false });
    expect(ask(ledger, 0, 1, 1)).toMatchObject({ refused: true, reason: "backlog", retryAfterSeconds: 1 });
    ledger.applied(0, 1, 0);
    expect(ask(ledger, 0, 1)).toMatchObject({ refused: false });
  });

  test("comes while stopped, and reaches one who only gives back", () => {
    const ledger = new LeaseLedger(QUOTA, 0);
    ledger.setStopped("full");
    expect(ask(ledger, 0, 1)).toMatchObject({
      refused: true,
      reason: "stopped",
      message: "not accepting events: full",
    });
    expect(ask(ledger, 0, 0)).toMatchObject({ refused: true, reason: "stopped" });
    ledger.setStopped(null);
    expect(ask(ledger, 0, 1)).toMatchObject({ refused: false });
  });

  test("comes while any shard is stopped, also after a restart", () => {
    const ledger = new LeaseLedger(QUOTA, 0);
    ledger.setStopped("full", 1);
    ledger.setStopped("full as well", 2);
    ledger.setStopped(null, 1);
    const restarted = new LeaseLedger(QUOTA, 0, ledger.snapshot());
    expect(ask(restarted, 0, 1)).toMatchObject({ refused: true, message: "not accepting events: full as well" });
    restarted.setStopped(null, 2);
    expect(ask(restarted, 0, 1)).toMatchObject({ refused: false });
  });

  test("goes on from what it left when there was one shard", () => {
    const ledger = new LeaseLedger(QUOTA, 0, { ...new LeaseLedger(QUOTA, 0).snapshot(), stopped: "full" });
    expect(ask(ledger, 0, 1)).toMatchObject({ refused: true, message: "not accepting events: full" });
    ledger.setStopped(null);
    expect(ask(ledger, 0, 1)).toMatchObject({ refused: false });
  });

  test("always asks to wait whole seconds, from 1 to 60", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 1e9 }), (debt) => {
        const answer = ask(new LeaseLedger(QUOTA, 0), 0, 1, debt);
        if (!answer.refused) return;
        expect(answer.retryAfterSeconds).toBeGreaterThanOrEqual(1);
        expect(answer.retryAfterSeconds).toBeLessThanOrEqual(60);
        expect(Number.isInteger(answer.retryAfterSeconds)).toBe(true);
      }),
    );
  });
});

describe("the count of accepted events", () => {
  test("holds what was reported and what open leases may have used", () => {
    const ledger = new LeaseLedger(QUOTA, 0);
    ask(ledger, 0, 100, 7);
    expect(ledger.acceptedEvents(0)).toBe(107);
    ask(ledger, 0, 50, 60);
    expect(ledger.acceptedEvents(0)).toBe(67 + 40 + 50);
    expect(ledger.acceptedEvents(3_000)).toBe(67);
  });

  test("counts no event twice when shards are quicker than reports, time after time", () => {
    const ledger = new LeaseLedger(QUOTA, 0);
    for (let k = 1; k <= 10; k++) {
      const at = k * 12_000;
      ledger.applied(0, 3 * k, at);
      ask(ledger, at + 900, 0, 3);
      expect(ledger.acceptedEvents(at + 900)).toBe(3 * k);
    }
  });

  test("makes up for what a restart forgot without counting the report that is on its way", () => {
    const before = new LeaseLedger(QUOTA, 0);
    ask(before, 0, 0, 20);
    before.applied(0, 20, 0);
    // Seven more were accepted and applied after the last save, and are forgotten; then three come every five seconds.
    const ledger = new LeaseLedger(QUOTA, 0, before.snapshot());
    for (let k = 1; k <= 8; k++) {
      const at = k * 5_000;
      ledger.applied(0, 27 + 3 * k, at);
      ask(ledger, at + 900, 0, 3);
    }
    expect(ledger.acceptedEvents(60_000)).toBe(27 + 3 * 8);
  });

  test("follows what was applied when that stays ahead, and not for a late report", () => {
    const ledger = new LeaseLedger(QUOTA, 0);
    ask(ledger, 0, 0, 10);
    ledger.applied(0, 12, 0);
    ledger.applied(0, 12, 9_999);
    expect(ledger.acceptedEvents(9_999)).toBe(10);
    ask(ledger, 9_999, 0, 5);
    ledger.applied(0, 15, 20_000);
    expect(ledger.acceptedEvents(20_000)).toBe(15);
    ledger.applied(0, 20, 30_000);
    ledger.applied(0, 20, 40_000);
    expect(ledger.acceptedEvents(40_000)).toBe(20);
  });

  test("adds up the shards, and no shard goes back", () => {
    const ledger = new LeaseLedger({ ...QUOTA, burst: 1e9 }, 0);
    ledger.applied(0, 3_000, 0);
    ledger.applied(1, 2_000, 0);
    ledger.applied(1, 1_000, 0);
    expect(ask(ledger, 0, 1, 10_000)).toMatchObject({ refused: false });
    expect(ask(ledger, 0, 1, 1)).toMatchObject({ refused: true, reason: "backlog" });
  });

  test("survives a restart, leases aside", () => {
    const ledger = new LeaseLedger(QUOTA, 0);
    ask(ledger, 0, 100, 7);
    ledger.applied(0, 3, 0);
    ledger.setStopped("full");
    const restored = new LeaseLedger(QUOTA, 0, ledger.snapshot());
    expect(restored.acceptedEvents(0)).toBe(7);
    expect(restored.snapshot()).toEqual(ledger.snapshot());
    expect(ask(restored, 0, 1)).toMatchObject({ reason: "stopped" });
  });

  test("forgets with the queue what was on it", () => {
    const ledger = new LeaseLedger(QUOTA, 0);
    ask(ledger, 0, 100, 7);
    ledger.applied(0, 3, 0);
    ledger.forgetQueue();
    expect(ledger.acceptedEvents(0)).toBe(3);
  });
});

test("in any order of leases, reports and time, no more is let out than burst and refill allow", () => {
  const steps = fc.array(
    fc.record({
      isolate: fc.constantFrom("a", "b", "c"),
      want: fc.integer({ min: 0, max: 2_000 }),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
      waitMs: fc.integer({ min: 0, max: 5_000 }),
    }),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(steps, (list) => {
      const ledger = new LeaseLedger(QUOTA, 0);
      const held = new Map<string, { events: number; expiresAtMs: number }>();
      let nowMs = 0;
      let used = 0;
      for (const { isolate, want, part, waitMs } of list) {
        nowMs += waitMs;
        const lease = held.get(isolate) ?? { events: 0, expiresAtMs: 0 };
        const live = nowMs < lease.expiresAtMs ? lease.events : 0;
        const events = Math.floor(live * part);
        used += events;
        const answer = ledger.lease({ isolate, used: events === 0 ? NOTHING : { events, bytes: 0 }, want }, nowMs);
        if (want === 0) held.delete(isolate);
        else if (!answer.refused)
          held.set(isolate, { events: live - events + answer.granted, expiresAtMs: answer.expiresAtMs });
        else held.set(isolate, { events: live - events, expiresAtMs: lease.expiresAtMs });
        expect(used).toBeLessThanOrEqual(QUOTA.burst + (QUOTA.ratePerSecond * nowMs) / 1000);
        expect(answer.remaining).toBeLessThanOrEqual(QUOTA.burst);
      }
      expect(ledger.snapshot().accepted).toBe(used);
    }),
  );
});
