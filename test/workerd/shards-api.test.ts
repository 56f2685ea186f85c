import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { HOME } from "../../core/windows/slot-map.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import worker from "../../workers/index.ts";
import { createExecutionContext, createMessageBatch, evictDurableObject } from "cloudflare:test";
import { aggregatorName } from "../../core/events/names.ts";
import { eventMessage, events } from "./event-messages.ts";
import { call, makeKey, makeTenant } from "./http-client.ts";

const SETTLE = { timeout: 20_000 };

let tenant: string;
let admin: string;
let viewer: string;

beforeAll(async () => {
  const made = await makeTenant();
  tenant = made.id;
  admin = made.adminKey;
  viewer = (await makeKey(admin, "viewer")).key;
});

const put = (json: unknown) => call("PUT", "/api/v1/shards", { key: admin, json });

async function atRest(): Promise<void> {
  await vi.waitFor(async () => {
    const { data } = await call("GET", "/api/v1/shards", { key: viewer });
    expect(data).toMatchObject({ moving: false, slots_in_transit: 0 });
  }, SETTLE);
}

async function consume(list: ReturnType<typeof events>): Promise<void> {
  const messages = [{ id: crypto.randomUUID(), timestamp: new Date(), body: eventMessage(tenant, list), attempts: 1 }];
  await worker.queue(createMessageBatch("streamflow-events", messages), env, createExecutionContext());
}

const eventsSchema = z.object({ events: z.array(z.object({ id: z.string() })) });
const idsOf = (data: unknown): string[] => eventsSchema.parse(data).events.map(({ id }) => id);

describe("PUT /api/v1/shards", () => {
  test.each([
    [{ count: 3 }],
    [{ count: 32 }],
    [{ count: 0 }],
    [{ count: -1 }],
    [{ count: "4" }],
    [{ count: 2.5 }],
    [{ count: null }],
    [{}],
    [[]],
    ["auto"],
    [{ count: 2, epoch: 9 }],
  ])("refuses %j, naming the field", async (body) => {
    const { status, text } = await put(body);
    expect(status).toBe(400);
    expect(text).toContain("count");
  });

  test("is for admins, and looking at it for every reader", async () => {
    expect((await call("PUT", "/api/v1/shards", { key: viewer, json: { count: 2 } })).status).toBe(403);
    const { data } = await call("GET", "/api/v1/shards", { key: viewer });
    expect(data).toMatchObject({ count: 1, moving: false, epoch: 0, objects: [{ object: 0, slots: 256 }] });
  });

  test("moves the slots and answers how far that is", async () => {
    const { status, data } = await put({ count: 2 });
    expect(status).toBe(200);
    expect(data).toMatchObject({ count: 2, mode: "manual" });
    await atRest();
    const { data: after } = await call("GET", "/api/v1/shards", { key: viewer });
    expect(after).toMatchObject({
      count: 2,
      objects: [
        { object: 0, slots: 0 },
        { object: 1, slots: 128 },
        { object: 2, slots: 128 },
      ],
    });
  });

  test("hands the decision to the platform", async () => {
    expect((await put({ count: "auto" })).data).toMatchObject({ mode: "auto", count: 2 });
    expect((await put({ count: 2 })).data).toMatchObject({ mode: "manual" });
  });
});

describe("a tenant of two shards", () => {
  beforeAll(async () => {
    await atRest();
    await consume(events(120, "spread"));
  });

  test("lists each event once, in order, though no object has all of them", async () => {
    const { data } = await call("GET", "/api/v1/events?order=asc&limit=500", { key: viewer });
    const ids = idsOf(data);
    expect(ids).toEqual(events(120, "spread").map(({ id }) => id));
  });

  test("finds an event by its id whichever object has it", async () => {
    for (const { id } of events(10, "spread"))
      expect((await call("GET", `/events/${id}`, { key: viewer })).data).toMatchObject({ id });
  });

  test("counts all events in its stats, once every object has told", async () => {
    await vi.waitFor(async () => {
      const { data } = await call("GET", "/api/v1/stats", { key: viewer });
      expect(data).toMatchObject({ total_events: 120, events_by_source: { shop: 120 } });
    }, SETTLE);
    const { data } = await call("GET", "/api/v1/stats", { key: viewer });
    expect(data["storage_size_bytes"]).toBeGreaterThan(0);
  });

  test("shows readers who come the latest events of all objects, also when home was evicted", async () => {
    await evictDurableObject(env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant, HOME)));
    const snapshot = await windowAggregator(env, tenant).snapshot("events");
    expect(snapshot).toMatchObject({ events: expect.any(Array) });
    const ids = idsOf(snapshot);
    expect(ids.toSorted()).toEqual(
      events(120, "spread")
        .slice(-50)
        .map(({ id }) => id)
        .toSorted(),
    );
  });

  test("has the figures of every object on the metrics page, one family per figure", async () => {
    const { text } = await call("GET", "/metrics", { key: viewer });
    for (const object of [0, 1, 2])
      expect(text).toMatch(new RegExp(`^streamflow_log_entries\\{shard="${object}"\\}`, "m"));
    expect(text).toMatch(/^streamflow_shard_slots\{shard="2"\} 128$/m);
    expect(text).toMatch(/^streamflow_shards 2$/m);
    const types = text.match(/^# TYPE (\S+)/gm) ?? [];
    expect(new Set(types).size).toBe(types.length);
  });

  test("leaves an object alone that has given all its slots away, and still counts what it took", async () => {
    await put({ count: 4 });
    await atRest();
    await put({ count: 2 });
    await atRest();
    const { text } = await call("GET", "/metrics", { key: viewer });
    expect(text).not.toMatch(/^streamflow_log_entries\{shard="4"\}/m);
    expect(text).toMatch(/^streamflow_shard_slots\{shard="4"\} 0$/m);
    const { data } = await call("GET", "/api/v1/stats", { key: viewer });
    expect(data).toMatchObject({ total_events: 120 });
  });

  test("shows every object in the introspection", async () => {
    const { data } = await call("GET", "/api/v1/introspection", { key: viewer });
    expect(data).toMatchObject({
      shards: [{ shard: 0 }, { shard: 1, aggregations: [] }, { shard: 2, aggregations: [] }],
    });
  });
});
