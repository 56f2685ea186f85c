import { beforeEach, describe, expect, test } from "vitest";
import { MAX_RULES } from "../../core/alerts/limits.ts";
import { ruleSchema } from "../../core/alerts/rule.ts";
import { addRule, alertFile, listAlerts, minute, newTenant, ruleBody, wireUp } from "./alerts-bench.ts";
import type { AlertTenant } from "./alerts-bench.ts";
import { call, makeKey } from "./http-client.ts";

beforeEach(wireUp);

describe("rules", () => {
  test("are made, read, listed, replaced and deleted", async () => {
    const tenant = await newTenant();
    const { key } = tenant;
    const made = await call("POST", "/api/v1/rules", {
      key,
      json: ruleBody({ for: "5m", channels: [tenant.channelId] }),
    });
    expect(made.status).toBe(201);
    expect(made.data).toMatchObject({
      ...ruleBody({ for: "5m", channels: [tenant.channelId] }),
      labels: {},
      enabled: true,
      state: { open_alerts: 0, evaluated_through: null, condition_errors: 0, last_error: null, refused_groups: 0 },
    });
    const path = `/api/v1/rules/${String(made.data["id"])}`;
    expect((await call("GET", path, { key })).data).toEqual(made.data);
    expect((await call("GET", "/api/v1/rules", { key })).data).toEqual({ rules: [made.data] });
    const replaced = await call("PUT", path, { key, json: { ...made.data, threshold: 20 } });
    expect(replaced.data).toMatchObject({ id: made.data["id"], threshold: 20, created_at: made.data["created_at"] });
    expect((await call("DELETE", path, { key })).status).toBe(200);
    expect((await call("GET", path, { key })).status).toBe(404);
    expect((await call("PUT", path, { key, json: ruleBody() })).status).toBe(404);
    expect((await call("DELETE", path, { key })).status).toBe(404);
    expect((await call("GET", "/api/v1/rules", { key })).data).toEqual({ rules: [] });
  });

  test("say how they are doing", async () => {
    const tenant = await newTenant();
    const id = await addRule(tenant, { condition: "count > threshold && group.type > 1" });
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    const { state } = (await call("GET", `/api/v1/rules/${id}`, { key: tenant.key })).data;
    expect(state).toMatchObject({
      evaluated_through: "2026-11-22T00:01:00.000Z",
      condition_errors: 1,
      last_error: expect.stringContaining("line 1"),
    });
  });

  test.each([
    [{ condition: "count >" }, 400, { field: "condition", line: 1, column: expect.any(Number) }],
    [{ condition: "clicks > 3" }, 400, { field: "condition", line: 1, column: 1 }],
    [{ condition: "count > at('soon').count" }, 400, { field: "condition" }],
    [{ resolve_condition: "nothing < 3" }, 400, { field: "resolve_condition" }],
    [{ threshold: undefined }, 400, { field: "condition", message: expect.stringContaining("threshold") }],
    [{ wait: "5m" }, 400, { field: "wait" }],
    [{ level: "fatal" }, 400, { field: "level" }],
    [{ for: "soon" }, 400, { field: "for" }],
    [{ suppression_minutes: 0 }, 400, { field: "suppression_minutes" }],
    [{ escalation_minutes: 5 }, 400, { field: "escalation_channels" }],
    [{ escalation_minutes: 5, escalation_channels: ["nope"] }, 422, { field: "escalation_channels.0" }],
    [{ group_wait: "5s" }, 400, { field: "group_wait" }],
    [{ group_by: ["nope"] }, 400, { field: "group_by.0" }],
    [{ repeat_interval: "10ms" }, 400, { field: "repeat_interval" }],
    [{ mute_times: [{ timezone: "Mars/Olympus" }] }, 400, { field: "mute_times.0.timezone" }],
    [{ mute_times: [{ from: "25:00", timezone: "UTC" }] }, 400, { field: "mute_times.0.from" }],
    [{ inhibited_by: [{ matchers: ["level"] }] }, 400, { field: "inhibited_by.0.matchers.0" }],
    [
      { inhibited_by: [{ matchers: [{ name: "level", op: "=~", value: "(a" }] }] },
      400,
      { field: "inhibited_by.0.matchers.0" },
    ],
    [{ inhibited_by: [{ matchers: ["level=~.*"] }] }, 400, { field: "inhibited_by.0.matchers" }],
    [{ flapping: { firings: 1, within: "1h" } }, 400, { field: "flapping.firings" }],
    [{ annotations: { summary: "{{ values.nope }}" } }, 400, { field: "annotations.summary" }],
    [{ annotations: { summary: "{{ constructor }}" } }, 400, { field: "annotations.summary" }],
    [{ no_data: "5m" }, 400, { field: "no_data" }],
    [{ no_data: { after: "5m", windows: 3 } }, 400, { field: "no_data" }],
    [{ no_data: { after: "0s" } }, 400, { field: "no_data.after" }],
    [{ aggregation: "nothing" }, 422, { field: "aggregation" }],
    [{ channels: ["nobody"] }, 422, { field: "channels.0" }],
  ])("%j: %i", async (more, status, detail) => {
    const { key } = await newTenant();
    const answer = await call("POST", "/api/v1/rules", { key, json: ruleBody(more) });
    expect(answer.status).toBe(status);
    expect(answer.body["details"]).toMatchObject([detail]);
    expect(answer.body["message"]).toContain(detail.field);
  });

  test.each([[[]], ["rule"], [null], [7]])("a body of %j is a 400", async (json) => {
    const { key } = await newTenant();
    expect((await call("POST", "/api/v1/rules", { key, json })).status).toBe(400);
  });

  test(`the ${MAX_RULES + 1}th is refused`, async () => {
    const tenant = await newTenant();
    const spec = ruleSchema.parse(ruleBody());
    for (let k = 0; k < MAX_RULES - 1; k++) {
      await tenant.manager.putRule({ id: null, spec, measures: ["count", "users"], watermark: null });
    }
    const id = await addRule(tenant);
    expect((await call("POST", "/api/v1/rules", { key: tenant.key, json: ruleBody() })).status).toBe(409);
    expect((await call("PUT", `/api/v1/rules/${id}`, { key: tenant.key, json: ruleBody() })).status).toBe(200);
  });
});

