import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { MAX_RESOLVED_ALERTS } from "../../core/alerts/limits.ts";
import { MAX_OPEN_LISTED } from "../../core/live/protocol.ts";
import { LiveHub } from "../../durable-objects/live-hub.ts";
import { WindowAggregator } from "../../durable-objects/window-aggregator.ts";
import { addRule, alertFile, listAlerts, minute, newTenant, listen, sql, wireUp } from "./alerts-bench.ts";
import { call } from "./http-client.ts";

beforeEach(wireUp);

describe("people and rules that change", () => {
  test("an acknowledged alert stays open until it resolves, and says who took it", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant);
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    const [alert] = await listAlerts(tenant);
    const path = `/api/v1/alerts/${String(alert?.["id"])}/acknowledge`;
    const answer = await call("POST", path, { key: tenant.key, json: { by: "ada", comment: "on it" } });
    expect(answer.data).toMatchObject({ status: "acknowledged", acknowledged_by: "ada" });
    expect((await call("POST", path, { key: tenant.key, json: { by: "bob" } })).data).toMatchObject({
      acknowledged_by: "ada",
    });
    await tenant.manager.windowsClosed([minute(1, { web: 60 })]);
    expect(await listAlerts(tenant)).toMatchObject([{ status: "acknowledged", values: { count: 60 } }]);
    await tenant.manager.windowsClosed([minute(2, {})]);
    expect(await listAlerts(tenant)).toMatchObject([{ status: "resolved", reason: "no_data", acknowledged_by: "ada" }]);
    expect((await call("POST", path, { key: tenant.key, json: { by: "bob" } })).status).toBe(409);
    expect((await alertFile(tenant, alert?.["id"]))["history"]).toMatchObject([
      { kind: "firing" },
      { kind: "acknowledged", by: "ada", comment: "on it" },
      { kind: "resolved", reason: "no_data" },
    ]);
    await expect.poll(() => receiver.types).toEqual(["alert.firing", "alert.resolved"]);
  });

  test("an alert resolved by hand tells its channel, and is a new one if its condition holds again", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant);
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    const [alert] = await listAlerts(tenant);
    const path = `/api/v1/alerts/${String(alert?.["id"])}/resolve`;
    expect((await call("POST", path, { key: tenant.key })).data).toMatchObject({
      status: "resolved",
      reason: "manual",
    });
    expect((await call("POST", path, { key: tenant.key })).status).toBe(200);
    await expect.poll(() => receiver.types).toEqual(["alert.firing", "alert.resolved"]);
    await tenant.manager.windowsClosed([minute(1, { web: 50 })]);
    await expect.poll(() => receiver.types).toEqual(["alert.firing", "alert.resolved", "alert.firing"]);
    expect(new Set((await listAlerts(tenant)).map(({ id }) => id)).size).toBe(2);
  });

  test.each([
    ["deleted", "rule_deleted", async (key: string, path: string) => await call("DELETE", path, { key })],
    ["disabled", "rule_disabled", async (key: string, path: string) => await change(key, path, { enabled: false })],
    [
      "given another threshold",
      "rule_changed",
      async (key: string, path: string) => await change(key, path, { threshold: 1_000 }),
    ],
  ])("open alerts of a rule that is %s are resolved, and who heard them fire hears it", async (_, reason, act) => {
    const tenant = await newTenant();
    const receiver = listen(tenant);
    const id = await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect.poll(() => receiver.types).toEqual(["alert.firing"]);
    expect((await act(tenant.key, `/api/v1/rules/${id}`)).status).toBe(200);
    await expect.poll(() => receiver.types).toEqual(["alert.firing", "alert.resolved"]);
    expect(await listAlerts(tenant)).toMatchObject([{ status: "resolved", reason }]);
    await tenant.manager.windowsClosed([minute(1, { web: 50 })]);
    expect(await listAlerts(tenant)).toHaveLength(1);
  });

  test("a rule that is only renamed keeps its open alerts", async () => {
    const tenant = await newTenant();
    listen(tenant);
    const id = await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    const renamed = await change(tenant.key, `/api/v1/rules/${id}`, { name: "very busy" });
    expect(renamed.data).toMatchObject({ name: "very busy", state: { open_alerts: 1 } });
    await evictDurableObject(tenant.object);
    await tenant.manager.windowsClosed([minute(1, { web: 50 })]);
    expect(await listAlerts(tenant)).toMatchObject([{ status: "firing" }]);
  });

  test("a pending alert that goes away leaves no trace and tells nobody", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant);
    await addRule(tenant, { for: "5m" });
    await tenant.manager.windowsClosed([minute(0, { web: 50 }), minute(1, { web: 5 })]);
    expect(await listAlerts(tenant)).toEqual([]);
    expect(await sql(tenant, "select * from history")).toEqual([]);
    expect(receiver.types).toEqual([]);
  });

  test("the aggregator knows which aggregations have rules", async () => {
    const tenant = await newTenant();
    const json = { name: "mine", window: { type: "tumbling", size: "1m" }, measures: { n: { fn: "count" } } };
    await call("POST", "/api/v1/aggregations", { key: tenant.key, json });
    const id = await addRule(tenant, { aggregation: "mine", condition: "n > 5" });
    expect((await call("DELETE", "/api/v1/aggregations/mine", { key: tenant.key })).status).toBe(409);
    await call("DELETE", `/api/v1/rules/${id}`, { key: tenant.key });
    expect((await call("DELETE", "/api/v1/aggregations/mine", { key: tenant.key })).status).toBe(200);
  });

  test("an aggregator that cannot be reached is told later, by the alarm", async () => {
    const tenant = await newTenant();
    const watch = vi.spyOn(WindowAggregator.prototype, "watchRules").mockImplementationOnce(() => {
      throw new Error("away");
    });
    await addRule(tenant);
    expect(watch.mock.results).toMatchObject([{ type: "throw" }]);
    await sql(tenant, "update settings set value = '1' where key = 'watch_due'");
    await evictDurableObject(tenant.object);
    await tenant.manager.listRules();
    await runDurableObjectAlarm(tenant.object);
    expect(watch.mock.calls.at(-1)).toMatchObject([[{ aggregation: "events_1m" }]]);
    expect(await sql(tenant, "select value from settings where key = 'watch_due'")).toEqual([{ value: "null" }]);
  });
});

