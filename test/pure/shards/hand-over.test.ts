import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  aimFor,
  AT_HOME,
  begin,
  type HandOver,
  isMoving,
  nextStep,
  objectsInUse,
  type Step,
  stepDone,
  WAVE_SLOTS,
} from "../../../core/windows/hand-over.ts";
import { adopted, fenced, firstOwnership, type Ownership } from "../../../core/windows/ownership.ts";
import { IN_TRANSIT, MAX_SHARDS, objectsOf } from "../../../core/windows/slot-map.ts";

/** An object of the tenant: what it owns, which events it took and has not sealed, and which ids it remembers. */
class SimulatedObject {
  ownership: Ownership;
  readonly remembered = new Map<string, number>();
  unsealed = new Set<string>();
  late = new Set<string>();

  constructor(number: number) {
    this.ownership = firstOwnership(number);
  }

  owns(slot: number): boolean {
    return this.ownership.slots.includes(slot);
  }
}

/** A tenant: home's disk, its objects, the store, and every event that was ever taken. */
class World {
  disk: HandOver = AT_HOME;
  readonly store = new Set<string>();
  readonly counted: string[] = [];
  readonly #objects = new Map<number, SimulatedObject>();

  object(number: number): SimulatedObject {
    const known = this.#objects.get(number) ?? new SimulatedObject(number);
    this.#objects.set(number, known);
    return known;
  }

  /** Does a step as the objects do it: an old order is not followed. */
  perform(step: Step): void {
    switch (step.do) {
      case "fence": {
        const giver = this.object(step.object);
        giver.ownership = fenced(giver.ownership, step.epoch, step.slots) ?? giver.ownership;
        return;
      }
      case "drain": {
        const giver = this.object(step.object);
        for (const id of giver.late) this.#resolve(giver, id);
        giver.late = new Set();
        for (const id of giver.unsealed) this.store.add(id);
        giver.unsealed = new Set();
        return;
      }
      case "copy": {
        const taker = this.object(step.to);
        const after = adopted(taker.ownership, step.epoch, step.slots);
        if (after === null) return;
        for (const [id, slot] of this.object(step.from).remembered)
          if (step.slots.includes(slot)) taker.remembered.set(id, slot);
        taker.ownership = after;
        return;
      }
      case "release": {
        const giver = this.object(step.object);
        if (step.epoch < giver.ownership.epoch) return;
        for (const [id, slot] of giver.remembered) if (step.slots.includes(slot)) giver.remembered.delete(id);
        return;
      }
      case "publish":
        return;
    }
  }

  /** An event comes to an object that some map, old or new, names. `isLate` sends it through the look-up. */
  offer(number: number, slot: number, id: string, isLate: boolean): void {
    const object = this.object(number);
    if (!object.owns(slot)) return;
    if (object.remembered.has(id) || object.late.has(id)) return;
    if (isLate) object.late.add(id);
    // Ids forgotten by the giver are looked up; here everything that is remembered is complete.
    else this.#take(object, slot, id);
  }

  #take(object: SimulatedObject, slot: number, id: string): void {
    object.remembered.set(id, slot);
    object.unsealed.add(id);
    this.counted.push(id);
  }

  /** Looks in the object's own log and in all segments of the tenant, as the late path does. */
  #resolve(object: SimulatedObject, id: string): void {
    if (object.unsealed.has(id) || this.store.has(id)) return;
    this.#take(object, Number(id.split("-")[0]), id);
  }

  expectNoSlotOwnedTwice(): void {
    const owned = [...this.#objects.values()].flatMap(({ ownership }) => ownership.slots);
    expect(new Set(owned).size).toBe(owned.length);
  }
}

type Accident = "none" | "before" | "after" | "replayed";
const accident = fc.constantFrom<Accident>("none", "none", "none", "before", "after", "replayed");
const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("step" as const),
      accident,
      old: fc.nat(200),
      times: fc.integer({ min: 1, max: 12 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("offer" as const),
      object: fc.integer({ min: 0, max: 4 }),
      // Few ids, so that the same one comes again and again while its slot goes round.
      slot: fc.constantFrom(0, 1, 60, 130, 255),
      copy: fc.nat(1),
      isLate: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("aim" as const), count: fc.constantFrom(1, 2, 3, 4) }) },
);

