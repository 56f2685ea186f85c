import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { beforeEach, describe, expect, test, vi } from "vitest";
import {
  addRule,
  alertFile,
  type AlertTenant,
  listAlerts,
  listen,
  minute,
  newTenant,
  Receiver,
  sql,
  wireUp,
} from "./alerts-bench.ts";
import { call } from "./http-client.ts";
import { MAX_HISTORY, MAX_SILENCES } from "../../core/alerts/limits.ts";
import { AlertDesk } from "../../durable-objects/alerts/desk.ts";

/** Far ahead of any clock: an alarm set for a time that has come would ring by itself, and not when the test says so. */
const T0 = Date.UTC(2096, 10, 22, 12);
const MINUTE = 60_000;
let tenant: AlertTenant;
let receiver: Receiver;
let now: number;
/** How many minutes of event time have been told. */
let told: number;

beforeEach(async () => {
  wireUp();
  now = T0;
  told = 0;
  vi.spyOn(Date, "now")
    .mockReset()
    .mockImplementation(() => now);
  tenant = await newTenant();
  receiver = listen(tenant);
});

/** Closes the next minute with these counts. */
async function close(counts: Readonly<Record<string, number>>): Promise<void> {
  await tenant.manager.windowsClosed([minute(told++, counts)]);
  // Ids sort by time.
  now++;
}

/** Lets time pass; the object is evicted on the way. */
async function pass(minutes: number): Promise<void> {
  now += minutes * MINUTE;
  await evictDurableObject(tenant.object);
  await tenant.manager.listRules();
  await runDurableObjectAlarm(tenant.object);
}

async function post(path: string, json: unknown): Promise<Awaited<ReturnType<typeof call>>> {
  return await call("POST", path, { key: tenant.key, json });
}

async function silence(matchers: unknown, minutes: number, from = 0): Promise<string> {
  const answer = await post("/api/v1/silences", {
    matchers,
    starts_at: new Date(now + from * MINUTE).toISOString(),
    ends_at: new Date(now + (from + minutes) * MINUTE).toISOString(),
    comment: "planned",
  });
  expect(answer.status).toBe(201);
  return String(answer.data["id"]);
}

/** A second webhook of the tenant. */
async function secondChannel(): Promise<string> {
  const config = { url: `https://second.example/${tenant.tenant}` };
  return String((await post("/api/v1/channels", { name: "second", type: "webhook", config })).data["id"]);
}

const heard = (): string[] =>
  receiver.received.map(
    ({ type, url, data }) => `${new URL(url).hostname.split(".")[0] ?? ""} ${type} ${textOf(data)}`,
  );
const textOf = (data: Record<string, unknown>): string => JSON.stringify(data["group"]);
const statuses = async (): Promise<unknown[]> => (await listAlerts(tenant)).map(({ status }) => status);
const kinds = async (id: unknown): Promise<unknown> => {
  const { history } = await alertFile(tenant, id);
  return Array.isArray(history) ? history.map(({ kind }) => kind) : [];
};

