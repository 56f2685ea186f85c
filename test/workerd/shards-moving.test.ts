import {
  createExecutionContext,
  createMessageBatch,
  evictDurableObject,
  getQueueResult,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import type { StreamEvent } from "../../core/events/event.ts";
import type { EventMessage } from "../../core/events/message.ts";
import { aggregatorName } from "../../core/events/names.ts";
import { ALL_EVENTS, type Cursor } from "../../core/events/query.ts";
import { definitionSchema } from "../../core/windows/definition.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { eventById, eventPage } from "../../workers/api/event-reads.ts";
import worker from "../../workers/index.ts";
import { event, eventMessage, newTenant, T0 } from "./event-messages.ts";
import { everyWindow, storeIsAway } from "./window-aggregator-bench.ts";

const SESSIONS = definitionSchema.parse({
  name: "visits",
  window: { type: "session", gap: "30s" },
  group_by: ["user_id"],
  measures: { events: { fn: "count" }, spent: { fn: "sum", field: "data.amount" } },
  out_of_orderness: "5m",
});
const HOPPING = definitionSchema.parse({
  name: "spending",
  window: { type: "hopping", size: "10m", slide: "1m" },
  group_by: ["data.shop"],
  measures: {
    total: { fn: "sum", field: "data.amount" },
    users: { fn: "distinct", field: "user_id" },
    p90: { fn: "quantile", field: "data.amount", q: 0.9 },
    last: { fn: "last", field: "data.amount" },
  },
  out_of_orderness: "5m",
});

/** Shuffled over some minutes, each of every third twice. */
function disorderly(count: number): StreamEvent[] {
  const list = Array.from({ length: count }, (_, k) =>
    event(`e-${k}`, T0 + ((k * 7919) % count) * 700, {
      source: `shop-${k % 3}`,
      user_id: `u-${k % 17}`,
      data: { shop: `s${k % 5}`, amount: (k % 50) / 4 },
    }),
  );
  return [...list, ...list.filter((_, k) => k % 3 === 0)];
}

const objectOf = (tenant: string, shard: number) => env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant, shard));

/** Ends an object, after what it is doing or in the midst of it. One that does not run cannot be ended: then nothing happens. */
async function stop(tenant: string, shard: number, how: "eviction" | "crash"): Promise<void> {
  const object = objectOf(tenant, shard);
  const end =
    how === "eviction"
      ? evictDurableObject(object)
      : runInDurableObject(object, (_, state) => state.abort("ended by the test"));
  await end.catch(() => undefined);
}

/** Has the queue deliver until every message is acknowledged. */
async function ship(tenant: string, list: readonly StreamEvent[], perMessage = 50): Promise<void> {
  let bodies: EventMessage[] = [];
  for (let from = 0; from < list.length; from += perMessage)
    bodies.push(eventMessage(tenant, list.slice(from, from + perMessage)));
  for (let attempts = 1; bodies.length > 0; attempts++) {
    const messages = bodies.map((body, k) => ({ id: `${body.batch} ${k}`, timestamp: new Date(T0), body, attempts }));
    const batch = createMessageBatch("streamflow-events", messages);
    await worker.queue(batch, env, createExecutionContext());
    const { retryMessages } = await getQueueResult(batch, createExecutionContext());
    const again = new Set(retryMessages.map(({ msgId }) => msgId));
    bodies = messages.filter(({ id }) => again.has(id)).map(({ body }) => body);
    expect(attempts).toBeLessThan(20);
  }
}

async function define(tenant: string): Promise<void> {
  for (const definition of [SESSIONS, HOPPING])
    await windowAggregator(env, tenant).putAggregation(definition, { mode: "create" });
}

/** Every value that readers get of the windows, but the parts of it that depend on when what came. */
async function numbers(tenant: string): Promise<unknown> {
  const home = windowAggregator(env, tenant);
  const names = ["events_1m", "events_5m", "events_1h", SESSIONS.name, HOPPING.name];
  const pages = await Promise.all(names.map((name) => home.windows(name, { ...everyWindow, limit: 1000 })));
  const { total_events, events_by_source, events_by_type, oldest_event, newest_event } = await home.stats();
  const windows = pages.map((page) =>
    page?.windows.map(({ start, end, group, values }) => ({ start, end, group, values })),
  );
  return { windows, total_events, events_by_source, events_by_type, oldest_event, newest_event };
}

async function readIds(tenant: string, order: "asc" | "desc", limit: number): Promise<string[]> {
  const ids: string[] = [];
  let after: Cursor | null = null;
  do {
    const page: Awaited<ReturnType<typeof eventPage>> = await eventPage(env, tenant, {
      query: { ...ALL_EVENTS, order },
      after,
      limit,
    });
    ids.push(...page.events.map(({ id }) => id));
    after = page.next;
  } while (after !== null);
  return ids;
}

async function atRest(tenant: string): Promise<void> {
  await vi.waitFor(async () => expect((await windowAggregator(env, tenant).shards()).moving).toBe(false), SETTLE);
}

/** Everything that shards counted is merged at home. */
async function settled(tenant: string): Promise<void> {
  const { objects } = await windowAggregator(env, tenant).shards();
  for (const { object } of objects) await windowAggregator(env, tenant, object).flush();
}

