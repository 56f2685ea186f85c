import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Deduplicator } from "../../../core/windows/deduplicator.ts";
import { fingerprint } from "../../../core/windows/fingerprint.ts";
import { BYTES_PER_ID, IdMemory } from "../../../core/windows/id-memory.ts";
import { Sources } from "../../../core/windows/sources.ts";
import { StoredSpans } from "../../../core/windows/stored-spans.ts";

const words = (id: string): Uint32Array => {
  const into = new Uint32Array(3);
  fingerprint(id, into, 0);
  return into;
};

describe("fingerprints", () => {
  test("of 200,000 ids that differ in one place are all distinct and fill the slots evenly", () => {
    const seen = new Set<string>();
    const slots = new Uint32Array(256);
    for (let k = 0; k < 200_000; k++) {
      const one = words(`018f3c4e-7b2a-7cc3-98c4-${k.toString(16).padStart(12, "0")}`);
      seen.add(one.join());
      const slot = (one[0] ?? 0) & 0xff;
      slots[slot] = (slots[slot] ?? 0) + 1;
    }
    expect(seen.size).toBe(200_000);
    const expected = 200_000 / 256;
    const chiSquare = slots.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // 255 degrees of freedom: mean 255, standard deviation 22.6; five of those.
    expect(chiSquare).toBeLessThan(255 + 5 * 22.6);
  });
});

describe("IdMemory", () => {
  test("agrees with a set through growth and forgetting", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ id: fc.nat(5000), bucket: fc.nat(20) }), { maxLength: 6000, minLength: 3000 }),
        (adds) => {
          const memory = new IdMemory();
          const oracle = new Map<number, number>();
          for (const { id, bucket } of adds) {
            const at = words(`id-${id}`);
            expect(memory.has(at, 0)).toBe(oracle.has(id));
            if (oracle.has(id)) continue;
            const group = memory.group(1, bucket);
            memory.add(at, 0, group < 0 ? memory.openGroup(1, bucket) : group);
            oracle.set(id, bucket);
          }
          memory.forget([...memory.groups()].filter((group) => group.bucket < 10));
          for (const [id, bucket] of oracle) expect(memory.has(words(`id-${id}`), 0)).toBe(bucket >= 10);
        },
      ),
      { numRuns: 20 },
    );
  });

  test("costs what is published per id", () => {
    expect(BYTES_PER_ID).toBeCloseTo(21.3, 1);
  });
});

describe("Deduplicator under memory pressure", () => {
  test("never calls a stored id new: what it forgot is unknown", () => {
    const sources = new Sources();
    const dedup = new Deduplicator(sources, undefined, new IdMemory(1 << 12, 64));
    const source = sources.of("s");
    const stored = new Set<number>();
    for (let k = 0; k < 20_000; k++) {
      const timestamp = 1_700_000_000_000 + k * 100;
      source.newest = timestamp;
      const event = { source, timestamp, receivedAt: timestamp, timestampAssigned: false };
      if (dedup.judge(words(`e${k}`), 0, event) !== "new") continue;
      dedup.remember(words(`e${k}`), 0, event);
      stored.add(k);
    }
    expect(stored.size).toBe(20_000);
    const verdicts = [...stored].map((k) => {
      const timestamp = 1_700_000_000_000 + k * 100;
      return dedup.judge(words(`e${k}`), 0, { source, timestamp, receivedAt: timestamp, timestampAssigned: false });
    });
    expect(verdicts).not.toContain("new");
    expect(verdicts.at(-1)).toBe("duplicate");
    expect(verdicts[0]).toBe("unknown");
    expect(dedup.memory.size).toBeLessThanOrEqual(4096 * 0.75);
  });

  test("ids without a time of their own are known for 24 hours of receive time", () => {
    const sources = new Sources();
    const dedup = new Deduplicator(sources);
    const source = sources.of("s");
    const at = (receivedAt: number) => ({ source, timestamp: receivedAt, receivedAt, timestampAssigned: true });
    const t0 = 1_700_000_000_000;
    dedup.remember(words("retry"), 0, at(t0));
    source.newest = t0 + 23 * 3_600_000;
    expect(dedup.judge(words("retry"), 0, at(t0 + 23 * 3_600_000))).toBe("duplicate");
  });
});

describe("StoredSpans", () => {
  test("agrees with a set, and merging ranges only ever claims more", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -50, max: 3000 }), { maxLength: 800 }), (buckets) => {
        const spans = new StoredSpans();
        for (const bucket of buckets) spans.add(bucket);
        const restored = new StoredSpans(JSON.parse(JSON.stringify(spans)) as number[]);
        const set = new Set(buckets);
        expect(buckets.every((bucket) => restored.has(bucket))).toBe(true);
        if (spans.toJSON().length < 512)
          for (let bucket = -60; bucket < 3010; bucket++) expect(restored.has(bucket)).toBe(set.has(bucket));
        expect(spans.toJSON().length).toBeLessThanOrEqual(512);
      }),
      { numRuns: 50 },
    );
  });
});
