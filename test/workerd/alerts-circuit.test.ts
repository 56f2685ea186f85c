import {
  createExecutionContext,
  createMessageBatch,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
  waitOnExecutionContext,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { consumeNotifications } from "../../workers/notify/index.ts";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { MAX_OUTBOX } from "../../core/alerts/limits.ts";
import { ChannelHealth } from "../../durable-objects/alerts/channel-health.ts";
import { MAX_AGE_MS } from "../../durable-objects/alerts/outbox.ts";
import { addRule, alertFile, listAlerts, listen, minute, newTenant, sql, wireUp } from "./alerts-bench.ts";
import type { AlertTenant } from "./alerts-bench.ts";
import { call } from "./http-client.ts";

beforeEach(wireUp);

const down = { outcome: "retry" as const, error: "no answer", strain: { isDown: true, retryAfterSeconds: null } };
const fine = { outcome: "delivered" as const, error: null, strain: { isDown: false, retryAfterSeconds: null } };

async function stateOf({ key, channelId }: AlertTenant): Promise<Record<string, unknown>> {
  const { channels } = (await call("GET", "/api/v1/channels", { key })).data;
  const list: { id: string; state: Record<string, unknown> }[] = Array.isArray(channels) ? channels : [];
  return list.find(({ id }) => id === channelId)?.state ?? {};
}

/** A window in which so many groups are over the threshold. */
function storm(nth: number, alerts: number) {
  return minute(nth, Object.fromEntries(Array.from({ length: alerts }, (_, k) => [`type.n${k}`, 50])));
}

describe("a channel's circuit", () => {
  test("opens after five failures, lets one try after the pause, closes when that works, and outlives its object", async () => {
    const tenant = await newTenant();
    await runInDurableObject(tenant.object, (_, { storage }) => {
      const health = new ChannelHealth(storage.sql, () => 0);
      const changes = [1, 2, 3, 4, 5].map((at) => health.settle("c", null, down, at));
      expect(changes).toEqual([null, null, null, null, "opened"]);
      expect(health.enter("c", 6)).toEqual({ ok: false, untilMs: 15_005 });
      expect(health.enter("other", 6)).toEqual({ ok: true, pass: null });
      const next = new ChannelHealth(storage.sql, () => 0.6);
      expect(next.held(6)).toEqual(new Map([["c", 15_005]]));
      const probe = next.enter("c", 15_005);
      expect(probe).toMatchObject({ ok: true, pass: {} });
      // 60 % are let through while none is known to have worked, and the die says 0.6.
      next.enter("c", 15_006);
      expect(next.enter("c", 15_006)).toMatchObject({ ok: false });
      const pass = probe.ok ? probe.pass : null;
      expect(next.settle("c", pass, down, 15_010)).toBe("opened");
      expect(next.heldUntil("c", 15_011)).toBe(15_010 + 30_000 * 1.3);
      const again = next.enter("c", 60_000);
      expect(next.settle("c", again.ok ? again.pass : null, fine, 60_001)).toBe("closed");
      expect(next.held(60_002)).toEqual(new Map());
      expect(new ChannelHealth(storage.sql, () => 0).held(60_002)).toEqual(new Map());
    });
  });

  test("is no business of a receiver that refuses a message for what it is, or of one failure among many", async () => {
    const tenant = await newTenant();
    await runInDurableObject(tenant.object, (_, { storage }) => {
      const health = new ChannelHealth(storage.sql, () => 0);
      const refused = { ...down, outcome: "failed" as const, strain: { isDown: false, retryAfterSeconds: null } };
      for (let at = 0; at < 50; at++) expect(health.settle("c", null, refused, at)).toBeNull();
      for (let at = 0; at < 50; at++) expect(health.settle("d", null, at % 3 === 0 ? down : fine, at)).toBeNull();
      expect(health.held(100)).toEqual(new Map());
    });
  });

  test("holds a storm back from a receiver that is down, shows it, and a test that works lets all of it go", async () => {
    const tenant = await newTenant();
    let isDown = true;
    const receiver = listen(tenant, () => new Response(null, { status: isDown ? 500 : 200 }));
    await addRule(tenant);
    await tenant.manager.windowsClosed([storm(0, 40)]);
    await expect.poll(async () => await stateOf(tenant)).toMatchObject({ circuit: "open", waiting: 40 });
    // Two lanes of each of four batches may have been under way when it opened.
    await expect
      .poll(
        async () => (await sql(tenant, "select count(*) as n from outbox where sends > 0 and attempts = 0"))[0]?.["n"],
      )
      .toBe(0);
    expect(receiver.received.length).toBeLessThanOrEqual(12);
    expect(await stateOf(tenant)).toMatchObject({
      held_until: expect.any(String),
      last_delivered_at: null,
      last_error: "answered 500",
    });
    const files = await Promise.all((await listAlerts(tenant)).map(({ id }) => alertFile(tenant, id)));
    const changes = files.flatMap(({ deliveries }) => (Array.isArray(deliveries) ? deliveries : []));
    expect(changes.filter(({ circuit }) => circuit === "opened")).toHaveLength(1);
    expect(files[0]?.["waiting"]).toMatchObject([{ channel_held: true, next_attempt_at: expect.any(String) }]);
    isDown = false;
    const tested = await call("POST", `/api/v1/channels/${tenant.channelId}/test`, { key: tenant.key });
    expect(tested.data).toMatchObject({ delivered: true });
    await expect.poll(async () => await sql(tenant, "select * from outbox"), { timeout: 10_000 }).toEqual([]);
    const delivered = receiver.received.filter(({ type }) => type === "alert.firing").map(({ id }) => id);
    expect(new Set(delivered).size).toBe(40);
    expect(await stateOf(tenant)).toMatchObject({ circuit: "closed", held_until: null, waiting: 0 });
  });

  test("Retry-After holds the whole channel, not only the message that was answered with it", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant, () => new Response("slow", { status: 429, headers: { "Retry-After": "600" } }));
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect
      .poll(async () => await stateOf(tenant))
      .toMatchObject({ circuit: "closed", held_until: expect.any(String) });
    await tenant.manager.windowsClosed([minute(1, { web: 50, api: 50 })]);
    const [file] = await Promise.all((await listAlerts(tenant)).slice(0, 1).map(({ id }) => alertFile(tenant, id)));
    expect(file).toMatchObject({ deliveries: [], waiting: [{ attempts: 0, channel_held: true }] });
    expect(receiver.received).toHaveLength(1);
  });
});

