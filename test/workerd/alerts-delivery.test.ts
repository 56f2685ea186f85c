import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test } from "vitest";
import { MAX_OUTBOX } from "../../core/alerts/limits.ts";
import { addRule, alertFile, listAlerts, minute, newTenant, listen, sql, wireUp } from "./alerts-bench.ts";

beforeEach(wireUp);

describe("receivers that do not take it", () => {
  test("503 is tried again later, with the same id; both attempts are shown with the alert", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant, (nth) => (nth === 0 ? new Response("busy", { status: 503 }) : new Response("ok")));
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect.poll(() => receiver.received.length, { timeout: 20_000 }).toBe(2);
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(1);
    const [alert] = await listAlerts(tenant);
    await expect
      .poll(async () => (await alertFile(tenant, alert?.["id"]))["deliveries"])
      .toMatchObject([
        { attempt: 1, outcome: "retry", status: 503, error: "answered 503: busy" },
        { attempt: 2, outcome: "delivered", status: 200 },
      ]);
  });

  test("another alarm on the way puts off no retry", async () => {
    const tenant = await newTenant();
    listen(tenant, () => new Response("busy", { status: 503 }));
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    const [alert] = await listAlerts(tenant);
    const waiting = async () => (await alertFile(tenant, alert?.["id"]))["waiting"];
    await expect.poll(waiting).toMatchObject([{ attempts: 1 }]);
    await runDurableObjectAlarm(tenant.object);
    const [row] = await sql(tenant, "select due_at from outbox");
    expect(await runInDurableObject(tenant.object, (_, { storage }) => storage.getAlarm())).toBe(row?.["due_at"]);
  });

  test("the end of an alert waits until its beginning is delivered", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant, (nth) => new Response(null, { status: nth === 0 ? 503 : 200 }));
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect.poll(() => receiver.types).toEqual(["alert.firing"]);
    await tenant.manager.windowsClosed([minute(1, { web: 1 })]);
    await expect
      .poll(() => receiver.types, { timeout: 20_000 })
      .toEqual(["alert.firing", "alert.firing", "alert.resolved"]);
  });

  test("an alert that fired and ended while nobody looked is told in that order", async () => {
    const tenant = await newTenant();
    const receiver = listen(tenant);
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 }), minute(1, { web: 1 })]);
    await expect.poll(() => receiver.types).toEqual(["alert.firing", "alert.resolved"]);
  });

  test.each([
    ["a refusal", () => new Response("no", { status: 400 }), 400, "answered 400: no"],
    [
      "a redirect",
      () => new Response(null, { status: 302, headers: { Location: "http://127.0.0.1/" } }),
      302,
      "answered 302; redirects are not followed",
    ],
  ])("%s is final", async (_, answer, status, error) => {
    const tenant = await newTenant();
    const receiver = listen(tenant, answer);
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect.poll(async () => await sql(tenant, "select * from outbox")).toEqual([]);
    const [alert] = await listAlerts(tenant);
    expect((await alertFile(tenant, alert?.["id"]))["deliveries"]).toMatchObject([
      { outcome: "failed", status, error },
    ]);
    expect(receiver.received).toHaveLength(1);
  });

  test("a receiver that hangs holds up no other", async () => {
    const hung = Promise.withResolvers<void>();
    const tenant = await newTenant();
    const receiver = listen(tenant, async (nth) => {
      if (nth === 0) await hung.promise;
      return new Response("ok");
    });
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50, api: 50 })]);
    await expect.poll(async () => (await sql(tenant, "select * from outbox")).length).toBe(1);
    expect(receiver.received).toHaveLength(2);
    hung.resolve();
    await expect.poll(async () => (await sql(tenant, "select * from outbox")).length).toBe(0);
  });

  test("when too many notifications wait, windows are refused whole and taken later", async () => {
    const tenant = await newTenant();
    listen(tenant);
    await addRule(tenant);
    const fill = `insert into outbox with recursive n(k) as (select 1 union all select k + 1 from n where k < ${MAX_OUTBOX})
      select 'm' || k, 'c', 'a', '{}', 9e15, 0, 0, 9e15, null from n`;
    await sql(tenant, fill);
    await runInDurableObject(tenant.object, async (manager) => {
      await expect(manager.windowsClosed([minute(0, { web: 50 })])).rejects.toThrow("notifications wait");
    });
    expect(await listAlerts(tenant)).toEqual([]);
    await sql(tenant, "delete from outbox where message_id = 'm1'");
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    expect(await listAlerts(tenant)).toHaveLength(1);
  });
});
