import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EventBatch } from "../../core/events/event-batch.ts";
import type { EventMessage } from "../../core/events/message.ts";
import { ownsAll } from "../../core/windows/ownership.ts";
import { FIRST_MAP, HOME, IN_TRANSIT, planMoves, type SlotMap, SLOTS } from "../../core/windows/slot-map.ts";
import type { ApplyOutcome, IncomingMessage } from "../../durable-objects/aggregator/messages.ts";
import { packChunk, unpackChunk } from "../../storage/chunk.ts";
import { ColumnarBuilder } from "../../core/events/event-batch.ts";
import { consume, type ConsumeDeps } from "../../workers/consume/index.ts";
import { NotCalledError } from "../../workers/consume/limiter.ts";
import { ConsumerMemory } from "../../workers/consume/memory.ts";

const TENANT = "shop";

function spread(count: number, epoch: number): SlotMap {
  const owners = [...FIRST_MAP.owners];
  for (const { slot, to } of planMoves(owners, count)) owners[slot] = to;
  return { epoch, owners };
}

function messageOf(ids: readonly string[]): EventMessage {
  const builder = new ColumnarBuilder();
  for (const id of ids)
    builder.add({ id, type: "t", source: "s", timestamp: 0, receivedAt: 0, severity: "low", data: {}, metadata: {} });
  const body = packChunk(builder.toText());
  return { v: 1, tenant: TENANT, batch: crypto.randomUUID(), n: ids.length, acceptedAt: 0, body };
}

const idsOf = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, k) => `${prefix}-${k}`);

type Marked = Error & { overloaded?: boolean; retryable?: boolean };

function marked(mark: "overloaded" | "retryable"): Marked {
  const error: Marked = new Error(`the object is ${mark}`);
  error[mark] = true;
  return error;
}

/** A tenant's objects behind a map: each takes what it owns once, refuses the rest, and fails when told to. */
class World {
  map: SlotMap = FIRST_MAP;
  readonly applied = new Map<number, string[]>();
  readonly calls: string[] = [];
  readonly buried: unknown[] = [];
  readonly requeued: { readonly message: EventMessage; readonly delaySeconds: number }[] = [];
  isQueueFull = false;
  readonly waits: number[] = [];
  /** What the next calls to an object throw, in order. */
  readonly errors = new Map<number, Error[]>();
  /** An event that no object can fold. */
  poison: string | undefined;
  onWait: () => void = () => undefined;
  readonly memory = new ConsumerMemory();
  limited: ConsumeDeps["limited"] = (_tenant, _shard, ask) => ask();
  #stubs = 0;

  get deps(): ConsumeDeps {
    return {
      target: (_, shard) => this.#stub(shard),
      bury: async (letter) => this.buried.push(letter),
      requeue: async (messages, delaySeconds) => {
        if (this.isQueueFull) throw new Error("Too Many Requests");
        this.requeued.push(...messages.map((message) => ({ message, delaySeconds })));
      },
      random: () => 0,
      wait: async (ms) => {
        this.waits.push(ms);
        this.onWait();
      },
      memory: this.memory,
      limited: (tenant, shard, ask) => this.limited(tenant, shard, ask),
    };
  }

  get stored(): string[] {
    return [...this.applied.values()].flat().toSorted();
  }

  /** A stub that has thrown is broken for good. */
  #stub(shard: number): ReturnType<ConsumeDeps["target"]> {
    const name = `stub ${++this.#stubs}`;
    let broken: Error | undefined;
    return {
      apply: async (messages, options) => {
        this.calls.push(`apply ${shard}${options?.careful === true ? " careful" : ""} overloads=${options?.overloads}`);
        if (broken !== undefined) throw new Error(`${name} is broken`);
        broken = this.errors.get(shard)?.shift();
        if (broken !== undefined) throw broken;
        return this.#apply(shard, messages);
      },
      settle: async () => void this.calls.push(`settle ${shard}`),
      ping: async () => true,
      slotMap: async () => {
        this.calls.push(`map ${shard}`);
        broken = this.errors.get(-100)?.shift();
        if (broken !== undefined) throw broken;
        return this.map;
      },
    };
  }

  #apply(shard: number, messages: readonly IncomingMessage[]): ApplyOutcome {
    const slots = new Set([...this.map.owners.keys()].filter((slot) => this.map.owners[slot] === shard));
    const refused: string[] = [];
    const unreadable: string[] = [];
    for (const { id, body } of messages) {
      const batch = read(body);
      if (batch?.ids.includes(this.poison ?? "") === true) throw new Error(`cannot fold ${this.poison}`);
      if (batch === undefined) unreadable.push(id);
      else if (!ownsAll(slots, batch)) refused.push(id);
      else this.applied.set(shard, [...(this.applied.get(shard) ?? []), ...batch.ids]);
    }
    return { fresh: 0, duplicates: 0, late: 0, unreadable, refused };
  }
}

