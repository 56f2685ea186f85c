import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { addRule, alertFile, listAlerts, minute, newTenant, postInProduction, sql, wireUp } from "./alerts-bench.ts";
import type { AlertTenant } from "./alerts-bench.ts";
import { addChannel, Provider } from "./alerts-providers.ts";
import type { Fault, ProviderKind } from "./alerts-providers.ts";
import { call } from "./http-client.ts";

beforeEach(wireUp);

const KINDS: readonly ProviderKind[] = ["slack", "pagerduty", "sms"];

function busy(): Response {
  return new Response("slow down", { status: 429, headers: { "Retry-After": "3000" } });
}

/** An error, then silence, then all is well. */
function stumble(nth: number): ReturnType<Fault> {
  if (nth === 0) return new Response("oops", { status: 500 });
  if (nth === 1) return Promise.reject(new DOMException("timed out", "TimeoutError"));
  return null;
}

/** A tenant with a rule on one channel of a kind, and the provider that hears of it. */
async function setUp(kind: ProviderKind, fault?: Fault) {
  const tenant = await newTenant();
  const channel = await addChannel(tenant, kind);
  const provider = new Provider(channel.mark, fault);
  await addRule(tenant, { channels: [channel.id] });
  return { tenant, channel, provider };
}

async function deliveries(tenant: AlertTenant): Promise<unknown> {
  const [alert] = await listAlerts(tenant);
  return (await alertFile(tenant, alert?.["id"]))["deliveries"];
}

async function isSettled(tenant: AlertTenant): Promise<boolean> {
  return (await sql(tenant, "select * from outbox")).length === 0;
}

describe("each provider", () => {
  test.each(KINDS)("%s hears of an alert's beginning and end in its own format", async (kind) => {
    const { tenant, provider } = await setUp(kind);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect.poll(() => provider.sent.length).toBe(1);
    await tenant.manager.windowsClosed([minute(1, { web: 1 })]);
    await expect.poll(() => provider.sent.length).toBe(2);
    expect(provider.refused).toEqual([]);
    const [first, second] = provider.sent.map(({ said }) => JSON.stringify(said));
    expect(first).toContain("count = 50");
    expect([first, second].join(" ")).toMatch(kind === "pagerduty" ? /"trigger".*"resolve"/ : /Firing.*Resolved/);
    await expect.poll(async () => await isSettled(tenant)).toBe(true);
    expect(await deliveries(tenant)).toMatchObject([
      { outcome: "delivered", attempt: 1 },
      { outcome: "delivered", attempt: 1 },
    ]);
  });

  test.each(KINDS)("%s answers a test, in its own format", async (kind) => {
    const { tenant, channel, provider } = await setUp(kind);
    const answer = await call("POST", `/api/v1/channels/${channel.id}/test`, { key: tenant.key });
    expect(answer.data).toMatchObject({ delivered: true, error: null });
    expect(JSON.stringify(provider.sent)).toContain("this channel works");
  });

  test.each(KINDS)("%s is asked again when it says 429, not before it wants to be", async (kind) => {
    const { tenant, provider } = await setUp(kind, busy);
    const before = Date.now();
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect.poll(async () => (await sql(tenant, "select attempts from outbox"))[0]?.["attempts"]).toBe(1);
    expect(await deliveries(tenant)).toMatchObject([
      { outcome: "retry", status: 429, error: "answered 429: slow down" },
    ]);
    const [row] = await sql(tenant, "select due_at from outbox");
    expect(Number(row?.["due_at"])).toBeGreaterThanOrEqual(before + 3_000_000);
    expect(provider.calls).toBe(1);
  });

  test("is asked again after a 500 and after no answer, and gets it once", async () => {
    // All at once: the delays between attempts are real.
    const settings = [await setUp("slack", stumble), await setUp("pagerduty", stumble), await setUp("sms", stumble)];
    for (const { tenant } of settings) await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    for (const { tenant, provider } of settings) {
      await expect.poll(() => provider.sent.length, { timeout: 28_000 }).toBe(1);
      await expect.poll(async () => await isSettled(tenant)).toBe(true);
      expect(await deliveries(tenant)).toMatchObject([
        { outcome: "retry", status: 500, error: "answered 500: oops" },
        { outcome: "retry", status: null, error: "no answer within 5 s" },
        { outcome: "delivered" },
      ]);
      expect(provider.calls).toBe(3);
    }
  });

  test.each(KINDS)("%s is not asked again after 403, and what it repeats is not shown", async (kind) => {
    let channelSecrets: string[] = [];
    const { tenant, channel, provider } = await setUp(
      kind,
      () => new Response(`you sent ${channelSecrets[0] ?? ""}`, { status: 403 }),
    );
    channelSecrets = channel.secrets;
    const logged = vi.spyOn(console, "log");
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect.poll(async () => await isSettled(tenant)).toBe(true);
    const tested = await call("POST", `/api/v1/channels/${channel.id}/test`, { key: tenant.key });
    expect(await deliveries(tenant)).toMatchObject([
      { outcome: "failed", status: 403, error: "answered 403: you sent [secret]" },
    ]);
    expect(tested.data).toMatchObject({ delivered: false, error: "answered 403: you sent [secret]" });
    const listed = await call("GET", "/api/v1/channels", { key: tenant.key });
    const [alert] = await listAlerts(tenant);
    const shown = [
      channel.made,
      listed.text,
      tested.text,
      JSON.stringify(await alertFile(tenant, alert?.["id"])),
      JSON.stringify(logged.mock.calls),
      await everyRow(tenant),
    ];
    for (const text of shown) for (const secret of channel.secrets) expect(text).not.toContain(secret);
    expect(provider.calls).toBe(2);
    logged.mockRestore();
  });
});

