import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CorruptStateError } from "../../../core/bytes.ts";
import { type Candidate, Deduplicator } from "../../../core/windows/deduplicator.ts";
import { fingerprint, FINGERPRINT_WORDS, slotOf } from "../../../core/windows/fingerprint.ts";
import { decodeKnownIds, encodeKnownIds } from "../../../core/windows/id-handover.ts";
import { IdMemory } from "../../../core/windows/id-memory.ts";
import { MAX_SOURCES, Sources } from "../../../core/windows/sources.ts";
import { StoredSpans } from "../../../core/windows/stored-spans.ts";

const SECOND = 1000;
const words = (id: string): Uint32Array => {
  const into = new Uint32Array(FINGERPRINT_WORDS);
  fingerprint(id, into, 0);
  return into;
};

interface Sent {
  readonly id: string;
  readonly source: string;
  readonly at: number;
  readonly isAssigned: boolean;
}

/** One shard's knowledge of ids, with room for a few groups only. */
class Knower {
  readonly sources = new Sources();
  readonly deduplicator = new Deduplicator(this.sources, undefined, new IdMemory(1 << 12, 5));

  judge(event: Sent) {
    return this.deduplicator.judge(words(event.id), 0, this.#candidate(event));
  }

  store(event: Sent): void {
    const candidate = this.#candidate(event);
    candidate.source.newest = Math.max(candidate.source.newest, event.at);
    if (!this.deduplicator.memory.has(words(event.id), 0)) this.deduplicator.remember(words(event.id), 0, candidate);
  }

  take(from: Knower, slots: ReadonlySet<number>): void {
    const bytes = encodeKnownIds(from.deduplicator.known(slots));
    this.deduplicator.adopt(decodeKnownIds(bytes), () => {});
  }

  #candidate({ source, at, isAssigned }: Sent): Candidate {
    return { source: this.sources.of(source), timestamp: at, receivedAt: at, timestampAssigned: isAssigned };
  }
}

const action = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant("send" as const),
      id: fc.nat(60),
      times: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("move" as const), from: fc.nat(2), to: fc.nat(2), half: fc.nat(1) }),
  },
);

