import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Deduplicator } from "../../../core/windows/deduplicator.ts";
import { FINGERPRINT_WORDS, fingerprint, slotOf } from "../../../core/windows/fingerprint.ts";
import {
  idsOfLayer,
  LAYER_BYTES,
  SeenFilter,
  type SeenLayer,
  type SeenState,
} from "../../../core/windows/seen-filter.ts";
import { Sources } from "../../../core/windows/sources.ts";

/** Room for 12, 25 and 51 ids. */
const SMALL = [32, 64, 128];
const ROOM = SMALL.reduce((sum, bytes) => sum + idsOfLayer(bytes), 0);

const words = (id: string): Uint32Array => {
  const into = new Uint32Array(FINGERPRINT_WORDS);
  fingerprint(id, into, 0);
  return into;
};

/** The filter's place on disk. */
class Disk {
  readonly layers = new Map<number, Uint8Array>();
  state: SeenState = null;

  save(filter: SeenFilter): readonly number[] {
    const changed = filter.takeChanged();
    for (const { layer, bits } of changed) this.layers.set(layer, bits.slice());
    this.state = JSON.parse(JSON.stringify(filter)) as SeenState;
    return changed.map(({ layer }) => layer);
  }

  load(sizes: readonly number[] = LAYER_BYTES, maxJournal?: number): SeenFilter {
    return SeenFilter.restore(this.state, this.stored, sizes, maxJournal);
  }

  get stored(): SeenLayer[] {
    return Array.from(this.layers, ([layer, bits]) => ({ layer, bits }));
  }
}

const steps = fc.array(
  fc.oneof(
    { weight: 20, arbitrary: fc.record({ do: fc.constant("add" as const), id: fc.string() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("save" as const, "restart" as const) }) },
  ),
  { maxLength: 200, size: "max" },
);

