import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Candidate, Deduplicator } from "../../../core/windows/deduplicator.ts";
import { FINGERPRINT_WORDS, fingerprint, slotOf } from "../../../core/windows/fingerprint.ts";
import {
  aimFor,
  AT_HOME,
  begin,
  type HandOver,
  isMoving,
  nextStep,
  stepDone,
} from "../../../core/windows/hand-over.ts";
import { decodeKnownIds, encodeKnownIds } from "../../../core/windows/id-handover.ts";
import { IdMemory } from "../../../core/windows/id-memory.ts";
import { IN_TRANSIT, MAX_SHARDS } from "../../../core/windows/slot-map.ts";
import { Sources } from "../../../core/windows/sources.ts";

const T0 = 1_700_000_000_000;
/** So few that ids are forgotten under pressure all the time. */
const FEW_GROUPS = 4;

interface Sent {
  readonly id: number;
  readonly source: string;
  readonly bucket: number;
  readonly isAssigned: boolean;
}

/** A tenant whose objects judge ids, and everything that was ever counted: the store of all of them. */
class World {
  shards: HandOver = AT_HOME;
  readonly counted = new Set<string>();
  lookUps = 0;
  readonly #objects = Array.from({ length: MAX_SHARDS + 1 }, () => {
    const sources = new Sources();
    return { sources, deduplicator: new Deduplicator(sources, undefined, new IdMemory(1 << 12, FEW_GROUPS)) };
  });

  /** An event comes to the owner of its slot; while that is in transit it waits, and here it is lost. */
  send({ id, source, bucket, isAssigned }: Sent): void {
    const name = `${id}${isAssigned ? "-assigned" : ""}-${source}-${isAssigned ? "" : bucket}`;
    const words = new Uint32Array(FINGERPRINT_WORDS);
    fingerprint(name, words, 0);
    const owner = this.shards.map.owners[slotOf(words, 0)] ?? IN_TRANSIT;
    const object = this.#objects[owner];
    if (object === undefined) return;
    const timestamp = T0 + bucket * 10_000;
    const known = object.sources.of(source);
    const event: Candidate = { source: known, timestamp, receivedAt: timestamp, timestampAssigned: isAssigned };
    const verdict = object.deduplicator.judge(words, 0, event);
    if (verdict === "duplicate") expect(this.counted.has(name), name).toBe(true);
    if (verdict === "new") expect(this.counted.has(name), name).toBe(false);
    if (verdict === "unknown") this.lookUps++;
    if (this.counted.has(name)) return;
    this.counted.add(name);
    object.deduplicator.remember(words, 0, event);
    known.newest = Math.max(known.newest, timestamp);
  }

  /** The next step of a move. `again` does it twice, as after a crash. */
  step(again: boolean): void {
    this.shards = begin(this.shards);
    const step = nextStep(this.shards);
    for (let k = 0; k < (again ? 2 : 1); k++) {
      if (step?.do === "copy") {
        const known = this.#objects[step.from]?.deduplicator.known(new Set(step.slots));
        if (known !== undefined)
          this.#objects[step.to]?.deduplicator.adopt(decodeKnownIds(encodeKnownIds(known)), () => {});
      }
      if (step?.do === "release" && !this.shards.map.owners.includes(step.object))
        this.#objects[step.object]?.deduplicator.forgetAll();
    }
    this.shards = stepDone(this.shards);
  }

  rest(): void {
    for (let steps = 0; isMoving(this.shards) && steps < 1000; steps++) this.step(false);
  }
}

const event = fc.record({
  id: fc.nat(15),
  source: fc.constantFrom("a", "b"),
  // The same few stretches of time again and again, and others that push them out.
  bucket: fc.oneof({ weight: 3, arbitrary: fc.nat(1) }, { weight: 1, arbitrary: fc.nat(20) }),
  isAssigned: fc.constantFrom(false, false, false, true),
});
const action = fc.oneof(
  { weight: 12, arbitrary: fc.array(event, { minLength: 1, maxLength: 20 }) },
  { weight: 4, arbitrary: fc.record({ steps: fc.integer({ min: 1, max: 60 }), again: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ count: fc.constantFrom(1, 2, 4) }) },
);

describe("ids that are handed over with their slots", () => {
  test("are never taken for new where they were counted, nor for known where not, however often their slots move", () => {
    fc.assert(
      fc.property(fc.array(action, { minLength: 10, maxLength: 120 }), (actions) => {
        const world = new World();
        for (const one of actions) {
          if ("count" in one) world.shards = aimFor(world.shards, one.count);
          else if ("steps" in one) for (let k = 0; k < one.steps; k++) world.step(one.again);
          else for (const sent of one) world.send(sent);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("make the taker forget what the giver forgot: of that stretch of time nobody knows all ids any more", () => {
    const [giver, taker] = [1, 2].map(() => {
      const sources = new Sources();
      return { sources, deduplicator: new Deduplicator(sources, undefined, new IdMemory(1 << 12, FEW_GROUPS)) };
    });
    if (giver === undefined || taker === undefined) throw new Error("two objects were made");
    const words = new Uint32Array(FINGERPRINT_WORDS);
    const event = ({ sources }: typeof giver, bucket: number): Candidate => ({
      source: sources.of("a"),
      timestamp: T0 + bucket * 10_000,
      receivedAt: T0,
      timestampAssigned: false,
    });
    const take = (object: typeof giver, id: string, bucket: number): void => {
      fingerprint(id, words, 0);
      object.deduplicator.remember(words, 0, event(object, bucket));
    };
    take(taker, "of the taker", 0);
    take(giver, "of the giver", 0);
    for (let bucket = 1; bucket <= 3 * FEW_GROUPS; bucket++) take(giver, `later ${bucket}`, bucket);
    fingerprint("of the giver", words, 0);
    expect(giver.deduplicator.judge(words, 0, event(giver, 0))).toBe("unknown");
    taker.deduplicator.adopt(giver.deduplicator.known(new Set([slotOf(words, 0)])), () => {});
    expect(taker.deduplicator.judge(words, 0, event(taker, 0))).toBe("unknown");
  });

  test("are known at once at their new owner, and back at the first one: no look-up while nothing was forgotten", () => {
    const world = new World();
    const events = Array.from({ length: 300 }, (_, id) => ({ id, source: "a", bucket: id % 3, isAssigned: false }));
    for (const count of [4, 2, 1, 8]) {
      for (const sent of events) world.send(sent);
      world.shards = aimFor(world.shards, count);
      world.rest();
    }
    for (const sent of events) world.send(sent);
    expect(world.counted.size).toBe(300);
    expect(world.lookUps).toBe(0);
  });
});