describe("a silence", () => {
  test("keeps what matches quiet, and what still fires when it ends is told then", async () => {
    await addRule(tenant);
    await silence(['type=~"we."', "rule=busy"], 10);
    await close({ web: 50, api: 50 });
    await expect.poll(heard).toEqual(['hooks alert.firing {"type":"api"}']);
    expect((await listAlerts(tenant, "?status=suppressed")).map(({ group, muted_by: by }) => [group, by])).toEqual([
      [{ type: "web" }, [expect.stringMatching(/^silence:/)]],
    ]);
    await pass(9);
    expect(await statuses()).toContain("suppressed");
    await pass(1);
    await expect.poll(heard).toHaveLength(2);
    const [alert] = await listAlerts(tenant, "?status=firing&rule=nobody");
    expect(alert).toBeUndefined();
    const web = (await listAlerts(tenant)).find(({ group }) => JSON.stringify(group) === '{"type":"web"}');
    expect(web).toMatchObject({ status: "firing", muted_by: [], notified_at: new Date(now).toISOString() });
    expect(await kinds(web?.["id"])).toEqual(["firing", "suppressed", "unsuppressed"]);
  });

  test("that begins later concerns what fires already; its end is not told twice, and an end goes to whoever heard the beginning", async () => {
    await addRule(tenant);
    await close({ web: 50 });
    await silence(["type=web"], 10, 5);
    await pass(5);
    expect(await statuses()).toEqual(["suppressed"]);
    await close({ web: 1 });
    await pass(20);
    await expect.poll(heard).toEqual(['hooks alert.firing {"type":"web"}', 'hooks alert.resolved {"type":"web"}']);
  });

  test("hides both ends of what began and ended in it", async () => {
    await addRule(tenant);
    await silence(["type=web"], 10);
    await close({ web: 50 });
    await close({ web: 1 });
    await pass(20);
    await close({ api: 50 });
    await expect.poll(heard).toEqual(['hooks alert.firing {"type":"api"}']);
  });

  test("is listed with its state, and ended by hand", async () => {
    await addRule(tenant);
    const id = await silence(["level=error"], 60);
    const later = await silence([{ name: "level", value: "error" }], 60, 30);
    await close({ web: 50 });
    const list = async () => (await call("GET", "/api/v1/silences", { key: tenant.key })).data["silences"];
    expect(await list()).toMatchObject([
      { id: later, status: "pending" },
      { id, status: "active", matchers: [{ name: "level", op: "=", value: "error" }], comment: "planned" },
    ]);
    for (const one of [id, later]) {
      expect((await call("DELETE", `/api/v1/silences/${one}`, { key: tenant.key })).status).toBe(200);
    }
    await expect.poll(heard).toEqual(['hooks alert.firing {"type":"web"}']);
    expect(await list()).toMatchObject([{ id, status: "expired" }]);
    expect((await call("DELETE", "/api/v1/silences/nothing", { key: tenant.key })).status).toBe(404);
  });

  test.each([
    [{ matchers: ["type=web"] }, "ends_at"],
    [{ matchers: ["type=web"], ends_at: "soon" }, "ends_at"],
    [{ matchers: ["type=web"], ends_at: "2020-01-01T00:00:00Z" }, "ends_at"],
    [{ matchers: [], ends_at: "2096-12-01T00:00:00Z" }, "matchers"],
    [{ matchers: ["type=web"], ends_at: "9999-12-31T23:59:59Z" }, "ends_at"],
    [{ matchers: ["type=~.*"], ends_at: "2096-12-01T00:00:00Z" }, "matchers"],
    [{ matchers: ["type=~("], ends_at: "2096-12-01T00:00:00Z" }, "matchers.0"],
    [{ matchers: ["type=web"], starts_at: "2096-12-02T00:00:00Z", ends_at: "2096-12-01T00:00:00Z" }, "ends_at"],
  ])("%j: 400", async (json, field) => {
    const answer = await post("/api/v1/silences", json);
    expect([answer.status, answer.body["details"]]).toMatchObject([400, [{ field }]]);
  });
});

test(`${MAX_SILENCES} silences may be live, and the next is refused`, async () => {
  const until = now + MINUTE;
  await sql(
    tenant,
    `insert into silences with recursive n(k) as (select 1 union all select k + 1 from n where k < ${MAX_SILENCES})
     select 's' || k, ${until}, json_object('id', 's' || k, 'matchers', json_array(), 'startsAt', 0, 'endsAt', ${until}) from n`,
  );
  await evictDurableObject(tenant.object);
  const json = { matchers: ["type=web"], ends_at: new Date(now + 2 * MINUTE).toISOString() };
  expect((await post("/api/v1/silences", json)).status).toBe(409);
  now += MINUTE;
  expect((await post("/api/v1/silences", json)).status).toBe(201);
});

test(`a history keeps its beginning and its newest lines, ${MAX_HISTORY} in all`, async () => {
  await addRule(tenant);
  await close({ web: 50 });
  const [alert] = await listAlerts(tenant);
  const fill = `insert into history with recursive n(k) as (select 1 union all select k + 1 from n where k < ${MAX_HISTORY - 1})
    select '${String(alert?.["id"])}', k, 0, json_object('at', 0, 'kind', 'old ' || k, 'window', null) from n`;
  await sql(tenant, fill);
  await post(`/api/v1/alerts/${String(alert?.["id"])}/acknowledge`, { by: "ada" });
  await close({ web: 1 });
  const lines = await kinds(alert?.["id"]);
  expect(lines).toHaveLength(MAX_HISTORY);
  expect(lines).toMatchObject({ 0: "firing", [MAX_HISTORY - 2]: "acknowledged", [MAX_HISTORY - 1]: "resolved" });
});