describe("alerts", () => {
  test("are filtered by status, level and time, and paged", async () => {
    const tenant = await newTenant();
    await addRule(tenant, { name: "a", condition: "count > 10", level: "error" });
    await addRule(tenant, { name: "b", condition: "count > 100", level: "critical" });
    await addRule(tenant, { name: "c", condition: "count > 10", level: "info", for: "1h" });
    const before = Date.now();
    await tenant.manager.windowsClosed([minute(0, { web: 200 }), minute(1, { web: 50 })]);
    const seen = async (query: string): Promise<string[]> =>
      (await listAlerts(tenant, query)).map(({ level, status }) => `${String(level)} ${String(status)}`).sort();
    expect(await seen("")).toEqual(["critical resolved", "error firing", "info pending"]);
    expect(await seen("?status=firing")).toEqual(["error firing"]);
    expect(await seen("?status=firing,pending")).toEqual(["error firing", "info pending"]);
    expect(await seen("?status=suppressed")).toEqual([]);
    expect(await seen("?level=critical")).toEqual(["critical resolved"]);
    expect(await seen(`?from=${before}`)).toHaveLength(3);
    expect(await seen(`?to=${before}`)).toEqual([]);
    const pages: unknown[] = [];
    let cursor = "";
    do {
      const { data } = await call("GET", `/api/v1/alerts?limit=2${cursor}`, { key: tenant.key });
      pages.push(Array.isArray(data["alerts"]) ? data["alerts"].length : null);
      cursor = data["next_cursor"] === null ? "" : `&cursor=${String(data["next_cursor"])}`;
    } while (cursor !== "");
    expect(pages).toEqual([2, 1]);
  });

  test.each([
    "?status=open",
    "?level=high",
    "?from=yesterday",
    "?limit=0",
    "?limit=1001",
    "?cursor=x",
    "?colour=red",
    "?from=2&to=1",
  ])("%s is a 400 that names the parameter", async (query) => {
    const { key } = await newTenant();
    const answer = await call("GET", `/api/v1/alerts${query}`, { key });
    expect(answer.status).toBe(400);
    expect(answer.body["details"]).toMatchObject({ field: expect.any(String) });
  });

  test("are counted by status, level and rule", async () => {
    const tenant = await newTenant();
    const id = await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50, api: 50 }), minute(1, { web: 50 })]);
    const { data } = await call("GET", "/api/v1/alerts/stats", { key: tenant.key });
    expect(data).toMatchObject({
      total: 2,
      by_status: { firing: 1, resolved: 1 },
      by_level: { error: 2 },
      by_rule: [{ id, name: "busy", alerts: 2 }],
      recent_24h: 2,
      mean_seconds_to_acknowledge: null,
      mean_seconds_to_resolve: expect.any(Number),
    });
  });

  test("acknowledging without a name is done in that of the key", async () => {
    const tenant = await newTenant();
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    const [alert] = await listAlerts(tenant);
    const editor = await makeKey(tenant.key, "editor");
    const answer = await call("POST", `/api/v1/alerts/${String(alert?.["id"])}/acknowledge`, {
      key: editor.key,
      json: { comment: "on it" },
    });
    expect(answer.data).toMatchObject({ status: "acknowledged", acknowledged_by: editor.id });
  });

  test("are skipped by offset as in the older system", async () => {
    const tenant = await newTenant();
    await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { a: 50, b: 50, c: 50 })]);
    const ids = (await listAlerts(tenant)).map(({ id }) => id);
    expect((await listAlerts(tenant, "?limit=1&offset=1")).map(({ id }) => id)).toEqual(ids.slice(1, 2));
    expect(await listAlerts(tenant, "?offset=3")).toEqual([]);
  });

  test("acknowledging and resolving take who and why, and nothing else", async () => {
    const tenant = await newTenant();
    const { key } = tenant;
    await addRule(tenant, { for: "1m" });
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    const path = `/api/v1/alerts/${String((await listAlerts(tenant))[0]?.["id"])}`;
    expect((await call("POST", `${path}/acknowledge`, { key, json: { by: "ada" } })).status).toBe(409);
    await tenant.manager.windowsClosed([minute(1, { web: 50 })]);
    expect((await call("POST", `${path}/acknowledge`, { key, json: { by: "" } })).status).toBe(400);
    expect((await call("POST", `${path}/acknowledge`, { key, json: { by: "ada", mood: "calm" } })).status).toBe(400);
    expect((await call("POST", `${path}/resolve`, { key, json: { by: 7 } })).status).toBe(400);
    const answer = await call("POST", `${path}/resolve`, { key, json: { by: "ada", comment: "fixed" } });
    expect(answer.data).toMatchObject({ status: "resolved" });
    const file = await alertFile(tenant, answer.data["id"]);
    expect(file["history"]).toMatchObject([
      { kind: "pending" },
      { kind: "firing" },
      { kind: "resolved", by: "ada", comment: "fixed" },
    ]);
  });

  test.each(["GET /api/v1/alerts/none", "POST /api/v1/alerts/none/acknowledge", "POST /api/v1/alerts/none/resolve"])(
    "%s is a 404",
    async (route) => {
      const { key } = await newTenant();
      const [method = "", path = ""] = route.split(" ");
      const json = method === "POST" ? { json: { by: "ada" } } : {};
      expect((await call(method, path, { key, ...json })).status).toBe(404);
    },
  );
});