function read(body: Uint8Array): EventBatch | undefined {
  try {
    return EventBatch.fromText(unpackChunk(body));
  } catch {
    return undefined;
  }
}

/** A queue's batch that notes what it is told. */
function batchOf(bodies: readonly unknown[], attempts = 1) {
  const told = new Map<string, string>();
  const messages = bodies.map((body, k) => ({
    id: `m${k}`,
    timestamp: new Date(0),
    body,
    attempts,
    ack: () => void told.set(`m${k}`, "ack"),
    retry: (options?: QueueRetryOptions) => void told.set(`m${k}`, `again in ${options?.delaySeconds}`),
  }));
  const batch: MessageBatch = {
    queue: "streamflow-events",
    metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } },
    messages,
    ackAll: () => undefined,
    retryAll: () => undefined,
  };
  return { batch, told };
}

async function consumeIn(world: World, bodies: readonly unknown[], attempts = 1): Promise<string[]> {
  const { batch, told } = batchOf(bodies, attempts);
  await consume(batch, world.deps);
  return [...told.values()];
}

describe("events of several shards", () => {
  test("with one shard are taken unopened in one call, and nobody is asked for a map", async () => {
    const world = new World();
    expect(await consumeIn(world, [messageOf(idsOf("a", 5)), messageOf(idsOf("b", 5))])).toEqual(["ack", "ack"]);
    expect(world.calls).toEqual(["apply 0 overloads=0"]);
  });

  test("are split by owner after the first refusal; from then on each owner is called once and none is asked for the map", async () => {
    const world = new World();
    world.map = spread(4, 8);
    const bodies = [messageOf(idsOf("a", 200)), messageOf(idsOf("b", 200))];
    expect(await consumeIn(world, bodies)).toEqual(["ack", "ack"]);
    expect(world.stored).toEqual([...idsOf("a", 200), ...idsOf("b", 200)].toSorted());
    expect(world.calls.slice(0, 2)).toEqual(["apply 0 overloads=0", "map 0"]);
    world.calls.length = 0;
    expect(await consumeIn(world, [messageOf(idsOf("c", 200))])).toEqual(["ack"]);
    expect(world.calls.toSorted()).toEqual([1, 2, 3, 4].map((shard) => `apply ${shard} overloads=0`));
  });

  test("each reach exactly the owner of their slot, whatever the old map and the new one say", async () => {
    const owners = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: SLOTS, maxLength: SLOTS });
    await fc.assert(
      fc.asyncProperty(owners, owners, fc.integer({ min: 1, max: 40 }), async (before, now, count) => {
        const world = new World();
        world.memory.keepMap(TENANT, { epoch: 3, owners: before });
        world.map = { epoch: 5, owners: now };
        const ids = idsOf("x", count);
        expect(await consumeIn(world, [messageOf(ids), messageOf(ids.map((id) => `${id}-b`))])).toEqual(["ack", "ack"]);
        expect(world.stored).toEqual([...ids, ...ids.map((id) => `${id}-b`)].toSorted());
      }),
      { numRuns: 40 },
    );
  });

  test("whose slots are in transit wait while the others are taken, and follow when the slots have arrived", async () => {
    const world = new World();
    const arrived = spread(2, 2);
    world.map = { epoch: 1, owners: arrived.owners.map((owner, slot) => (slot < 64 ? IN_TRANSIT : owner)) };
    let takenBefore = 0;
    world.onWait = () => {
      takenBefore = world.stored.length;
      if (world.waits.length === 3) world.map = arrived;
    };
    expect(await consumeIn(world, [messageOf(idsOf("a", 400))])).toEqual(["ack"]);
    expect(takenBefore).toBeGreaterThan(200);
    expect(takenBefore).toBeLessThan(400);
    expect(world.stored).toEqual(idsOf("a", 400).toSorted());
    expect(world.waits).toEqual([50, 100, 200]);
  });

  test("that wait too long come again after a short delay, and none of their deliveries counts against them", async () => {
    const world = new World();
    world.map = { epoch: 1, owners: FIRST_MAP.owners.map(() => IN_TRANSIT) };
    const body = messageOf(idsOf("a", 10));
    // The pauses grow, so that the hundred tries the queue makes last for hours.
    for (const [k, seconds] of [2, 2, 4, 8, 16, 32, 60, 60, 60].entries())
      expect(await consumeIn(world, [body], k + 1)).toEqual([`again in ${seconds}`]);
    expect(world.waits.reduce((sum, ms) => sum + ms, 0)).toBeLessThan(9 * 10_000);
    world.map = spread(2, 2);
    world.errors.set(1, [new Error("some failure")]);
    // The tenth delivery fails for the first time: it is neither tried alone nor cut up, and the pause is a first one's.
    world.calls.length = 0;
    expect(await consumeIn(world, [body], 10)).toEqual(["again in 1"]);
    expect(world.calls.some((call) => call.includes("careful"))).toBe(false);
    expect(await consumeIn(world, [body], 11)).toEqual(["ack"]);
    expect(world.buried).toEqual([]);
  });

  test("that were taken are not taken again when the slots of the others stay in transit for long", async () => {
    const world = new World();
    const arrived = spread(2, 2);
    world.map = { epoch: 1, owners: arrived.owners.map((owner, slot) => (slot < 64 ? IN_TRANSIT : owner)) };
    expect(await consumeIn(world, [messageOf(idsOf("a", 400))])).toEqual(["ack"]);
    const [rest] = world.requeued;
    expect(rest?.delaySeconds).toBe(2);
    expect(world.stored.length + (rest?.message.n ?? 0)).toBe(400);
    world.map = arrived;
    expect(await consumeIn(world, [rest?.message])).toEqual(["ack"]);
    expect(world.stored).toEqual(idsOf("a", 400).toSorted());
  });

  test("fail only in the messages that had a part for the object that failed", async () => {
    const world = new World();
    world.map = spread(2, 2);
    world.memory.keepMap(TENANT, world.map);
    const ids = idsOf("a", 100);
    const mine = (shard: number): string[] =>
      ids.filter((id) => {
        const slots = new Set([...world.map.owners.keys()].filter((slot) => world.map.owners[slot] === shard));
        return ownsAll(slots, EventBatch.fromText(unpackChunk(messageOf([id]).body)));
      });
    world.errors.set(2, [new Error("some failure")]);
    const told = await consumeIn(world, [messageOf(mine(1)), messageOf(mine(2)), messageOf(ids)]);
    expect(told).toEqual(["ack", "again in 1", "again in 1"]);
  });

  test("of a message that cannot be read are buried once, with home told that they are off their way", async () => {
    const world = new World();
    world.map = spread(4, 2);
    world.memory.keepMap(TENANT, world.map);
    const broken = { ...messageOf(idsOf("a", 4)), body: new Uint8Array([9, 9, 9]) };
    expect(await consumeIn(world, [broken, messageOf(idsOf("b", 20))])).toEqual(["ack", "ack"]);
    expect(world.buried).toHaveLength(1);
    expect(world.calls).toContain(`settle ${HOME}`);
    expect(world.stored).toEqual(idsOf("b", 20).toSorted());
  });
});

