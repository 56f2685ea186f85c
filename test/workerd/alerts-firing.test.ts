import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { AlertManager } from "../../durable-objects/alert-manager.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import worker from "../../workers/index.ts";
import { addRule, alertFile, listAlerts, minute, MINUTE, newTenant, listen, sql, wireUp } from "./alerts-bench.ts";
import { events, packed } from "./event-messages.ts";
import { call } from "./http-client.ts";

beforeEach(wireUp);

describe("one rule, one channel", () => {
  test("a rule fires one signed webhook and resolves with another", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant);
    const ruleId = await addRule(tenant, { labels: { team: "web" } });
    await tenant.manager.windowsClosed([minute(0, { web: 5 }), minute(1, { web: 213 })]);
    await expect.poll(() => receiver.types).toEqual(["alert.firing"]);
    await tenant.manager.windowsClosed([minute(2, { web: 7 })]);
    await expect.poll(() => receiver.types).toEqual(["alert.firing", "alert.resolved"]);
    const [alert] = await listAlerts(tenant);
    expect(receiver.received).toMatchObject([
      {
        url: `https://hooks.example/${tenant.tenant}`,
        id: `msg_${String(alert?.["id"])}_firing`,
        isGenuine: true,
        data: {
          alert: { id: alert?.["id"], status: "firing", level: "error", labels: { team: "web" } },
          rule: { id: ruleId, name: "busy" },
          values: { count: 213 },
          group: { type: "web" },
          window: { start: "2026-11-22T00:01:00.000Z", end: "2026-11-22T00:02:00.000Z" },
        },
      },
      {
        id: `msg_${String(alert?.["id"])}_resolved`,
        isGenuine: true,
        data: { alert: { status: "resolved" }, values: { count: 7 } },
      },
    ]);
    expect(alert).toMatchObject({ status: "resolved", reason: "condition", values: { count: 213 } });
    const file = await alertFile(tenant, alert?.["id"]);
    expect(file["history"]).toMatchObject([
      { kind: "firing", values: { count: 213 } },
      { kind: "resolved", values: { count: 7 } },
    ]);
    await expect
      .poll(async () => (await alertFile(tenant, alert?.["id"]))["deliveries"])
      .toMatchObject([
        { channel_id: tenant.channelId, attempt: 1, outcome: "delivered", status: 200, error: null },
        { channel_id: tenant.channelId, attempt: 1, outcome: "delivered", status: 200, error: null },
      ]);
    expect(await sql(tenant, "select * from outbox")).toEqual([]);
  });

  test("events that close a window reach the webhook through the aggregator", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant);
    await addRule(tenant);
    const aggregator = windowAggregator(env, tenant.tenant);
    const from = Date.UTC(2015, 4, 17, 10);
    await aggregator.apply([{ id: "m1", body: packed(events(50, "a", from)) }]);
    await aggregator.apply([{ id: "m2", body: packed(events(1, "b", from + 5 * MINUTE)) }]);
    await expect.poll(() => receiver.types).toEqual(["alert.firing", "alert.resolved"]);
    expect(receiver.received[0]?.data).toMatchObject({ values: { count: 50 }, group: { type: "web.request" } });
  });

  test("every group is an alert of its own, and each of a rule's channels hears of each", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant);
    const second = await call("POST", "/api/v1/channels", {
      key: tenant.key,
      json: { name: "second", type: "webhook", config: { url: `https://other.example/${tenant.tenant}` } },
    });
    await addRule(tenant, { channels: [tenant.channelId, second.data["id"]] });
    await tenant.manager.windowsClosed([minute(0, { web: 11, api: 12, job: 3 })]);
    await expect.poll(() => receiver.received.length).toBe(4);
    const heard = receiver.received.map(({ url, data }) => `${new URL(url).hostname} ${JSON.stringify(data["group"])}`);
    expect(heard.sort()).toEqual([
      'hooks.example {"type":"api"}',
      'hooks.example {"type":"web"}',
      'other.example {"type":"api"}',
      'other.example {"type":"web"}',
    ]);
  });
});

describe("exactly once", () => {
  test("windows told again, before and after an eviction, fire nothing more", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant);
    await addRule(tenant);
    const windows = [minute(0, { web: 50 }), minute(1, { web: 60 })];
    await Promise.all([tenant.manager.windowsClosed(windows), tenant.manager.windowsClosed(windows)]);
    await tenant.manager.windowsClosed(windows);
    await evictDurableObject(tenant.object);
    await tenant.manager.windowsClosed(windows);
    await tenant.manager.windowsClosed([...windows, minute(2, { web: 1 })]);
    await expect.poll(() => receiver.types).toEqual(["alert.firing", "alert.resolved"]);
    await expect.poll(async () => await sql(tenant, "select * from outbox")).toEqual([]);
    expect(await listAlerts(tenant)).toHaveLength(1);
  });

  test("an eviction in the middle of `for` neither fires early nor starts over", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant);
    await addRule(tenant, { for: "3m" });
    const open: unknown[] = [];
    for (let nth = 0; nth < 5; nth++) {
      await tenant.manager.windowsClosed([minute(nth, { web: 50 })]);
      await evictDurableObject(tenant.object);
      open.push((await listAlerts(tenant))[0]?.["status"]);
    }
    expect(open).toEqual(["pending", "pending", "pending", "firing", "firing"]);
    await expect.poll(() => receiver.types).toEqual(["alert.firing"]);
  });

  test("a message that the queue lost is queued again, with the same id", async () => {
    vi.mocked(worker.queue).mockImplementationOnce(async (batch) => batch.ackAll());
    const tenant = await newTenant();
    const receiver = listen(tenant);
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect.poll(async () => await sql(tenant, "select sends from outbox")).toEqual([{ sends: 1 }]);
    await expect.poll(() => vi.mocked(worker.queue).mock.calls.length).toBe(1);
    await sql(tenant, "update outbox set due_at = 0");
    await runDurableObjectAlarm(tenant.object);
    await expect.poll(() => receiver.received.map(({ id }) => id)).toEqual([expect.stringMatching(/^msg_.+_firing$/)]);
  });

  test("a queue that starts empty after a restart is given everything again at once", async () => {
    vi.mocked(worker.queue).mockImplementation(async (batch) => batch.ackAll());
    const tenant = await newTenant();
    listen(tenant);
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect.poll(async () => await sql(tenant, "select sends from outbox")).toEqual([{ sends: 1 }]);
    const restarted = { ...env, QUEUE_EPOCH: crypto.randomUUID() };
    const dueIn = async (): Promise<number> =>
      Number((await sql(tenant, "select due_at from outbox"))[0]?.["due_at"]) - Date.now();
    expect(await dueIn()).toBeGreaterThan(0);
    await runInDurableObject(tenant.object, (_, state) => void new AlertManager(state, restarted));
    expect(await dueIn()).toBeLessThanOrEqual(0);
    const due = await dueIn();
    await runInDurableObject(tenant.object, (_, state) => void new AlertManager(state, restarted));
    expect(await dueIn()).toBeLessThanOrEqual(due);
  });
});