describe("who may do what", () => {
  const READS = [
    "GET /api/v1/rules",
    "GET /api/v1/channels",
    "GET /api/v1/alerts",
    "GET /api/v1/alerts/stats",
    "GET /api/v1/alerts/x",
    "GET /api/v1/rules/x",
  ];
  const WRITES = [
    "POST /api/v1/rules",
    "PUT /api/v1/rules/x",
    "DELETE /api/v1/rules/x",
    "POST /api/v1/channels",
    "DELETE /api/v1/channels/x",
    "POST /api/v1/channels/x/test",
    "POST /api/v1/alerts/x/acknowledge",
    "POST /api/v1/alerts/x/resolve",
  ];

  test("viewers read, editors write as well, producers do neither, strangers nothing", async () => {
    const { key: admin } = await newTenant();
    const keys = new Map(
      await Promise.all(
        ["ingest", "viewer", "editor"].map(async (role) => [role, (await makeKey(admin, role)).key] as const),
      ),
    );
    for (const route of [...READS, ...WRITES]) {
      const isWrite = WRITES.includes(route);
      expect([route, await statusOf(route)]).toEqual([route, 401]);
      expect([route, await statusOf(route, keys.get("ingest"))]).toEqual([route, 403]);
      expect([route, (await statusOf(route, keys.get("viewer"))) === 403]).toEqual([route, isWrite]);
      expect([route, (await statusOf(route, keys.get("editor"))) === 403]).toEqual([route, false]);
    }
  });

  test("another tenant's rules, channels and alerts do not exist", async () => {
    const [mine, other] = [await newTenant(), await newTenant()];
    const rule = await addRule(mine);
    await mine.manager.windowsClosed([minute(0, { web: 50 })]);
    const alert = String((await listAlerts(mine))[0]?.["id"]);
    const routes: readonly (readonly [string, string, unknown?])[] = [
      ["GET", `/api/v1/rules/${rule}`],
      ["PUT", `/api/v1/rules/${rule}`, ruleBody()],
      ["DELETE", `/api/v1/rules/${rule}`],
      ["DELETE", `/api/v1/channels/${mine.channelId}`],
      ["POST", `/api/v1/channels/${mine.channelId}/test`],
      ["GET", `/api/v1/alerts/${alert}`],
      ["POST", `/api/v1/alerts/${alert}/acknowledge`, { by: "eve" }],
      ["POST", `/api/v1/alerts/${alert}/resolve`, { by: "eve" }],
    ];
    for (const [method, path, json] of routes) {
      const answer = await call(method, path, { key: other.key, ...(json === undefined ? {} : { json }) });
      expect([method, path, answer.status]).toEqual([method, path, 404]);
    }
    const stolen = await call("POST", "/api/v1/rules", {
      key: other.key,
      json: ruleBody({ channels: [mine.channelId] }),
    });
    expect(stolen.status).toBe(422);
    expect(await listAlerts(other)).toEqual([]);
    expect(await listAlerts(mine)).toMatchObject([{ status: "firing" }]);
  });
});