describe("the filter of all ids ever taken", () => {
  test("never calls an added id unseen, in any layer, at the limit, after any number of restarts and replays", () => {
    fc.assert(
      fc.property(steps, fc.nat(30), (all, maxJournal) => {
        const disk = new Disk();
        let filter = new SeenFilter(SMALL, maxJournal);
        disk.save(filter);
        const added = new Map<string, Uint32Array>();
        let sinceSaved: Uint32Array[] = [];
        for (const step of all) {
          if (step.do === "add") {
            const one = words(step.id);
            filter.add(one, 0);
            added.set(step.id, one);
            sinceSaved.push(one);
          } else if (step.do === "save") {
            disk.save(filter);
            sinceSaved = [];
          } else {
            filter = disk.load(SMALL, maxJournal);
            for (const one of sinceSaved) filter.add(one, 0);
          }
          expect([...added.values()].filter((one) => filter.isUnseen(one, 0))).toEqual([]);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("is given up, and frees its memory, with the first id that no layer has room for", () => {
    const filter = new SeenFilter(SMALL);
    let added = 0;
    while (!filter.isGivenUp) {
      expect(added).toBeLessThanOrEqual(2 * ROOM);
      filter.add(words(`id-${added++}`), 0);
      if (added <= ROOM) expect(filter.isGivenUp).toBe(false);
    }
    expect(added).toBeGreaterThan(ROOM);
    expect(filter.bytes).toBe(0);
    expect(filter.takeChanged()).toEqual([]);
    expect(filter.isUnseen(words("never added"), 0)).toBe(false);
    expect(JSON.stringify(filter)).toBe("null");
  });

  test("of the size in use takes 3.4 million ids in 8.7 MB, and calls fewer than one new id in a thousand seen when full", () => {
    const filter = new SeenFilter();
    const room = LAYER_BYTES.reduce((sum, bytes) => sum + idsOfLayer(bytes), 0);
    expect(room).toBeGreaterThan(3_400_000);
    const probe = new Uint32Array(FINGERPRINT_WORDS);
    for (let k = 0; k < room; k++) {
      fingerprint(`event-${k}`, probe, 0);
      filter.add(probe, 0);
    }
    expect(filter.isGivenUp).toBe(false);
    expect(filter.bytes).toBeLessThan(8_800_000);
    let wrong = 0;
    for (let k = 0; k < 100_000; k++) {
      fingerprint(`other-${k}`, probe, 0);
      if (!filter.isUnseen(probe, 0)) wrong++;
    }
    expect(wrong).toBeLessThan(100);
  });

  test("tells the ids of one slot apart as well, of which a shard has no others", () => {
    const filter = new SeenFilter([1 << 16]);
    const ofSlot = Array.from({ length: 1_000_000 }, (_, k) => words(`event-${k}`)).filter(
      (one) => slotOf(one, 0) === 7,
    );
    const half = ofSlot.length / 2;
    for (const one of ofSlot.slice(0, half)) filter.add(one, 0);
    expect(ofSlot.slice(half).filter((one) => !filter.isUnseen(one, 0)).length).toBeLessThanOrEqual(2);
  });

  test("writes full layers once, the newest only when it changed, and a few ids as they are", () => {
    const disk = new Disk();
    const filter = new SeenFilter(SMALL, 10);
    const JOURNAL = -1;
    expect(disk.save(filter)).toEqual([]);
    const counts: (readonly number[])[] = [];
    for (let k = 0; k < 48; k += 8) {
      for (let id = k; id < k + 8; id++) filter.add(words(`id-${id}`), 0);
      counts.push(disk.save(filter));
      expect(disk.save(filter)).toEqual([]);
      const loaded = disk.load(SMALL, 10);
      for (let id = 0; id < k + 8; id++) expect(loaded.isUnseen(words(`id-${id}`), 0)).toBe(false);
      expect(loaded.takeChanged()).toEqual([]);
      expect(JSON.stringify(loaded)).toBe(JSON.stringify(filter));
    }
    expect(counts).toEqual([[JOURNAL], [0, 1, JOURNAL], [JOURNAL], [1, JOURNAL], [JOURNAL], [1, 2, JOURNAL]]);
    expect(disk.layers.get(JOURNAL)).toHaveLength(0);
    filter.add(words("id-47"), 0);
    expect(disk.save(filter)).toEqual([]);
  });

  test("is given up when it cannot be read back as a whole", () => {
    const disk = new Disk();
    const filter = new SeenFilter(SMALL, 10);
    for (let k = 0; k < 30; k++) filter.add(words(`id-${k}`), 0);
    disk.save(filter);
    filter.add(words("id-30"), 0);
    disk.save(filter);
    expect(disk.load(SMALL).isUnseen(words("another"), 0)).toBe(true);
    expect(SeenFilter.restore(undefined, disk.stored, SMALL).isGivenUp).toBe(true);
    expect(SeenFilter.restore(null, disk.stored, SMALL).isGivenUp).toBe(true);
    expect(SeenFilter.restore({ scheme: 0, ids: [12, 18] }, disk.stored, SMALL).isGivenUp).toBe(true);
    for (const lost of disk.stored)
      expect(
        SeenFilter.restore(
          disk.state,
          disk.stored.filter((one) => one.layer !== lost.layer),
          SMALL,
        ).isGivenUp,
      ).toBe(true);
    expect(SeenFilter.restore(disk.state, disk.stored, [64, 64, 128]).isGivenUp).toBe(true);
  });
});

const event = (sources: Sources, timestamp: number) => ({
  source: sources.of("s"),
  timestamp,
  receivedAt: 1_700_000_000_000,
  timestampAssigned: false,
});

/** Ids of years in no order, until nearly every time may hold stored events. */
function shuffled(seen: SeenFilter): { deduplicator: Deduplicator; sources: Sources } {
  const sources = new Sources();
  const deduplicator = new Deduplicator(sources, undefined, undefined, seen);
  for (let k = 0; k < 2000; k++)
    deduplicator.remember(words(`e${k}`), 0, event(sources, ((k * 787) % 2000) * 40_000_000));
  return { deduplicator, sources };
}

describe("a deduplicator with a complete filter", () => {
  test("knows new ids of a shuffled backfill without a look-up, and never calls a stored one new", () => {
    const { deduplicator, sources } = shuffled(new SeenFilter());
    let unknown = 0;
    for (let k = 0; k < 2000; k++) {
      const other = words(`other${k}`);
      if (deduplicator.judge(other, 0, event(sources, k * 40_000_000 + 20_000_000)) !== "unknown") continue;
      unknown++;
      expect(deduplicator.isUnseen(other, 0)).toBe(true);
    }
    expect(unknown).toBeGreaterThan(1000);
    for (let k = 0; k < 2000; k++) expect(deduplicator.isUnseen(words(`e${k}`), 0)).toBe(false);
  });

  test("gives it up when it takes slots over, or gives all away", () => {
    const { deduplicator: giver } = shuffled(new SeenFilter());
    const { deduplicator: taker } = shuffled(new SeenFilter());
    taker.adopt(giver.known(new Set([7])), () => undefined);
    expect(taker.isUnseen(words("another"), 0)).toBe(false);
    expect(giver.isUnseen(words("another"), 0)).toBe(true);
    giver.forgetAll();
    expect(giver.isUnseen(words("another"), 0)).toBe(false);
  });
});