/** Does the next step, or dies before or after it, or a home that was replaced repeats an old one. */
function advance(world: World, history: Step[], what: Accident, old: number): void {
  if (what === "replayed") {
    const stale = history[old % Math.max(1, history.length)];
    // An old home can repeat what it had begun, never what its storage was not asked about: publishing is a write of its own.
    if (stale !== undefined && stale.do !== "publish") world.perform(stale);
    return;
  }
  world.disk = begin(world.disk);
  const step = nextStep(world.disk);
  if (step === null || what === "before") return;
  world.perform(step);
  history.push(step);
  if (what !== "after") world.disk = stepDone(world.disk);
}

describe("handing slots over", () => {
  test("never has two owners, loses no slot and counts no event twice, wherever it crashes and however the aim changes", () => {
    fc.assert(
      fc.property(fc.array(action, { minLength: 20, maxLength: 300 }), fc.constantFrom(1, 2, 4, 8), (actions, last) => {
        const world = new World();
        const history: Step[] = [];
        for (const one of actions) {
          if (one.do === "step") {
            for (let k = 1; k < one.times; k++) advance(world, history, "none", 0);
            advance(world, history, one.accident, one.old);
          }
          if (one.do === "aim") world.disk = aimFor(world.disk, one.count);
          if (one.do === "offer") world.offer(one.object, one.slot, `${one.slot}-${one.copy}`, one.isLate);
          world.expectNoSlotOwnedTwice();
        }
        world.disk = aimFor(world.disk, last);
        for (let steps = 0; isMoving(world.disk) && steps < 1000; steps++) {
          advance(world, history, "none", 0);
          world.expectNoSlotOwnedTwice();
        }
        expect(isMoving(world.disk)).toBe(false);
        const { owners } = world.disk.map;
        expect(new Set(owners)).toEqual(new Set(objectsOf(last)));
        for (const [slot, owner] of owners.entries()) expect(world.object(owner).owns(slot)).toBe(true);
        for (let object = 0; object <= 8; object++) world.perform({ do: "drain", object });
        expect(new Set(world.counted).size).toBe(world.counted.length);
      }),
      { numRuns: 300 },
    );
  });

  test("an order of an earlier wave, repeated by a home that was replaced, changes nothing", () => {
    const world = new World();
    const history: Step[] = [];
    for (const count of [2, 1]) {
      world.disk = aimFor(world.disk, count);
      for (let steps = 0; isMoving(world.disk) && steps < 1000; steps++) advance(world, history, "none", 0);
    }
    const before = [0, 1, 2].map((object) => world.object(object).ownership);
    // The last wave's own orders may come again as well: they ask for what is so already.
    for (const step of history.toReversed()) world.perform(step);
    expect([0, 1, 2].map((object) => world.object(object).ownership)).toEqual(before);
  });

  test("tells of a slot only where it is accepted or nowhere: what a map says of an owner holds until the next epoch", () => {
    const world = new World();
    world.disk = aimFor(world.disk, 4);
    for (let steps = 0; isMoving(world.disk) && steps < 1000; steps++) {
      world.disk = begin(world.disk);
      const step = nextStep(world.disk);
      if (step === null) continue;
      world.perform(step);
      const { epoch } = world.disk.map;
      world.disk = stepDone(world.disk);
      expect(world.disk.map.epoch).toBe(step.do === "publish" ? epoch + 1 : epoch);
      for (const [slot, owner] of world.disk.map.owners.entries())
        if (owner !== IN_TRANSIT) expect(world.object(owner).owns(slot)).toBe(true);
    }
    expect(world.disk.map.owners.filter((owner) => owner === 3)).toHaveLength(64);
  });

  test("has at most one wave of slots in transit, and both ends of it count as in use", () => {
    let state = aimFor(AT_HOME, MAX_SHARDS);
    for (let steps = 0; isMoving(state) && steps < 1000; steps++) {
      state = begin(state);
      expect(state.map.owners.filter((owner) => owner === IN_TRANSIT).length).toBeLessThanOrEqual(WAVE_SLOTS);
      for (const { from, to } of state.wave?.legs ?? [])
        expect(objectsInUse(state)).toEqual(expect.arrayContaining([from, to]));
      state = stepDone(state);
    }
    expect(objectsInUse(state)).toEqual(objectsOf(MAX_SHARDS));
    expect(state.highest).toBe(MAX_SHARDS);
  });

  test("copies nothing before every giver of the wave is fenced and drained, and forgets nothing before the map is out", () => {
    let state = begin(aimFor(AT_HOME, 8));
    const kinds: string[] = [];
    for (let step = nextStep(state); step !== null && state.wave !== null; step = nextStep(state)) {
      kinds.push(step.do);
      state = stepDone(state);
    }
    expect(kinds.join(" ")).toMatch(/^(fence )+(drain )+(copy )+publish( release)+$/);
  });
});
