import { env } from "cloudflare:workers";
import { evictDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import type { StreamEvent } from "../../core/events/event.ts";
import { aggregatorName } from "../../core/events/names.ts";
import { ALL_EVENTS } from "../../core/events/query.ts";
import { ColumnarBuilder } from "../../core/events/event-batch.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { packChunk } from "../../storage/chunk.ts";

let tenants = 0;
/** A fresh tenant, so that tests in one file do not share an object. */
function newAggregator() {
  const tenant = `agg-${++tenants}`;
  return {
    tenant,
    stub: windowAggregator(env, tenant),
    object: env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant, 0)),
  };
}

const T0 = Date.parse("2015-05-17T10:00:00Z");

function event(id: string, atMs: number, fields: Partial<StreamEvent> = {}): StreamEvent {
  return {
    id,
    type: "web.request",
    source: "shop",
    timestamp: atMs,
    receivedAt: atMs,
    severity: "low",
    data: { status: 200 },
    metadata: {},
    ...fields,
  };
}

function message(id: string, events: readonly StreamEvent[]) {
  const builder = new ColumnarBuilder();
  for (const one of events) builder.add(one);
  return { id, body: packChunk(builder.toText()) };
}

const everyWindow = { from: null, to: null, status: "all", groups: {}, limit: 1000, after: null } as const;

describe("WindowAggregator", () => {
  test("counts each event id once, however often it comes", async () => {
    const { stub } = newAggregator();
    const events = Array.from({ length: 100 }, (_, k) => event(`e-${k}`, T0 + k * 1000));
    expect(await stub.apply([message("m1", events)])).toEqual({ fresh: 100, duplicates: 0, late: 0 });
    expect(await stub.apply([message("m1", events), message("m2", events.slice(0, 50))])).toEqual({
      fresh: 0,
      duplicates: 150,
      late: 0,
    });
    const page = await stub.windows("events_1h", everyWindow);
    expect(page?.windows).toMatchObject([
      { start: "2015-05-17T10:00:00.000Z", status: "open", values: { count: 100 } },
    ]);
  });

  test("has the same numbers after an eviction in mid-stream", async () => {
    const { stub, object } = newAggregator();
    await stub.apply([message("m1", [event("a", T0), event("b", T0 + 1)])]);
    await evictDurableObject(object);
    expect(await stub.apply([message("m2", [event("b", T0 + 1), event("c", T0 + 2)])])).toEqual({
      fresh: 1,
      duplicates: 1,
      late: 0,
    });
    const page = await stub.windows("events_1m", everyWindow);
    expect(page?.windows.map(({ values }) => values["count"])).toEqual([3]);
    const { events } = await stub.readTail(ALL_EVENTS, null, 10);
    expect(events.map(({ id }) => id)).toEqual(["c", "b", "a"]);
  });

  test("writes what it sealed to the store and forgets it in its tail", async () => {
    const { stub, tenant } = newAggregator();
    const events = Array.from({ length: 2500 }, (_, k) => event(`e-${k}`, T0 + k * 10));
    for (let k = 0; k < 5; k++) await stub.apply([message(`m${k}`, events.slice(k * 500, (k + 1) * 500))]);
    await expect.poll(async () => (await stub.metrics())["unsealed_events"]).toBe(500);
    const row = await env.DB.prepare("select sum(events) as events from segment_index where tenant = ?")
      .bind(tenant)
      .first<{ events: number }>();
    expect(row?.events).toBe(2000);
    expect((await stub.readTail(ALL_EVENTS, null, 5000)).events).toHaveLength(500);
  });
});
