import { env } from "cloudflare:workers";
import { evictDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test } from "vitest";
import { aggregatorName } from "../../core/events/names.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { addRule, type AlertTenant, listAlerts, listen, MINUTE, newTenant, Receiver, wireUp } from "./alerts-bench.ts";
import { event, packed } from "./event-messages.ts";
import { call } from "./http-client.ts";

const T0 = Date.parse("2026-10-24T20:00:00Z");
let tenant: AlertTenant;
let receiver: Receiver;
let made = 0;

beforeEach(async () => {
  wireUp();
  tenant = await newTenant();
  receiver = listen(tenant);
});

/** Counts `count` events of a kind in the nth minute. */
async function send(nth: number, kind: string, count: number, ms = 100): Promise<void> {
  const at = T0 + nth * MINUTE;
  const list = Array.from({ length: count }, (_, k) =>
    event(`w-${made++}`, at + k, { receivedAt: Date.now(), data: { kind, ms } }),
  );
  await windowAggregator(env, tenant.tenant).apply([{ id: "m", body: packed(list) }]);
}

async function define(window: unknown = { type: "tumbling", size: "1m" }): Promise<void> {
  const measures = { n: { fn: "count" }, mean: { fn: "avg", field: "data.ms" } };
  const json = { name: "mine", window, group_by: ["data.kind"], measures, idle_timeout: "1d", out_of_orderness: "0s" };
  expect((await call("POST", "/api/v1/aggregations", { key: tenant.key, json })).status).toBe(201);
}

const evict = async (): Promise<void> =>
  await evictDurableObject(env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant.tenant, 0)));

describe("an open window", () => {
  test("fires a rule that can only become truer, once, and the close says nothing more", async () => {
    await define();
    await addRule(tenant, { aggregation: "mine", condition: "n > threshold", threshold: 3 });
    await send(0, "a", 3);
    await send(0, "a", 1);
    await expect.poll(() => receiver.types).toEqual(["alert.firing"]);
    expect(receiver.received[0]?.data).toMatchObject({ values: { n: 4 }, group: { "data.kind": "a" } });
    await send(0, "a", 5);
    await evict();
    await send(1, "b", 1);
    await send(1, "b", 1);
    expect(await listAlerts(tenant)).toMatchObject([{ status: "firing", values: { n: 9 } }]);
    await send(2, "b", 1);
    await expect.poll(() => receiver.types).toEqual(["alert.firing", "alert.resolved"]);
  });

  test.each([
    ["that may become false again", { condition: "mean > 50" }],
    ["with `for`", { condition: "n > 3", for: "1m" }],
  ])("does not fire a rule %s", async (_, rule) => {
    await define();
    await addRule(tenant, { aggregation: "mine", threshold: 3, ...rule });
    await send(0, "a", 9);
    await send(0, "a", 1);
    expect(await listAlerts(tenant)).toEqual([]);
    await send(1, "a", 9);
    await expect.poll(async () => (await listAlerts(tenant)).length).toBe(1);
  });

  test("is tried again after an eviction that came between the count and the telling", async () => {
    await define();
    await send(0, "a", 9);
    await evict();
    await addRule(tenant, { aggregation: "mine", condition: "n > threshold", threshold: 3 });
    await expect.poll(() => receiver.types).toEqual(["alert.firing"]);
  });

  test("fires once, whatever is sent again", async () => {
    await define();
    await addRule(tenant, { aggregation: "mine", condition: "n > threshold", threshold: 3 });
    for (let nth = 0; nth < 4; nth++) {
      await send(0, "a", 4);
      await evict();
    }
    await send(0, "a", 1);
    await expect.poll(() => receiver.types).toEqual(["alert.firing"]);
    expect(await listAlerts(tenant)).toHaveLength(1);
  });
});

describe("looking back", () => {
  test("previous is the window before, also after evictions of both objects", async () => {
    await define();
    await addRule(tenant, { aggregation: "mine", condition: "n > 2 * previous.n" });
    await send(0, "a", 10);
    await send(0, "b", 10);
    await send(1, "a", 21);
    await send(1, "b", 20);
    await evict();
    await evictDurableObject(tenant.object);
    await send(2, "a", 1);
    await expect.poll(() => receiver.received.map(({ data }) => data["group"])).toEqual([{ "data.kind": "a" }]);
  });

  test("at('1d') is the same window a day earlier", async () => {
    await define();
    await addRule(tenant, { aggregation: "mine", condition: "n > at('1d').n" });
    const day = 1_440;
    await send(0, "a", 5);
    await send(1, "a", 2);
    await send(day, "a", 4);
    await send(day + 1, "a", 3);
    await send(day + 2, "a", 1);
    await send(day + 3, "a", 1);
    await expect.poll(() => receiver.received.map(({ data }) => data["values"])).toMatchObject([{ n: 3 }, {}]);
    expect(receiver.types).toEqual(["alert.firing", "alert.resolved"]);
  });

  test("of hopping windows previous is the one a slide earlier", async () => {
    await define({ type: "hopping", size: "10m", slide: "5m" });
    await addRule(tenant, { aggregation: "mine", condition: "previous.n == 2 && n == 5" });
    await send(0, "a", 2);
    await send(6, "a", 3);
    await send(30, "b", 1);
    await expect.poll(() => receiver.types[0]).toBe("alert.firing");
    expect(receiver.received[0]?.data["window"]).toMatchObject({ end: "2026-10-24T20:10:00.000Z" });
  });
});

test("a group that went quiet is told of, and that it is back", async () => {
  await define();
  await addRule(tenant, { aggregation: "mine", condition: "n > 100", no_data: { after: "2m", level: "critical" } });
  await send(0, "a", 1);
  await send(0, "b", 1);
  for (const nth of [1, 2, 3]) await send(nth, "b", 1);
  await expect.poll(() => receiver.types).toEqual(["alert.firing"]);
  expect(receiver.received[0]?.data).toMatchObject({
    alert: { kind: "no_data", level: "critical", message: "busy: no data for data.kind = a" },
    group: { "data.kind": "a" },
  });
  await evictDurableObject(tenant.object);
  await send(4, "a", 1);
  await send(5, "b", 1);
  await expect.poll(() => receiver.types).toEqual(["alert.firing", "alert.resolved"]);
  expect(await listAlerts(tenant)).toMatchObject([{ kind: "no_data", status: "resolved", reason: "returned" }]);
});