describe("ids handed over", () => {
  test("no copy is ever taken for new, no new event for a copy, whatever either side had forgotten", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ source: fc.constantFrom("a", "b"), tens: fc.nat(12), isAssigned: fc.nat(9) }), {
          minLength: 61,
          maxLength: 61,
        }),
        fc.array(action, { maxLength: 120, size: "max" }),
        (events, actions) => {
          const knowers = [new Knower(), new Knower(), new Knower()];
          const owners = Array.from({ length: 256 }, () => 0);
          const stored = new Set<string>();
          for (const one of actions) {
            if (one.do === "move") {
              if (one.from === one.to) continue;
              const slots = [...owners.keys()].filter((slot) => owners[slot] === one.from && slot % 2 === one.half);
              const [giver, taker] = [knowers[one.from], knowers[one.to]];
              if (giver === undefined) continue;
              // In two runs, the first of them twice, as after a crash.
              for (const run of [slots.slice(0, 60), slots.slice(0, 60), slots.slice(60)])
                taker?.take(giver, new Set(run));
              for (const slot of slots) owners[slot] = one.to;
              continue;
            }
            const drawn = events[one.id];
            if (drawn === undefined) continue;
            const event: Sent = {
              id: `e${one.id}`,
              source: drawn.source,
              at: drawn.tens * 10 * SECOND,
              isAssigned: drawn.isAssigned === 0,
            };
            for (let k = 0; k < one.times; k++) {
              const owner = knowers[owners[slotOf(words(event.id), 0)] ?? 0];
              const verdict = owner?.judge(event);
              if (verdict !== "unknown")
                expect([event.id, verdict]).toEqual([event.id, stored.has(event.id) ? "duplicate" : "new"]);
              if (!stored.has(event.id)) owner?.store(event);
              stored.add(event.id);
            }
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("what the taker remembers of a time that the giver had forgotten is complete no longer", () => {
    const [giver, taker] = [new Knower(), new Knower()];
    const old: Sent = { id: "old", source: "a", at: 0, isAssigned: false };
    giver.store(old);
    // Six groups are too many: the first is forgotten.
    for (let k = 1; k < 7; k++) giver.store({ id: `n${k}`, source: "a", at: k * 10 * SECOND, isAssigned: false });
    expect(giver.judge(old)).toBe("unknown");
    taker.store({ id: "neighbour", source: "a", at: 1, isAssigned: false });
    expect(taker.judge(old)).toBe("new");
    taker.take(giver, new Set([slotOf(words("old"), 0)]));
    expect(taker.judge(old)).toBe("unknown");
  });

  test("a group that neither had forgotten stays complete, so that nothing of it needs a look-up", () => {
    const [giver, taker] = [new Knower(), new Knower()];
    giver.store({ id: "given", source: "a", at: 5, isAssigned: false });
    taker.store({ id: "own", source: "a", at: 6, isAssigned: false });
    taker.take(giver, new Set([slotOf(words("given"), 0)]));
    const judged = ["given", "own", "third"].map((id) => taker.judge({ id, source: "a", at: 7, isAssigned: false }));
    expect(judged).toEqual(["duplicate", "duplicate", "new"]);
  });

  test("of sources beyond the limit, which have no names, everything is looked up, also under names the taker learns later", () => {
    const giver = new Knower();
    for (let k = 0; k <= MAX_SOURCES; k++) giver.sources.of(`s${k}`);
    giver.store({ id: "x", source: "one too many", at: 0, isAssigned: false });
    const taker = new Knower();
    taker.store({ id: "y", source: "known", at: 0, isAssigned: false });
    taker.take(giver, new Set([slotOf(words("x"), 0)]));
    for (const source of ["known", "one too many"])
      expect(taker.judge({ id: "x", source, at: 0, isAssigned: false })).toBe("unknown");
  });

  test("hostile bytes are refused or valid, and never anything else", () => {
    const giver = new Knower();
    for (let k = 0; k < 4; k++) giver.store({ id: `g${k}`, source: "ü", at: k * 10 * SECOND, isAssigned: k === 3 });
    const bytes = encodeKnownIds(giver.deduplicator.known(new Set(Array.from({ length: 256 }, (_, slot) => slot))));
    expect(encodeKnownIds(decodeKnownIds(bytes))).toEqual(bytes);
    fc.assert(
      fc.property(fc.nat(bytes.length), fc.nat(bytes.length - 1), fc.nat(255), (length, at, to) => {
        const hostile = bytes.slice(0, length % 2 === 0 ? bytes.length : length);
        if (at < hostile.length) hostile[at] = to;
        try {
          new Knower().deduplicator.adopt(decodeKnownIds(hostile), () => {});
        } catch (error) {
          expect(error).toBeInstanceOf(CorruptStateError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe("spans of stored events", () => {
  test("added all at once are those added one by one", () => {
    const buckets = fc.array(fc.integer({ min: -5, max: 60 }), { maxLength: 30 });
    fc.assert(
      fc.property(buckets, buckets, (mine, others) => {
        const [own, other, both] = [new StoredSpans(), new StoredSpans(), new StoredSpans()];
        for (const bucket of mine) own.add(bucket);
        for (const bucket of others) other.add(bucket);
        for (const bucket of [...mine, ...others]) both.add(bucket);
        own.addAll(other.toJSON());
        expect(own.toJSON()).toEqual(both.toJSON());
      }),
    );
  });
});

describe("the ids of one slot", () => {
  test("spread over the table as those of all slots do: a slot and a place in the table come from different words", () => {
    const [bins, ids] = [64, 20_000];
    const counts = Array.from({ length: bins }, () => 0);
    for (let k = 0, found = 0; found < ids; k++) {
      const one = words(`018f3c4e-7b2a-7cc3-98c4-${k.toString(16).padStart(12, "0")}`);
      if (slotOf(one, 0) !== 17) continue;
      found++;
      const bin = (one[1] ?? 0) % bins;
      counts[bin] = (counts[bin] ?? 0) + 1;
    }
    const expected = ids / bins;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // 63 degrees of freedom: mean 63, standard deviation 11.2; five of those.
    expect(chiSquare).toBeLessThan(63 + 5 * 11.2);
  });
});