test("what fails when its time has come is tried again a little later, and holds up nothing else", async () => {
  await addRule(tenant, { repeat_interval: "30m" });
  await close({ web: 50 });
  await expect.poll(heard).toHaveLength(1);
  const fails = vi.spyOn(AlertDesk.prototype, "takeTime").mockImplementationOnce(() => {
    throw new Error("away");
  });
  await pass(31);
  expect(fails.mock.results).toMatchObject([{ type: "throw" }]);
  await close({ web: 50, api: 50 });
  await expect.poll(heard).toHaveLength(2);
  await pass(1);
  await expect.poll(heard).toHaveLength(3);
});

describe("kept quiet by its rule", () => {
  test("what fires again within suppression_minutes waits for their end", async () => {
    await addRule(tenant, { suppression_minutes: 30 });
    await close({ web: 50 });
    await close({ web: 1 });
    await close({ web: 50 });
    await expect.poll(heard).toEqual(['hooks alert.firing {"type":"web"}', 'hooks alert.resolved {"type":"web"}']);
    expect((await listAlerts(tenant))[0]).toMatchObject({ status: "suppressed", muted_by: ["suppression"] });
    await pass(29);
    await pass(1);
    await expect.poll(heard).toHaveLength(3);
  });

  test("mute times hold for the local clock", async () => {
    await addRule(tenant, { mute_times: [{ from: "13:30", to: "14:00", timezone: "Europe/Berlin" }] });
    await pass(30);
    await close({ web: 50 });
    expect(await statuses()).toEqual(["suppressed"]);
    await pass(29);
    expect(heard()).toEqual([]);
    await pass(1);
    await expect.poll(heard).toEqual(['hooks alert.firing {"type":"web"}']);
  });

  test("an alert that says all there is to say inhibits others while it fires", async () => {
    await addRule(tenant, { name: "down", condition: "count > 1000", labels: { zone: "eu" }, level: "critical" });
    await addRule(tenant, {
      name: "slow",
      condition: "count > 10",
      labels: { zone: "eu" },
      inhibited_by: [{ matchers: ["rule=down"], equal: ["zone", "type"] }],
    });
    await close({ web: 2000, api: 50 });
    await expect
      .poll(() => heard().sort())
      .toEqual(['hooks alert.firing {"type":"api"}', 'hooks alert.firing {"type":"web"}']);
    const [quiet] = await listAlerts(tenant, "?status=suppressed");
    expect(quiet).toMatchObject({ rule: { name: "slow" }, group: { type: "web" } });
    expect(quiet?.["muted_by"]).toEqual([expect.stringMatching(/^inhibited:/)]);
    await close({ web: 50, api: 50 });
    await expect.poll(heard).toHaveLength(4);
    expect(await listAlerts(tenant, "?status=suppressed")).toEqual([]);
  });

  test("a group that flaps is told of as flapping, then kept quiet until it is calm", async () => {
    await addRule(tenant, { flapping: { firings: 3, within: "10m" } });
    for (const count of [50, 1, 50, 1, 50, 1, 50, 1, 50]) await close({ web: count });
    await expect
      .poll(() => receiver.types.toSorted())
      .toEqual(["alert.firing", "alert.firing", "alert.firing", "alert.resolved", "alert.resolved"]);
    const flapping = receiver.received.map(({ data }) => data["alert"]);
    expect(flapping.filter((alert) => JSON.stringify(alert).includes('"flapping":true'))).toHaveLength(1);
    expect((await listAlerts(tenant))[0]).toMatchObject({ status: "suppressed", muted_by: ["flapping"] });
    await pass(9);
    expect(receiver.types).toHaveLength(5);
    await pass(1);
    await expect.poll(() => receiver.types.slice(5).sort()).toEqual(["alert.firing", "alert.resolved"]);
  });
});

