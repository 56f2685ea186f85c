import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { EventBatch } from "../../core/events/event-batch.ts";
import type { EventMessage, PoisonMessage } from "../../core/events/message.ts";
import { retryDelaySeconds } from "../../core/events/poison.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { unpackChunk } from "../../storage/chunk.ts";
import { type ConsumeDeps, consume } from "../../workers/consume/index.ts";
import { ConsumerMemory } from "../../workers/consume/memory.ts";
import worker from "../../workers/index.ts";
import { eventMessage, events, newTenant, T0 } from "./event-messages.ts";

function batchOf(bodies: readonly unknown[], attempts = 1): MessageBatch {
  return createMessageBatch(
    "streamflow-events",
    bodies.map((body, k) => ({ id: `m${k}`, timestamp: new Date(T0), body, attempts })),
  );
}

/** What the queue was told: ids acknowledged, and ids to come again. */
async function told(batch: MessageBatch): Promise<{ acked: string[]; again: string[] }> {
  const result = await getQueueResult(batch, createExecutionContext());
  return { acked: result.explicitAcks.toSorted(), again: result.retryMessages.map(({ msgId }) => msgId).toSorted() };
}

const storedEvents = async (tenant: string): Promise<number> =>
  (await windowAggregator(env, tenant).stats()).total_events;

/** A target on which applying an event with this id throws, as a bug in the fold would. */
function poisonedBy(id: string, buried: unknown[], isDown = () => false): ConsumeDeps {
  return {
    target: (tenant) => ({
      ...pick(tenant),
      apply: async (messages, options) => {
        if (isDown()) throw new Error("object is gone");
        const ids = messages.flatMap(({ body }) => EventBatch.fromText(unpackChunk(body)).ids);
        if (ids.includes(id)) throw new Error(`cannot fold ${id}`);
        return await windowAggregator(env, tenant).apply(messages, options);
      },
      ping: async () => {
        if (isDown()) throw new Error("object is gone");
        return true as const;
      },
    }),
    bury: async (letter) => buried.push(letter),
    requeue: async () => undefined,
    random: () => 0,
    wait: async () => undefined,
    memory: new ConsumerMemory(),
    limited: (_tenant, _shard, ask) => ask(),
  };
}

function pick(tenant: string) {
  const object = windowAggregator(env, tenant);
  return { settle: (count: number) => object.settle(count), slotMap: () => object.slotMap() };
}

describe("consuming", () => {
  test("tenants in one batch stay apart", async () => {
    const [a, b] = [newTenant("consume"), newTenant("consume")];
    const batch = batchOf([eventMessage(a, events(3, "same")), eventMessage(b, events(5, "same"))]);
    await worker.queue(batch, env, createExecutionContext());
    expect(await told(batch)).toEqual({ acked: ["m0", "m1"], again: [] });
    expect([await storedEvents(a), await storedEvents(b)]).toEqual([3, 5]);
  });

  test("a redelivered batch changes nothing", async () => {
    const tenant = newTenant("consume");
    const bodies = [eventMessage(tenant, events(10))];
    for (let k = 0; k < 3; k++) await worker.queue(batchOf(bodies), env, createExecutionContext());
    expect(await storedEvents(tenant)).toBe(10);
  });

  test("an unreadable message becomes a dead letter and its neighbours are counted", async () => {
    const tenant = newTenant("consume");
    const broken: EventMessage = { ...eventMessage(tenant, events(4, "broken")), body: new Uint8Array([9, 9, 9]) };
    const buried: unknown[] = [];
    const batch = batchOf([eventMessage(tenant, events(2, "good")), broken]);
    await consume(batch, { ...poisonedBy("nobody", buried), target: (name) => windowAggregator(env, name) });
    expect(await told(batch)).toEqual({ acked: ["m0", "m1"], again: [] });
    expect(buried).toMatchObject([{ kind: "poison", reason: "cannot be read" }]);
    expect(await storedEvents(tenant)).toBe(2);
  });

  test("what is no event message is buried as it is", async () => {
    const buried: unknown[] = [];
    const batch = batchOf([
      { hello: "world" },
      { ...eventMessage("x", events(1)), tenant: "../other" },
      { v: 1, kind: "probe" },
    ]);
    await consume(batch, poisonedBy("nobody", buried));
    expect(await told(batch)).toEqual({ acked: ["m0", "m1", "m2"], again: [] });
    expect(buried).toHaveLength(2);
  });

  test("one poison event is found by halving and buried alone, after bounded tries; the other 99 of its message are counted", async () => {
    const tenant = newTenant("consume");
    const bodies = [eventMessage(tenant, events(100, "p")), eventMessage(tenant, events(50, "neighbour"))];
    const buried: unknown[] = [];
    const deps = poisonedBy("p-42", buried);
    const first = batchOf(bodies, 1);
    await consume(first, deps);
    expect(await told(first)).toEqual({ acked: [], again: ["m0", "m1"] });
    const third = batchOf(bodies, 3);
    await consume(third, deps);
    expect(await told(third)).toEqual({ acked: ["m1"], again: ["m0"] });
    const fourth = batchOf([bodies[0]], 4);
    await consume(fourth, deps);
    expect(await told(fourth)).toEqual({ acked: ["m0"], again: [] });
    expect(await storedEvents(tenant)).toBe(149);
    const [letter] = buried as PoisonMessage[];
    expect(buried).toHaveLength(1);
    expect(letter?.reason).toBe("cannot fold p-42");
    expect(EventBatch.fromText(unpackChunk(letter?.message.body ?? new Uint8Array())).ids).toEqual(["p-42"]);
  });

  test("no event is blamed while the object itself is away", async () => {
    const tenant = newTenant("consume");
    const buried: unknown[] = [];
    const batch = batchOf([eventMessage(tenant, events(4))], 9);
    await consume(
      batch,
      poisonedBy("nobody", buried, () => true),
    );
    expect(await told(batch)).toEqual({ acked: [], again: ["m0"] });
    expect(buried).toEqual([]);
  });

  test("the pause before a retry doubles up to a minute", () => {
    expect([1, 2, 3, 4, 7, 12].map((attempts) => retryDelaySeconds(attempts, 0))).toEqual([1, 2, 4, 8, 60, 60]);
    expect(retryDelaySeconds(7, 0.999)).toBe(30);
  });
});