/** What waited long for its slots is on the queue once more, for a moment. */
async function sameNumbers(moving: string, plain: string): Promise<void> {
  const wanted = await numbers(plain);
  await vi.waitFor(async () => {
    await settled(moving);
    expect(await numbers(moving)).toEqual(wanted);
  }, SETTLE);
}

const SETTLE = { timeout: 20_000 };

describe("a tenant whose number of shards changes while events come", () => {
  test("has the numbers, the stored events and the pages of one whose number does not", async () => {
    const list = disorderly(1200);
    const [plain, moving] = [newTenant("steady"), newTenant("moving")];
    await define(plain);
    await define(moving);
    await ship(plain, list);
    const home = windowAggregator(env, moving);
    const part = Math.ceil(list.length / 6);
    const shipPart = (k: number): Promise<void> => ship(moving, list.slice(k * part, (k + 1) * part));
    await shipPart(0);
    await home.setShards(4);
    await shipPart(1);
    await shipPart(2);
    await atRest(moving);
    expect((await home.shards()).objects.map(({ slots }) => slots)).toEqual([0, 64, 64, 64, 64]);
    await shipPart(3);
    await home.setShards(2);
    await shipPart(4);
    await atRest(moving);
    expect((await home.shards()).objects.map(({ slots }) => slots)).toEqual([0, 128, 128, 0, 0]);
    await shipPart(5);
    const ids = await readIds(plain, "desc", 100);
    expect(ids).toHaveLength(1200);
    // Before anything is sealed by force: the tails of all objects have a part in it.
    await vi.waitFor(async () => expect(await readIds(moving, "desc", 100)).toEqual(ids), SETTLE);
    expect((await readIds(moving, "asc", 77)).toReversed()).toEqual(ids);
    await sameNumbers(moving, plain);
    expect(await readIds(moving, "desc", 300)).toEqual(ids);
  }, 60_000);

  test("keeps all of that when its objects are evicted or crash at any moment of the moves", async () => {
    const list = disorderly(600);
    const [plain, moving] = [newTenant("steady"), newTenant("moving")];
    await define(plain);
    await define(moving);
    await ship(plain, list);
    const counts = [4, 2, 8, 1];
    const part = Math.ceil(list.length / counts.length);
    for (const [k, count] of counts.entries()) {
      await vi.waitFor(() => windowAggregator(env, moving).setShards(count), SETTLE);
      const shipping = ship(moving, list.slice(k * part, (k + 1) * part), 20);
      for (let round = 0; round < 15; round++) {
        await stop(moving, round % 5, round % 3 === 0 ? "eviction" : "crash");
        await windowAggregator(env, moving).slotMap();
      }
      await shipping;
      await atRest(moving);
    }
    const home = windowAggregator(env, moving);
    expect((await home.shards()).objects.map(({ slots }) => slots)).toEqual([256, 0, 0, 0, 0, 0, 0, 0, 0]);
    await sameNumbers(moving, plain);
    expect(await readIds(moving, "desc", 100)).toEqual(await readIds(plain, "desc", 100));
  }, 90_000);

  test("finds every event by its id, wherever it is and was", async () => {
    const tenant = newTenant("moving");
    const list = disorderly(60).slice(0, 60);
    await windowAggregator(env, tenant).setShards(2);
    await ship(tenant, list.slice(0, 30));
    await atRest(tenant);
    await ship(tenant, list.slice(30));
    for (const { id } of list) expect((await eventById(env, tenant, id, { fromMs: null, toMs: null }))?.id).toBe(id);
  }, 60_000);

  test("counts an old event once that was stored before its slot moved, twice over", async () => {
    const tenant = newTenant("moving");
    const old = disorderly(90).slice(0, 90);
    await ship(tenant, old);
    // Far beyond the horizon: the ids of the old ones are forgotten.
    await ship(tenant, [event("new", T0 + 90 * 86_400_000, { source: "shop-0" })]);
    await windowAggregator(env, tenant).flush();
    await evictDurableObject(objectOf(tenant, 0));
    for (const count of [4, 2]) {
      await windowAggregator(env, tenant).setShards(count);
      await atRest(tenant);
      await ship(tenant, old);
      await settled(tenant);
      expect((await windowAggregator(env, tenant).stats()).total_events).toBe(91);
    }
    expect(new Set(await readIds(tenant, "asc", 50)).size).toBe(91);
  }, 60_000);

  test("goes on with its one object while the store is away, and moves when it is back", async () => {
    const tenant = newTenant("moving");
    const list = disorderly(80).slice(0, 80);
    const away = storeIsAway();
    await ship(tenant, list.slice(0, 40));
    await windowAggregator(env, tenant).setShards(2);
    await ship(tenant, list.slice(40));
    expect((await windowAggregator(env, tenant).stats()).total_events).toBe(80);
    const { moving, inTransit } = await windowAggregator(env, tenant).shards();
    expect({ moving, inTransit }).toEqual({ moving: true, inTransit: 0 });
    away.mockRestore();
    await vi.waitFor(async () => {
      await runDurableObjectAlarm(objectOf(tenant, 0));
      expect((await windowAggregator(env, tenant).shards()).moving).toBe(false);
    }, SETTLE);
    await ship(tenant, list);
    await settled(tenant);
    expect((await windowAggregator(env, tenant).stats()).total_events).toBe(80);
  }, 60_000);
});
