import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { toEventJson } from "../../core/events/json.ts";
import { uuidv7 } from "../../core/events/uuid.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { writeSegments } from "../../storage/d1/segment-store.ts";
import { packed } from "./event-messages.ts";
import { makeEvent, makeSegment } from "./event-store.ts";
import { T0, tenantWithEvents } from "./event-tenant.ts";
import { call, makeTenant } from "./http-client.ts";

describe("GET /events/{id}", () => {
  test("an event is found in the tail and in any segment", async () => {
    const { key, events } = await tenantWithEvents();
    for (const i of [0, 25, 39, 40, 59]) {
      const answer = await call("GET", `/events/e-${i}`, { key });
      expect(answer.status).toBe(200);
      expect(answer.data).toEqual(toEventJson(events[i] ?? makeEvent("none", 0)));
    }
    expect((await call("GET", "/events/e-60", { key })).status).toBe(404);
  });

  test("a UUIDv7 is found by its time, near it, or wherever it is", async () => {
    const { id, adminKey } = await makeTenant();
    const at = [T0, T0 + 1_000, T0 + 100 * 86_400_000];
    const ids = at.map((_, i) => uuidv7(T0, new Uint8Array(16).fill(i)));
    for (const [i, timestamp] of at.entries()) {
      const key = { tenant: id, shard: 0, incarnation: "old", seqFrom: i };
      await writeSegments(env.DB, [await makeSegment(key, [makeEvent(ids[i] ?? "", timestamp)])], T0);
    }
    for (const wanted of ids)
      expect((await call("GET", `/events/${wanted}`, { key: adminKey })).data["id"]).toBe(wanted);
  });

  test("beyond the budget the answer is 503 and how to go on, not a false 404; with a time range it is found", async () => {
    const { id, adminKey } = await makeTenant();
    const segments = Array.from({ length: 502 }, (_, i) =>
      makeSegment({ tenant: id, shard: 0, incarnation: "old", seqFrom: i }, [makeEvent(`line-${i}`, T0 + i * 1_000)]),
    );
    await writeSegments(env.DB, await Promise.all(segments), T0);
    expect((await call("GET", "/events/line-501", { key: adminKey })).status).toBe(200);
    const unknown = await call("GET", "/events/line-0", { key: adminKey });
    expect(unknown.status).toBe(503);
    expect(String(unknown.body["message"])).toContain("?from=");
    expect((await call("GET", `/events/line-0?from=${T0}&to=${T0 + 1_000}`, { key: adminKey })).status).toBe(200);
    expect((await call("GET", `/events/line-0?from=${T0 + 400_000}`, { key: adminKey })).status).toBe(404);
  });

  test("what cannot be an id or a parameter is refused", async () => {
    const { adminKey } = await makeTenant();
    for (const path of ["/events/a%20b", `/events/${"x".repeat(65)}`, "/events/e-1?from=x", "/events/e-1?type=a"]) {
      expect((await call("GET", path, { key: adminKey })).status).toBe(400);
    }
  });
});

describe("GET /api/v1/stats", () => {
  test("counts what was stored, once", async () => {
    const { id, key, events } = await tenantWithEvents();
    await windowAggregator(env, id).apply([{ id: "again", body: packed(events.slice(0, 30)) }]);
    const { data } = await call("GET", "/api/v1/stats", { key });
    expect(data).toMatchObject({
      total_events: 60,
      events_by_type: { "order.placed": 30, "page.view": 30 },
      events_by_source: { "shop-0": 20, "shop-1": 20, "shop-2": 20 },
      oldest_event: new Date(T0).toISOString(),
      newest_event: new Date(T0 + 59 * 60_000).toISOString(),
    });
    expect(Number(data["storage_size_bytes"])).toBeGreaterThan(0);
  });

  test("a tenant without events has zeros and nulls", async () => {
    const { adminKey } = await makeTenant();
    expect((await call("GET", "/api/v1/stats", { key: adminKey })).data).toMatchObject({
      total_events: 0,
      events_by_type: {},
      events_by_source: {},
      oldest_event: null,
      newest_event: null,
    });
  });
});
