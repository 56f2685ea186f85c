import { describe, expect, test } from "vitest";
import { QUIET_FOR_MS, READ_EVERY_MS } from "../../core/windows/scaling.ts";
import { IN_TRANSIT, MAX_SHARDS } from "../../core/windows/slot-map.ts";
import { Sharding } from "../../durable-objects/aggregator/sharding.ts";
import { Slots } from "../../durable-objects/aggregator/slots.ts";

/** Small facts on a disk that outlives the object. */
class Disk {
  readonly #facts = new Map<string, string>();

  readMeta(key: string): unknown {
    const text = this.#facts.get(key);
    return text === undefined ? undefined : JSON.parse(text);
  }

  writeMeta(key: string, value: unknown): void {
    this.#facts.set(key, JSON.stringify(value));
  }
}

/** A tenant of objects with disks; home's sharding can be started anew from its own at any time. */
class World {
  now = 1_000_000;
  readonly homeDisk = new Disk();
  readonly calls: string[] = [];
  readonly applied = new Map<number, number>([[0, 0]]);
  /** Throws on the how-manieth call from now, before or after the object has done it. */
  failure: { in: number; when: "before" | "after" } | undefined;
  readonly #disks = new Map<number, Disk>();
  sharding = this.start();

  start(): Sharding<string> {
    this.sharding = new Sharding(this.homeDisk, {
      now: () => this.now,
      applied: () => new Map(this.applied),
      firstMode: "auto",
      peer: (object) => ({
        fence: (epoch, slots) => this.#call(`fence ${object}`, () => void this.slots(object).fence(epoch, slots)),
        drain: () => this.#call(`drain ${object}`, () => undefined),
        exportIds: (slots) => this.#call(`export ${object}`, () => `ids of ${slots.join()}`),
        adopt: (epoch, slots, ids) =>
          this.#call(`adopt ${object}`, () => {
            expect(ids).toBe(`ids of ${slots.join()}`);
            this.slots(object).adopt(epoch, slots);
          }),
        release: () => this.#call(`release ${object}`, () => undefined),
      }),
    });
    return this.sharding;
  }

  /** As the object would find them after a restart. */
  slots(object: number): Slots {
    const disk = this.#disks.get(object) ?? new Disk();
    this.#disks.set(object, disk);
    return new Slots(disk, object);
  }

  async #call<T>(name: string, perform: () => T): Promise<T> {
    const isDue = this.failure !== undefined && --this.failure.in === 0;
    if (isDue && this.failure?.when === "before") throw new Error(`lost before ${name}`);
    const result = perform();
    this.calls.push(name);
    if (isDue) throw new Error(`lost after ${name}`);
    return result;
  }
}