describe("live readers", () => {
  test("hear of every change, and find what is open and what was last resolved in a snapshot", async () => {
    const tenant = await newTenant();
    listen(tenant);
    const told = vi.spyOn(LiveHub.prototype, "publish");
    const ruleId = await addRule(tenant, { for: "1m" });
    for (const [nth, count] of [50, 51, 52, 1].entries())
      await tenant.manager.windowsClosed([minute(nth, { web: count })]);
    const statuses = (): unknown[] => {
      const frames = told.mock.calls.flatMap(([published]) => published);
      const alerts = frames.flatMap((frame) => (frame.topic === "alerts" ? frame.data.alerts : []));
      return alerts
        .filter(({ rule }) => JSON.stringify(rule).includes(ruleId))
        .map(({ status, values }) => [status, values]);
    };
    await expect.poll(statuses).toEqual([
      ["pending", { count: 50, users: 1 }],
      ["firing", { count: 51, users: 1 }],
      ["firing", { count: 52, users: 1 }],
      ["resolved", { count: 52, users: 1 }],
    ]);
    await tenant.manager.windowsClosed([minute(4, { api: 50 })]);
    expect((await tenant.manager.snapshot()).alerts.map(({ status, group }) => [status, group])).toEqual([
      ["pending", { type: "api" }],
      ["resolved", { type: "web" }],
    ]);
  });
});

test(`live readers get the ${MAX_OPEN_LISTED} most urgent alerts, however many newer ones fire`, async () => {
  const tenant = await newTenant();
  listen(tenant);
  await addRule(tenant, { channels: [], level: "critical", condition: "count > 900" });
  await addRule(tenant, { channels: [], level: "info", condition: "count > 10 && count < 900" });
  await tenant.manager.windowsClosed([minute(0, { old: 999 })]);
  const many = Array.from({ length: MAX_OPEN_LISTED + 5 }, (_, k) => [`t${k}`, 50] as const);
  await tenant.manager.windowsClosed([minute(1, { old: 999, ...Object.fromEntries(many) })]);
  const { alerts } = await tenant.manager.snapshot();
  expect(alerts).toHaveLength(MAX_OPEN_LISTED);
  expect(alerts.at(-1)).toMatchObject({ level: "critical", group: { type: "old" } });
});

test(`the oldest of more than ${MAX_RESOLVED_ALERTS} resolved alerts are forgotten with their history`, async () => {
  const tenant = await newTenant();
  listen(tenant);
  await addRule(tenant, { channels: [] });
  await sql(
    tenant,
    `insert into alerts with recursive n(k) as (select 1 union all select k + 1 from n where k < ${MAX_RESOLVED_ALERTS})
    select printf('0000%06d', k), 'r', 'resolved', 'info', k, k, null, k, '{}', null from n`,
  );
  await sql(tenant, "insert into history values ('0000000001', 0, 1, '{}'), ('0000000002', 0, 1, '{}')");
  await tenant.manager.windowsClosed([minute(0, { web: 50 }), minute(1, { web: 1 })]);
  expect(await sql(tenant, "select count(*) as alerts, min(id) as oldest from alerts")).toEqual([
    { alerts: MAX_RESOLVED_ALERTS, oldest: "0000000002" },
  ]);
  expect(await sql(tenant, "select alert_id from history where alert_id < '0001'")).toEqual([
    { alert_id: "0000000002" },
  ]);
});

async function change(key: string, path: string, changes: Record<string, unknown>): ReturnType<typeof call> {
  const { data } = await call("GET", path, { key });
  return await call("PUT", path, { key, json: { ...data, ...changes } });
}