describe("a poison event among those of several shards", () => {
  test("is found by halving and buried alone; every other event is taken once by its owner", async () => {
    const world = new World();
    world.map = spread(4, 2);
    world.poison = "p-42";
    const ids = idsOf("p", 100);
    expect(await consumeIn(world, [messageOf(ids)], 4)).toEqual(["ack"]);
    expect(world.buried).toMatchObject([{ kind: "poison", reason: "cannot fold p-42", message: { n: 1 } }]);
    expect([...new Set(world.stored)]).toEqual(ids.filter((id) => id !== "p-42").toSorted());
    expect(world.calls.filter((call) => call.startsWith("settle"))).toEqual(["settle 0"]);
  });
});

describe("objects in trouble", () => {
  test("a retryable error is tried once more at once, by a new stub", async () => {
    const world = new World();
    world.errors.set(HOME, [marked("retryable")]);
    expect(await consumeIn(world, [messageOf(idsOf("a", 3))])).toEqual(["ack"]);
    expect(world.calls).toEqual(["apply 0 overloads=0", "apply 0 overloads=0"]);
  });

  test("a second retryable error makes the message come again", async () => {
    const world = new World();
    world.errors.set(HOME, [marked("retryable"), marked("retryable")]);
    expect(await consumeIn(world, [messageOf(idsOf("a", 3))])).toEqual(["again in 1"]);
    expect(world.calls).toHaveLength(2);
  });

  test("an object whose circuit is open is not called, and no delivery is held against the messages", async () => {
    const world = new World();
    world.limited = async () => {
      throw new NotCalledError("circuit open");
    };
    for (let attempt = 1; attempt <= 10; attempt++) {
      const [told] = await consumeIn(world, [messageOf(idsOf("a", 5))], attempt);
      expect(told).toMatch(/^again in \d+$/);
      expect(world.memory.triesOf({ id: "m0", attempts: attempt + 1 })).toBe(1);
    }
    expect([world.calls, world.buried]).toEqual([[], []]);
    world.limited = (_tenant, _shard, ask) => ask();
    expect(await consumeIn(world, [messageOf(idsOf("a", 5))], 11)).toEqual(["ack"]);
  });

  test("an overloaded object is not asked again at once, and is left alone for longer", async () => {
    const world = new World();
    world.errors.set(HOME, [marked("overloaded")]);
    expect(await consumeIn(world, [messageOf(idsOf("a", 3))])).toEqual(["again in 16"]);
    expect(world.calls).toEqual(["apply 0 overloads=0"]);
  });

  test("an error that is both is an overload", async () => {
    const world = new World();
    const both = marked("overloaded");
    both.retryable = true;
    world.errors.set(HOME, [both]);
    expect(await consumeIn(world, [messageOf(idsOf("a", 3))])).toEqual(["again in 16"]);
    expect(world.calls).toHaveLength(1);
  });

  test("no message is blamed for an overload, however often it meets one", async () => {
    const world = new World();
    const body = messageOf(idsOf("a", 8));
    for (let attempts = 1; attempts <= 8; attempts++) {
      world.errors.set(HOME, [marked("overloaded")]);
      expect((await consumeIn(world, [body], attempts))[0]).toMatch(/^again in (16|32|60)$/);
    }
    expect(world.calls.some((call) => call.includes("careful"))).toBe(false);
    expect(await consumeIn(world, [body], 9)).toEqual(["ack"]);
    expect(world.buried).toEqual([]);
  });

  test("a suspect tried alone is not cut up while its object is overloaded", async () => {
    const world = new World();
    world.errors.set(HOME, [marked("overloaded")]);
    expect(await consumeIn(world, [messageOf(idsOf("a", 8))], 9)).toEqual(["again in 60"]);
    expect(world.calls).toEqual(["apply 0 careful overloads=0"]);
    expect(world.buried).toEqual([]);
  });

  test("overloads are told to the object with the next call that reaches it", async () => {
    const world = new World();
    world.errors.set(HOME, [marked("overloaded"), marked("overloaded")]);
    const body = messageOf(idsOf("a", 3));
    for (let k = 0; k < 4; k++) await consumeIn(world, [body]);
    expect(world.calls).toEqual([0, 1, 2, 0].map((overloads) => `apply 0 overloads=${overloads}`));
  });

  test("of a message of several shards only the part of the overloaded one comes again, as a message of its own", async () => {
    const world = new World();
    world.map = spread(4, 2);
    world.memory.keepMap(TENANT, world.map);
    world.errors.set(3, [marked("overloaded")]);
    const body = messageOf(idsOf("a", 200));
    expect(await consumeIn(world, [body])).toEqual(["ack"]);
    const [rest] = world.requeued;
    expect(world.requeued).toHaveLength(1);
    expect(rest?.delaySeconds).toBe(16);
    expect(rest?.message).toMatchObject({
      v: 1,
      tenant: TENANT,
      acceptedAt: body.acceptedAt,
      n: 200 - world.stored.length,
    });
    expect(rest?.message.batch).not.toBe(body.batch);
    expect(await consumeIn(world, [rest?.message])).toEqual(["ack"]);
    expect(world.stored).toEqual(idsOf("a", 200).toSorted());
  });

  test("the whole message comes again when its rest cannot be put on the queue", async () => {
    const world = new World();
    world.map = spread(2, 2);
    world.memory.keepMap(TENANT, world.map);
    world.errors.set(2, [marked("overloaded")]);
    world.isQueueFull = true;
    expect(await consumeIn(world, [messageOf(idsOf("a", 100))])).toEqual(["again in 1"]);
  });

  test("nobody is blamed when home does not say where the slots are", async () => {
    const world = new World();
    world.map = spread(2, 2);
    world.errors.set(-100, [new Error("home is away")]);
    expect(await consumeIn(world, [messageOf(idsOf("a", 40))])).toEqual(["again in 2"]);
    expect(await consumeIn(world, [messageOf(idsOf("a", 40))], 2)).toEqual(["ack"]);
  });
});