describe("home's sharding", () => {
  test("moves the slots of one shard to four, and back to home", async () => {
    const world = new World();
    world.sharding.want(4);
    await world.sharding.handOvers.run();
    const { objects, moving, inTransit, mode, count } = world.sharding.info();
    expect({ moving, inTransit, mode, count }).toEqual({ moving: false, inTransit: 0, mode: "manual", count: 4 });
    expect(objects.map(({ slots }) => slots)).toEqual([0, 64, 64, 64, 64]);
    expect([0, 1, 2, 3, 4].map((object) => world.slots(object).count)).toEqual([0, 64, 64, 64, 64]);
    world.sharding.want(1);
    await world.sharding.handOvers.run();
    expect([0, 1, 2, 3, 4].map((object) => world.slots(object).count)).toEqual([256, 0, 0, 0, 0]);
    expect(world.sharding.others).toEqual([]);
  });

  test("goes on from its disk after a crash before or after every call to an object, and ends the same", async () => {
    const plain = new World();
    plain.sharding.want(2);
    await plain.sharding.handOvers.run();
    plain.sharding.want(1);
    await plain.sharding.handOvers.run();
    const calls = plain.calls.length;
    expect(calls).toBeGreaterThan(30);
    for (let at = 1; at <= calls; at++) {
      for (const when of ["before", "after"] as const) {
        const world = new World();
        world.failure = { in: at, when };
        for (const count of [2, 1]) {
          world.sharding.want(count);
          await world.sharding.handOvers.run().catch(() => undefined);
          world.start();
          await world.sharding.handOvers.run();
          const owned = world.sharding.info().objects.map(({ object }) => world.slots(object).count);
          expect(owned.slice(0, 3), `${when} call ${at}`).toEqual(count === 2 ? [0, 128, 128] : [256, 0, 0]);
          expect(world.sharding.handOvers.map.owners).not.toContain(IN_TRANSIT);
        }
      }
    }
  });

  test("leaves no slot without an owner when another number is wanted right after such a crash", async () => {
    const plain = new World();
    plain.sharding.want(2);
    await plain.sharding.handOvers.run();
    for (let at = 1; at <= plain.calls.length; at++) {
      for (const when of ["before", "after"] as const) {
        const world = new World();
        world.failure = { in: at, when };
        world.sharding.want(2);
        await world.sharding.handOvers.run().catch(() => undefined);
        world.start().want(1);
        await world.sharding.handOvers.run();
        expect(
          [0, 1, 2].map((object) => world.slots(object).count),
          `${when} call ${at}`,
        ).toEqual([256, 0, 0]);
        expect(new Set(world.sharding.handOvers.map.owners)).toEqual(new Set([0]));
      }
    }
  });

  test("tries again later, each time after a longer pause, when an object does not answer", async () => {
    const world = new World();
    world.sharding.want(2);
    expect(world.sharding.handOvers.dueAt).toBe(world.now);
    const pauses: number[] = [];
    for (let k = 0; k < 4; k++) {
      world.failure = { in: 1, when: "before" };
      await expect(world.sharding.handOvers.run()).rejects.toThrow("lost before");
      pauses.push((world.sharding.handOvers.dueAt ?? 0) - world.now);
    }
    expect(pauses).toEqual([1000, 2000, 4000, 8000]);
    const before = world.calls.length;
    await world.sharding.handOvers.runIfDue();
    expect(world.calls).toHaveLength(before);
    world.now += 8000;
    await world.sharding.handOvers.runIfDue();
    expect(world.sharding.info().moving).toBe(false);
  });

  test("takes no slot out of service while a giver cannot be drained, as when the store is away", async () => {
    const world = new World();
    world.sharding.want(4);
    world.failure = { in: 1, when: "before" };
    await expect(world.sharding.handOvers.run()).rejects.toThrow("lost before drain 0");
    expect(world.sharding.info()).toMatchObject({ moving: true, inTransit: 0, map: { epoch: 0 } });
    expect(world.slots(0).count).toBe(256);
  });

  test("changes its aim in the middle of a move without going back on what is under way", async () => {
    const world = new World();
    world.sharding.want(8);
    world.failure = { in: 20, when: "after" };
    await expect(world.sharding.handOvers.run()).rejects.toThrow("lost after");
    world.sharding.want(2);
    await world.sharding.handOvers.run();
    expect(world.sharding.info().objects.map(({ slots }) => slots)).toEqual([0, 128, 128, 0, 0, 0, 0, 0, 0]);
  });

  test("names every object that may hold unsealed events while slots move", async () => {
    const world = new World();
    world.sharding.want(2);
    for (let at = 1; at <= 12; at++) {
      world.failure = { in: 1, when: "after" };
      await world.sharding.handOvers.run().catch(() => undefined);
      const holding = [1, 2].filter((object) => world.slots(object).count > 0);
      expect(world.sharding.others).toEqual(expect.arrayContaining(holding));
    }
  });
});

describe("a tenant under load", () => {
  test("grows by itself, and shrinks after long quiet even if home was evicted meanwhile", async () => {
    const world = new World();
    for (let k = 0; k < 4; k++) {
      world.now += READ_EVERY_MS;
      world.applied.set(0, (world.applied.get(0) ?? 0) + 100 * READ_EVERY_MS);
      expect(world.sharding.look()).toBe(k === 3);
    }
    expect(world.sharding.info()).toMatchObject({ count: 2, mode: "auto", moving: true });
    expect(world.sharding.info().objects[0]?.eventsPerSecond).toBe(100_000);
    await world.sharding.handOvers.run();
    world.now += READ_EVERY_MS;
    world.sharding.look();
    expect(world.sharding.dueAt.at(-1)).not.toBeNull();
    for (let passed = 0; passed <= QUIET_FOR_MS; passed += 300_000) {
      world.now += 300_000;
      world.start().look();
    }
    expect(world.sharding.info()).toMatchObject({ count: 1, moving: true });
  });

  test("grows when objects turn calls away, and not in manual mode", () => {
    for (const mode of ["auto", "manual"] as const) {
      const world = new World();
      if (mode === "manual") world.sharding.want(1);
      for (let k = 0; k < 6; k++) {
        world.now += READ_EVERY_MS;
        world.sharding.noteOverloads(0, 2);
        world.sharding.look();
      }
      expect(world.sharding.info().count).toBe(mode === "auto" ? 2 : 1);
    }
  });

  test("has at most as many shards as there may be", async () => {
    const world = new World();
    world.sharding.want(MAX_SHARDS);
    await world.sharding.handOvers.run();
    expect(
      world.sharding
        .info()
        .objects.slice(1)
        .map(({ slots }) => slots),
    ).toEqual(Array(16).fill(16));
  });
});