describe("a receiver that never answers", () => {
  test("delays no other: everything for the others arrives while its first attempts still hang", async () => {
    const tenant = await newTenant();
    const end = Promise.withResolvers<void>();
    const heard: string[] = [];
    let hanging = 0;
    vi.mocked(fetch).mockImplementation(async (input, init) => {
      const { url, headers } = new Request(input, init);
      if (url.startsWith("https://hangs.example/")) {
        hanging++;
        await end.promise;
        return new Response("ok");
      }
      heard.push(headers.get("webhook-id") ?? "");
      return new Response("ok");
    });
    const json = { name: "hangs", type: "webhook", config: { url: `https://hangs.example/${tenant.tenant}` } };
    const hangs = await call("POST", "/api/v1/channels", { key: tenant.key, json });
    await addRule(tenant, { channels: [hangs.data["id"], tenant.channelId] });
    await tenant.manager.windowsClosed([storm(0, 60)]);
    await expect.poll(() => heard.length, { timeout: 20_000 }).toBe(60);
    expect(new Set(heard).size).toBe(60);
    expect(hanging).toBeGreaterThan(0);
    expect(await sql(tenant, "select distinct attempts from outbox")).toEqual([{ attempts: 0 }]);
    end.resolve();
  });
});

describe("a notification that cannot be delivered", () => {
  test("is listed with the dead letters, and a replay sends it with the same id", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant, (nth) => new Response("no", { status: nth === 0 ? 400 : 200 }));
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    const letters = async () => (await call("GET", "/api/v1/dead-letters", { key: tenant.key })).data["dead_letters"];
    await expect
      .poll(letters)
      .toMatchObject([
        { kind: "notification", reason: "notification not delivered: answered 400: no", attempts: 1, events: 0 },
      ]);
    const replayed = await call("POST", "/api/v1/dead-letters/replay", { key: tenant.key });
    expect(replayed.data).toMatchObject({ replayed: 1, events: 0, not_replayable: [], remaining: 0 });
    await expect.poll(() => receiver.types).toEqual(["alert.firing", "alert.firing"]);
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(1);
    expect(receiver.received.every(({ isGenuine }) => isGenuine)).toBe(true);
    expect(await letters()).toEqual([]);
  });

  test("for a whole day is given up without another try, though its channel is held", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant, () => new Response("slow", { status: 429, headers: { "Retry-After": "3000" } }));
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect.poll(async () => await stateOf(tenant)).toMatchObject({ held_until: expect.any(String) });
    await sql(tenant, `update outbox set due_at = 0, made_at = made_at - ${MAX_AGE_MS}`);
    await tenant.manager.windowsClosed([minute(1, { web: 50, api: 50 })]);
    await expect.poll(async () => await sql(tenant, "select message_id from outbox")).toHaveLength(1);
    expect(receiver.received).toHaveLength(1);
    const answer = await call("GET", "/api/v1/dead-letters", { key: tenant.key });
    expect(answer.data["dead_letters"]).toMatchObject([{ reason: expect.stringContaining("24 h old") }]);
  });

  test("and whose channel is gone cannot be replayed; its letter stays", async () => {
    const tenant = await newTenant();
    listen(tenant, () => new Response("no", { status: 400 }));
    const rule = await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect.poll(async () => await sql(tenant, "select * from outbox")).toEqual([]);
    await call("DELETE", `/api/v1/rules/${rule}`, { key: tenant.key });
    await expect.poll(async () => await sql(tenant, "select * from outbox")).toEqual([]);
    await call("DELETE", `/api/v1/channels/${tenant.channelId}`, { key: tenant.key });
    const replayed = await call("POST", "/api/v1/dead-letters/replay", { key: tenant.key });
    expect(replayed.data).toMatchObject({
      replayed: 0,
      remaining: 2,
      not_replayable: [expect.any(String), expect.any(String)],
    });
  });

  test("that was queued twice is tried once at a time", async () => {
    const tenant = await newTenant();
    const end = Promise.withResolvers<void>();
    const receiver = listen(tenant, async () => {
      await end.promise;
      return new Response("ok");
    });
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect.poll(() => receiver.received.length).toBe(1);
    const [row] = await sql(tenant, "select message_id from outbox");
    const key = { messageId: String(row?.["message_id"]), channelId: tenant.channelId };
    expect(await tenant.manager.claimDelivery(key)).toEqual({ kind: "held" });
    end.resolve();
    await expect.poll(async () => await sql(tenant, "select * from outbox")).toEqual([]);
    expect(await tenant.manager.claimDelivery(key)).toEqual({ kind: "settled" });
  });
});