async function statusOf(route: string, key?: string): Promise<number> {
  const [method = "", path = ""] = route.split(" ");
  return (await call(method, path, key === undefined ? {} : { key })).status;
}

async function change({ key }: AlertTenant, json: unknown) {
  return await call("PUT", "/api/v1/aggregations/watched", { key, json });
}

describe("an aggregation that rules watch", () => {
  const definition = { window: { type: "tumbling", size: "1m" }, group_by: ["type"] };
  const measures = { count: { fn: "count" }, most: { fn: "max", field: "data.v" } };

  test("keeps the measures and paths that they read, and changes in all else", async () => {
    const tenant = await newTenant();
    const { key } = tenant;
    const json = { name: "watched", ...definition, measures };
    expect((await call("POST", "/api/v1/aggregations", { key, json })).status).toBe(201);
    const rule = { aggregation: "watched", condition: "most > 10", group_by: ["type"] };
    const id = await addRule(tenant, rule);
    const dropped = await change(tenant, { ...definition, measures: { count: { fn: "count" } } });
    expect([dropped.status, dropped.body["details"]]).toMatchObject([409, { rules: [{ rule: expect.any(String) }] }]);
    expect((await change(tenant, { ...definition, group_by: ["source"], measures })).status).toBe(409);
    expect((await change(tenant, { ...definition, measures: { most: measures.most } })).status).toBe(200);
    await call("DELETE", `/api/v1/rules/${id}`, { key });
    expect((await change(tenant, { ...definition, measures: { count: { fn: "count" } } })).status).toBe(200);
  });
});
