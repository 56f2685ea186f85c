import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EventBatch } from "../../../core/events/event-batch.ts";
import { FINGERPRINT_WORDS, fingerprint, slotOf } from "../../../core/windows/fingerprint.ts";
import { ownsAll, rowsByOwner } from "../../../core/windows/ownership.ts";
import {
  FIRST_MAP,
  HOME,
  IN_TRANSIT,
  MAX_SHARDS,
  objectsOf,
  ownersIn,
  planMoves,
  SLOTS,
  soleOwner,
} from "../../../core/windows/slot-map.ts";

const counts = fc.integer({ min: 1, max: MAX_SHARDS });
const anyOwners = fc.array(fc.integer({ min: 0, max: MAX_SHARDS }), { minLength: SLOTS, maxLength: SLOTS });

function moved(owners: readonly number[], count: number): number[] {
  const after = [...owners];
  for (const { slot, from, to } of planMoves(owners, count)) {
    expect(after[slot]).toBe(from);
    after[slot] = to;
  }
  return after;
}

const held = (owners: readonly number[], object: number): number => owners.filter((owner) => owner === object).length;

function batchOf(ids: readonly string[]): EventBatch {
  const common = {
    type: "t",
    source: "s",
    timestamp: 0,
    receivedAt: 0,
    severity: "low",
    data: {},
    metadata: {},
  } as const;
  return EventBatch.fromEvents(ids.map((id) => ({ id, ...common })));
}

describe("planning where slots go", () => {
  test("shares them evenly among exactly the wanted objects, whatever was before", () => {
    fc.assert(
      fc.property(anyOwners, counts, (owners, count) => {
        const after = moved(owners, count);
        const shares = objectsOf(count).map((object) => held(after, object));
        expect(shares.reduce((sum, share) => sum + share, 0)).toBe(SLOTS);
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("moves as few as any even sharing must", () => {
    fc.assert(
      fc.property(anyOwners, counts, (owners, count) => {
        const objects = objectsOf(count);
        // The best even sharing gives the larger shares to those that have most.
        const ranked = objects.map((object) => held(owners, object)).sort((a, b) => b - a);
        const shares = ranked.map((_, k) => Math.floor(SLOTS / count) + (k < SLOTS % count ? 1 : 0));
        const staying = ranked.reduce((sum, has, k) => sum + Math.min(has, shares[k] ?? 0), 0);
        expect(planMoves(owners, count)).toHaveLength(SLOTS - staying);
      }),
    );
  });

  test("has no object give and take at once, and moves nothing that is in place", () => {
    fc.assert(
      fc.property(anyOwners, counts, (owners, count) => {
        const moves = planMoves(owners, count);
        const givers = new Set(moves.map(({ from }) => from));
        expect(moves.some(({ to }) => givers.has(to))).toBe(false);
        expect(planMoves(moved(owners, count), count)).toEqual([]);
      }),
    );
  });

  test("splits one shard into four and joins four into two", () => {
    const four = moved(FIRST_MAP.owners, 4);
    expect([0, 1, 2, 3, 4].map((object) => held(four, object))).toEqual([0, 64, 64, 64, 64]);
    expect(planMoves(four, 2)).toHaveLength(128);
    const two = moved(four, 2);
    expect([1, 2].map((object) => held(two, object))).toEqual([128, 128]);
    expect(moved(two, 1)).toEqual(FIRST_MAP.owners);
  });
});

describe("a map", () => {
  test("has a sole owner only when nothing is in transit or elsewhere", () => {
    expect(soleOwner(FIRST_MAP)).toBe(HOME);
    expect(soleOwner({ epoch: 1, owners: FIRST_MAP.owners.with(9, IN_TRANSIT) })).toBeNull();
    expect(soleOwner({ epoch: 1, owners: FIRST_MAP.owners.map(() => IN_TRANSIT) })).toBeNull();
    expect(soleOwner({ epoch: 2, owners: moved(FIRST_MAP.owners, 2) })).toBeNull();
    expect(ownersIn({ epoch: 2, owners: moved(FIRST_MAP.owners, 2).with(3, IN_TRANSIT) })).toEqual([1, 2]);
  });

  test("splits the rows of a batch so that each owner gets exactly its own, in their order", () => {
    fc.assert(
      fc.property(anyOwners, fc.array(fc.string({ minLength: 1, maxLength: 12 }), { maxLength: 60 }), (owners, ids) => {
        const batch = batchOf(ids);
        const parts = rowsByOwner(owners, batch);
        const all = [...parts.values()].flatMap((rows) => [...rows]);
        expect(all.toSorted((a, b) => a - b)).toEqual(ids.map((_, row) => row));
        const words = new Uint32Array(FINGERPRINT_WORDS);
        for (const [owner, rows] of parts) {
          expect([...rows]).toEqual([...rows].toSorted((a, b) => a - b));
          for (const row of rows) {
            fingerprint(ids[row] ?? "", words, 0);
            expect(owners[slotOf(words, 0)]).toBe(owner);
          }
          const slots = new Set([...owners.keys()].filter((slot) => owners[slot] === owner));
          expect(ownsAll(slots, batch)).toBe(parts.size === 1);
        }
      }),
    );
  });

  test("puts UUIDv7s and counted ids alike into every slot", () => {
    const ids = Array.from({ length: 20_000 }, (_, k) =>
      k % 2 === 0 ? `order-${k}` : `0193b1d2-7c00-7000-8000-${k.toString(16).padStart(12, "0")}`,
    );
    const parts = rowsByOwner(
      Array.from({ length: SLOTS }, (_, slot) => slot),
      batchOf(ids),
    );
    const sizes = [...parts.values()].map((rows) => rows.length);
    expect(sizes).toHaveLength(SLOTS);
    // 78 on average; a standard deviation is about 9.
    expect(Math.max(...sizes)).toBeLessThan(78 + 6 * 9);
    expect(Math.min(...sizes)).toBeGreaterThan(78 - 6 * 9);
  });
});