test("mail by the platform's binding is taken by its local simulation, as a test and as an alert", async () => {
  const tenant = await newTenant();
  const config = { transport: "binding", from: "flow@example.com", to: "ops@example.com" };
  const made = await call("POST", "/api/v1/channels", {
    key: tenant.key,
    json: { name: "mail", type: "email", config },
  });
  expect([made.status, made.data["config"]]).toEqual([201, config]);
  const tested = await call("POST", `/api/v1/channels/${String(made.data["id"])}/test`, { key: tenant.key });
  expect(tested.data).toMatchObject({ delivered: true, status: 250, error: null });
  await addRule(tenant, { channels: [made.data["id"]] });
  await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
  const [alert] = await listAlerts(tenant);
  await expect
    .poll(async () => (await alertFile(tenant, alert?.["id"]))["deliveries"])
    .toMatchObject([{ outcome: "delivered", status: 250 }]);
});

describe("a receiver that recovers", () => {
  test("gets one notification after the pause, and then, with nobody's help, everything that waited", async () => {
    const tenant = await newTenant();
    let isDown = true;
    const receiver = listen(tenant, () => new Response(null, { status: isDown ? 503 : 200 }));
    await addRule(tenant);
    await tenant.manager.windowsClosed([storm(0, 40)]);
    await expect.poll(async () => await stateOf(tenant)).toMatchObject({ circuit: "open" });
    const underWay = "select count(*) as n from outbox where sends > 0 and attempts = 0";
    await expect.poll(async () => (await sql(tenant, underWay))[0]?.["n"]).toBe(0);
    isDown = false;
    const tried = receiver.received.length;
    // The pause is over: as if the object had slept through it.
    await sql(tenant, "update channel_health set body = json_set(body, '$.circuit.openUntilMs', 1)");
    await sql(tenant, "update outbox set due_at = 1");
    await evictDurableObject(tenant.object);
    expect(await stateOf(tenant)).toMatchObject({ circuit: "half_open", waiting: 40 });
    expect(await runDurableObjectAlarm(tenant.object)).toBe(true);
    await expect
      .poll(async () => await stateOf(tenant), { timeout: 10_000 })
      .toMatchObject({ circuit: "closed", waiting: 0 });
    const ids = receiver.received.slice(tried).map(({ id }) => id);
    expect([ids.length, new Set(ids).size]).toEqual([40, 40]);
  });
});