/** All that the tenant's alert manager keeps on disk, bytes read as latin1. */
async function everyRow({ object }: AlertTenant): Promise<string> {
  return await runInDurableObject(object, (_, { storage }) => {
    const tables = storage.sql.exec<{ name: string }>("select name from sqlite_master where type = 'table'").toArray();
    const rows = tables
      .filter(({ name }) => !name.startsWith("_cf"))
      .flatMap(({ name }) => storage.sql.exec(`select * from "${name}"`).toArray());
    const texts = rows.flatMap((row) =>
      Object.values(row).map((value) =>
        value instanceof ArrayBuffer ? new TextDecoder("latin1").decode(value) : String(value),
      ),
    );
    return texts.join("\n");
  });
}

describe("an acknowledgement", () => {
  test("is told to PagerDuty, under the key of the incident, and to nobody else", async () => {
    const { tenant, channel, provider } = await setUp("pagerduty");
    await addRule(tenant, { name: "both", channels: [channel.id, tenant.channelId], condition: "count > 40" });
    await tenant.manager.windowsClosed([minute(0, { web: 30 })]);
    await expect.poll(() => provider.sent.length).toBe(1);
    const [alert] = await listAlerts(tenant);
    await call("POST", `/api/v1/alerts/${String(alert?.["id"])}/acknowledge`, { key: tenant.key, json: { by: "ada" } });
    await expect.poll(() => provider.sent.length).toBe(2);
    await tenant.manager.windowsClosed([minute(1, { web: 1 })]);
    await expect.poll(() => provider.sent.length).toBe(3);
    expect(provider.sent.map(({ said }) => [said["event_action"], said["dedup_key"]])).toEqual(
      ["trigger", "acknowledge", "resolve"].map((action) => [action, `streamflow-${String(alert?.["id"])}`]),
    );
    expect(provider.refused).toEqual([]);
  });

  test("waits for the beginning, and the end for both", async () => {
    const { tenant, provider } = await setUp("pagerduty", (nth) =>
      nth < 2 ? new Response("", { status: 503 }) : null,
    );
    await tenant.manager.windowsClosed([minute(0, { web: 30 })]);
    await expect.poll(() => provider.calls).toBe(1);
    const [alert] = await listAlerts(tenant);
    await call("POST", `/api/v1/alerts/${String(alert?.["id"])}/acknowledge`, { key: tenant.key, json: { by: "ada" } });
    await tenant.manager.windowsClosed([minute(1, { web: 1 })]);
    await expect
      .poll(() => provider.sent.map(({ said }) => said["event_action"]), { timeout: 28_000 })
      .toEqual(["trigger", "acknowledge", "resolve"]);
  });

  test("is not told to a webhook", async () => {
    const tenant = await newTenant();
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 30 })]);
    await expect.poll(async () => await isSettled(tenant)).toBe(true);
    const [alert] = await listAlerts(tenant);
    await call("POST", `/api/v1/alerts/${String(alert?.["id"])}/acknowledge`, { key: tenant.key, json: { by: "ada" } });
    expect(await isSettled(tenant)).toBe(true);
  });
});

describe("a provider that is elsewhere", () => {
  const KEY = "0123456789abcdef0123456789abcdef";
  const elsewhere = [
    [
      { name: "a", type: "slack", config: { url: "http://127.0.0.1:9/x", allow_private_targets: true } },
      "config.allow_private_targets",
    ],
    [{ name: "a", type: "pagerduty", config: { routing_key: KEY, api_url: "http://127.0.0.1:9" } }, "config.api_url"],
    [
      {
        name: "a",
        type: "sms",
        config: {
          account_sid: `AC${KEY}`,
          auth_token: KEY,
          from: "Flow",
          to: "+442071838750",
          api_url: "http://127.0.0.1:9",
        },
      },
      "config.api_url",
    ],
  ] as const;

  test.each(elsewhere)("%j is allowed in local mode only", async (json, field) => {
    const { key } = await newTenant();
    expect((await call("POST", "/api/v1/channels", { key, json })).status).toBe(201);
    const answer = await postInProduction("/api/v1/channels", key, json);
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain(field);
  });

  test("Slack at another host is refused", async () => {
    const { key } = await newTenant();
    const json = { name: "a", type: "slack", config: { url: "https://slack.example.com/services/x" } };
    const answer = await call("POST", "/api/v1/channels", { key, json });
    expect([answer.status, answer.body["details"]]).toMatchObject([400, [{ field: "config.url" }]]);
  });
});

describe("channels of an earlier version", () => {
  test("are still there and still work", async () => {
    const tenant = await newTenant();
    const before = await call("GET", "/api/v1/channels", { key: tenant.key });
    await sql(tenant, "alter table channels rename column shown to shown_url");
    await sql(tenant, "alter table channels add column allow_private integer not null default 1");
    await sql(tenant, "update channels set shown_url = json_extract(shown_url, '$.url')");
    await runInDurableObject(tenant.object, async (_, state) => state.abort("start again")).catch(() => {});
    const after = await call("GET", "/api/v1/channels", { key: tenant.key });
    const [channel] = Array.isArray(before.data["channels"]) ? before.data["channels"] : [];
    expect(after.data["channels"]).toEqual([
      { ...channel, config: { ...channel.config, allow_private_targets: true } },
    ]);
    const tested = await call("POST", `/api/v1/channels/${tenant.channelId}/test`, { key: tenant.key });
    expect(tested.data).toMatchObject({ delivered: true });
  });
});