describe("escalation", () => {
  test("goes through the chain until somebody takes the alert, across evictions", async () => {
    const second = await secondChannel();
    await addRule(tenant, { escalation_minutes: 15, escalation_channels: [second, tenant.channelId] });
    await close({ web: 50 });
    await pass(14);
    await expect.poll(heard).toEqual(['hooks alert.firing {"type":"web"}']);
    await pass(1);
    await expect.poll(heard).toEqual(['hooks alert.firing {"type":"web"}', 'second alert.firing {"type":"web"}']);
    expect(receiver.received[1]?.data["alert"]).toMatchObject({ escalation_step: 1 });
    const [alert] = await listAlerts(tenant);
    await post(`/api/v1/alerts/${String(alert?.["id"])}/acknowledge`, { by: "ada" });
    await pass(60);
    await close({ web: 1 });
    await expect
      .poll(() => heard().slice(2).sort())
      .toEqual(['hooks alert.resolved {"type":"web"}', 'second alert.resolved {"type":"web"}']);
    expect(await kinds(alert?.["id"])).toEqual(["firing", "escalated", "acknowledged", "resolved"]);
  });

  test("waits while the alert is kept quiet", async () => {
    const second = await secondChannel();
    await addRule(tenant, { escalation_minutes: 15, escalation_channels: [second] });
    await close({ web: 50 });
    await silence(["type=web"], 60);
    await pass(30);
    await expect.poll(heard).toEqual(['hooks alert.firing {"type":"web"}']);
    await pass(30);
    await expect.poll(heard).toEqual(['hooks alert.firing {"type":"web"}', 'second alert.firing {"type":"web"}']);
  });
});

describe("bundles", () => {
  test("group_by tells alerts together: after the wait, then at the interval, then again after the repeat", async () => {
    await addRule(tenant, {
      labels: { team: "web" },
      group_by: ["team"],
      group_wait: "1m",
      group_interval: "5m",
      repeat_interval: "1h",
    });
    await close({ a: 50 });
    await close({ a: 50, b: 50 });
    expect(heard()).toEqual([]);
    await pass(1);
    await expect.poll(heard).toEqual(['hooks alert.group {"team":"web"}']);
    expect(receiver.received[0]?.data).toMatchObject({ status: "firing", counts: { firing: 2, resolved: 0 } });
    await close({ b: 50, c: 50 });
    await pass(4);
    expect(heard()).toHaveLength(1);
    await pass(1);
    await expect.poll(heard).toHaveLength(2);
    expect(receiver.received[1]?.data).toMatchObject({
      counts: { firing: 2, resolved: 1 },
      resolved: [{ group: { type: "a" }, status: "resolved" }],
    });
    await pass(60);
    expect(heard()).toHaveLength(2);
    await pass(5);
    await expect.poll(heard).toHaveLength(3);
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(3);
    await close({});
    await pass(5);
    await expect.poll(heard).toHaveLength(4);
    expect(receiver.received[3]?.data).toMatchObject({ status: "resolved", counts: { firing: 0, resolved: 2 } });
    const [alert] = await listAlerts(tenant);
    expect((await alertFile(tenant, alert?.["id"]))["deliveries"]).toHaveLength(4);
    await pass(600);
    expect(heard()).toHaveLength(4);
  });

  test("an alert by itself is told again, until somebody takes it", async () => {
    await addRule(tenant, { repeat_interval: "30m" });
    await close({ web: 50 });
    await expect.poll(heard).toHaveLength(1);
    await pass(31);
    await expect.poll(heard).toHaveLength(2);
    const [alert] = await listAlerts(tenant);
    await post(`/api/v1/alerts/${String(alert?.["id"])}/acknowledge`, { by: "ada" });
    await pass(31);
    await close({ web: 1 });
    await expect.poll(() => receiver.types).toEqual(["alert.firing", "alert.firing", "alert.resolved"]);
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(3);
  });

  test("a channel that has not answered is not reminded, and hears the end after the beginning", async () => {
    let isDown = true;
    receiver = listen(tenant, () => new Response(null, { status: isDown ? 503 : 200 }));
    await addRule(tenant, { repeat_interval: "30m" });
    await close({ web: 50 });
    await expect.poll(heard).toHaveLength(1);
    await pass(31);
    expect(await sql(tenant, "select message_id from outbox")).toHaveLength(1);
    await close({ web: 1 });
    expect(await sql(tenant, "select waits_for is null as first from outbox order by first")).toEqual([
      { first: 0 },
      { first: 1 },
    ]);
    isDown = false;
    await sql(tenant, "update outbox set due_at = 0");
    await pass(60);
    await expect.poll(() => receiver.types.at(-1)).toBe("alert.resolved");
    expect(await sql(tenant, "select message_id from outbox")).toEqual([]);
  });
});