test("what a slow batch had no time to begin is queued again at once", async () => {
  const tenant = await newTenant();
  const receiver = listen(tenant);
  await addRule(tenant);
  const clock = vi.spyOn(Date, "now");
  const start = Date.now();
  let calls = 0;
  // The clock jumps past the deadline once the batch has come.
  clock.mockImplementation(() => start + (calls++ === 0 ? 0 : 60_000));
  const body = {
    v: 1,
    kind: "notification",
    tenant: tenant.tenant,
    messageId: "msg_x_firing",
    channelId: tenant.channelId,
  };
  const batch = createMessageBatch("streamflow-notifications", [
    { id: "1", timestamp: new Date(start), attempts: 1, body },
  ]);
  const ctx = createExecutionContext();
  await sql(
    tenant,
    `insert into outbox (message_id, channel_id, alert_id, body, due_at, sends, attempts, made_at)
    values ('msg_x_firing', '${tenant.channelId}', 'x', '{"type":"alert.test","data":{}}', 9e15, 1, 0, ${start})`,
  );
  await consumeNotifications(batch, env, ctx);
  await waitOnExecutionContext(ctx);
  clock.mockRestore();
  await expect.poll(() => receiver.types).toEqual(["alert.test"]);
});

test("a channel that is down does not fill the outbox for the others: the oldest of what waits for it is given up", async () => {
  const tenant = await newTenant();
  const receiver = listen(tenant);
  const body = JSON.stringify({
    circuit: { state: "open", openUntilMs: 9e15, failedRecoveries: 0 },
    facts: { heldUntil: 0, deliveredAt: 0, failedAt: 0, error: null },
  });
  await sql(tenant, `insert into channel_health (channel_id, body) values ('down', '${body}')`);
  await evictDurableObject(tenant.object);
  await addRule(tenant);
  await sql(
    tenant,
    `insert into outbox (message_id, channel_id, alert_id, body, due_at, sends, attempts, made_at)
    with recursive n(k) as (select 1 union all select k + 1 from n where k < ${MAX_OUTBOX})
    select 'm' || k, 'down', 'a', '{}', 9e15, 0, 0, 8e15 + k from n`,
  );
  await runInDurableObject(tenant.object, async (manager) => {
    await expect(manager.windowsClosed([minute(0, { web: 50 })])).rejects.toThrow("notifications wait");
  });
  // The aggregator tells it again until it is taken.
  await expect
    .poll(
      async () =>
        await tenant.manager.windowsClosed([minute(0, { web: 50 })]).then(
          () => "taken",
          () => "full",
        ),
      { timeout: 20_000 },
    )
    .toBe("taken");
  await expect.poll(() => receiver.types, { timeout: 20_000 }).toEqual(["alert.firing"]);
  const oldest =
    "select min(cast(substr(message_id, 2) as integer)) as k from outbox where channel_id = 'down' and made_at > 0";
  expect(Number((await sql(tenant, oldest))[0]?.["k"])).toBeGreaterThan(200);
});
