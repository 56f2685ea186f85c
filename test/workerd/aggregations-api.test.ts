import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { ChunkLog } from "../../durable-objects/aggregator/chunk-log.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { event, packed } from "./event-messages.ts";
import { type Answer, call, makeKey, makeTenant } from "./http-client.ts";

const HOUR = 3_600_000;
const T0 = Date.parse("2026-03-01T02:00:00Z");

let tenant: string;
let editor: string;
let viewer: string;
let ingest: string;

const get = (path: string, key = viewer): Promise<Answer> => call("GET", path, { key });

/** Events of statuses 200, 200, 404, an hour apart, with a byte count. */
async function seed(): Promise<void> {
  const statuses = [200, 200, 404, 200, 404, "404"];
  const list = statuses.map((status, k) =>
    event(`s-${k}`, T0 + Math.floor(k / 2) * HOUR, {
      data: { status, bytes: 10 * (k + 1), client: `c${k % 4}` },
      user_id: `u${k}`,
    }),
  );
  await windowAggregator(env, tenant).apply([{ id: "m", body: packed(list) }]);
}

beforeAll(async () => {
  const made = await makeTenant();
  tenant = made.id;
  editor = (await makeKey(made.adminKey, "editor")).key;
  viewer = (await makeKey(made.adminKey, "viewer")).key;
  ingest = (await makeKey(made.adminKey, "ingest")).key;
  const created = await call("POST", "/api/v1/aggregations", {
    key: editor,
    json: {
      name: "by_status",
      filter: "event.type == 'web.request'",
      window: { type: "tumbling", size: "1h" },
      group_by: ["data.status"],
      measures: {
        requests: { fn: "count" },
        bytes: { fn: "sum", field: "data.bytes" },
        clients: { fn: "distinct", field: "data.client" },
        big: { fn: "count", filter: "event.data.bytes > 25" },
      },
    },
  });
  expect(created.status).toBe(201);
  await seed();
});

async function counts(query: string): Promise<number> {
  const { data } = await get(`/api/v1/aggregations/by_status/windows?${query}`);
  return (data["windows"] as unknown[]).length;
}

describe("the windows of an aggregation", () => {
  test("come by start, then group, and groups keep their JSON type", async () => {
    const { data } = await get("/api/v1/aggregations/by_status/windows");
    const windows = data["windows"] as { start: string; group: unknown; values: Record<string, number> }[];
    expect(windows.map(({ start, group, values }) => [start.slice(11, 13), group, values["requests"]])).toEqual([
      ["02", { "data.status": 200 }, 2],
      ["03", { "data.status": 200 }, 1],
      ["03", { "data.status": 404 }, 1],
      ["04", { "data.status": "404" }, 1],
      ["04", { "data.status": 404 }, 1],
    ]);
    expect(windows[2]?.values).toEqual({ requests: 1, bytes: 30, clients: 1, big: 1 });
  });

  test("page by cursor, each once", async () => {
    const seen: unknown[] = [];
    let cursor: unknown = null;
    do {
      const more = typeof cursor === "string" ? `&cursor=${cursor}` : "";
      const { data } = await get(`/api/v1/aggregations/by_status/windows?limit=2${more}`);
      seen.push(...(data["windows"] as unknown[]));
      cursor = data["next_cursor"];
    } while (cursor !== null);
    expect(seen).toHaveLength(5);
    expect(new Set(seen.map((one) => JSON.stringify(one))).size).toBe(5);
  });

  test("can be narrowed by time, status and group", async () => {
    expect(await counts("group.data.status=404")).toBe(3);
    expect(await counts("group.data.status=404.0")).toBe(2);
    expect(await counts(`group.data.status=${encodeURIComponent('"404"')}`)).toBe(1);
    expect(await counts(`from=${new Date(T0 + HOUR).toISOString()}&to=${T0 + 2 * HOUR}`)).toBe(2);
    expect(await counts("status=open")).toBe(4);
    expect(await counts("status=closed")).toBe(1);
  });

  test.each([
    ["limit=0", "limit"],
    ["limit=1001", "limit"],
    ["from=yesterday", "from"],
    ["from=2&to=1", "to"],
    ["status=ajar", "status"],
    ["group.data.other=1", "group.data.other"],
    ["cursor=nonsense", "cursor"],
    ["frm=1", "frm"],
  ])("refuse %s by name", async (query, field) => {
    const answer = await get(`/api/v1/aggregations/by_status/windows?${query}`);
    expect([answer.status, answer.body["details"]]).toEqual([400, { field, message: expect.any(String) }]);
  });
});

describe("a range query", () => {
  test("merges states: a client seen in two hours is one client", async () => {
    const { data } = await get("/api/v1/aggregations/by_status/query?step=total&group.data.status=200");
    expect(data["rows"]).toMatchObject([{ values: { requests: 3, bytes: 70, clients: 3 }, partial: false }]);
  });

  test("cuts into steps counted from its beginning", async () => {
    const { data } = await get(`/api/v1/aggregations/by_status/query?from=${T0}&to=${T0 + 4 * HOUR}&step=2h`);
    const rows = data["rows"] as { start: string; values: { requests: number } }[];
    expect(rows.map(({ start, values }) => [start, values.requests])).toEqual([
      ["2026-03-01T02:00:00.000Z", 3],
      ["2026-03-01T02:00:00.000Z", 1],
      ["2026-03-01T04:00:00.000Z", 1],
      ["2026-03-01T04:00:00.000Z", 1],
    ]);
  });

  test.each(["90m", "30m", "soon"])("refuses a step of %s", async (step) => {
    expect((await get(`/api/v1/aggregations/by_status/query?step=${step}`)).status).toBe(400);
  });
});

describe("definitions", () => {
  const valid = { name: "d", window: { type: "tumbling", size: "1m" }, measures: { n: { fn: "count" } } };

  test.each([
    [{ ...valid, windo: 1 }, "windo"],
    [{ ...valid, window: { type: "tumbling", size: "1x" } }, "window.size"],
    [{ ...valid, measures: {} }, "measures"],
    [{ ...valid, measures: { s: { fn: "sum" } } }, "measures.s.field"],
    [{ ...valid, measures: { p: { fn: "quantile", field: "data.x" } } }, "measures.p.q"],
    [{ ...valid, measures: { threshold: { fn: "count" } } }, "measures.threshold.fn"],
    [{ ...valid, measures: { n: { fn: "median", field: "data.x" } } }, "measures.n.fn"],
    [{ ...valid, group_by: ["type", "type"] }, "group_by"],
    [{ ...valid, group_by: ["type", "status"] }, "group_by.1"],
    [{ ...valid, group_by: ["event.type"] }, "group_by.0"],
    [{ ...valid, group_by: ["data..x"] }, "group_by.0"],
    [{ ...valid, measures: { s: { fn: "sum", field: "nope.x" } } }, "measures.s.field"],
    [{ ...valid, max_groups: 0 }, "max_groups"],
    [{ ...valid, name: "no spaces" }, "name"],
    [{ ...valid, idle_timeout: 5 }, "idle_timeout"],
    [[], "body"],
  ])("are refused with the field: %j", async (json, field) => {
    const answer = await call("POST", "/api/v1/aggregations", { key: editor, json });
    expect(answer.status).toBe(400);
    expect(answer.body["details"]).toContainEqual({ field, message: expect.any(String) });
  });

  test("an expression that does not parse is refused with its place", async () => {
    const answer = await call("POST", "/api/v1/aggregations", {
      key: editor,
      json: { ...valid, filter: "event.type ==" },
    });
    expect(answer.status).toBe(400);
    expect(answer.body["details"]).toMatchObject([{ field: "filter", line: 1, column: expect.any(Number) }]);
  });

  test("a name can be taken once; built-in ones can be neither changed nor deleted", async () => {
    expect(
      (await call("POST", "/api/v1/aggregations", { key: editor, json: { ...valid, name: "by_status" } })).status,
    ).toBe(409);
    expect((await call("PUT", "/api/v1/aggregations/events_1m", { key: editor, json: valid })).status).toBe(400);
    expect(
      (await call("PUT", "/api/v1/aggregations/events_1m", { key: editor, json: { ...valid, name: "events_1m" } }))
        .status,
    ).toBe(409);
    expect((await call("DELETE", "/api/v1/aggregations/events_1m", { key: editor })).status).toBe(409);
  });

  test("a changed definition begins anew as the next version; with other times only, it goes on", async () => {
    await call("POST", "/api/v1/aggregations", { key: editor, json: { ...valid, name: "versions" } });
    await windowAggregator(env, tenant).apply([{ id: "m", body: packed([event("v-1", T0 + 9 * HOUR)]) }]);
    const retimed = await call("PUT", "/api/v1/aggregations/versions", {
      key: editor,
      json: { ...valid, name: "versions", idle_timeout: "5m" },
    });
    expect(retimed.data).toMatchObject({ version: 1, idle_timeout: "5m", open_windows: 1 });
    const changed = await call("PUT", "/api/v1/aggregations/versions", {
      key: editor,
      json: { ...valid, name: "versions", filter: "event.type == 'x'" },
    });
    expect(changed.data).toMatchObject({ version: 2, open_windows: 0 });
  });

  test("a viewer cannot make one, an ingest key cannot read one, and what is not there is 404", async () => {
    expect((await call("POST", "/api/v1/aggregations", { key: viewer, json: valid })).status).toBe(403);
    expect((await get("/api/v1/aggregations", ingest)).status).toBe(403);
    expect((await get("/api/v1/aggregations/nothing/windows")).status).toBe(404);
    expect((await call("DELETE", "/api/v1/aggregations/nothing", { key: editor })).status).toBe(404);
  });
});

describe("the older systems' analytics paths", () => {
  const range = `from=${T0}&to=${T0 + 4 * HOUR}`;

  test("event trends fall on their own interval", async () => {
    const { data } = await get(`/api/v1/analytics/event-trends?${range}&interval_minutes=60`);
    const trends = data["trends"] as { timestamp: string; count: number; change_percent: number | null }[];
    expect(
      trends.map(({ timestamp, count, change_percent }) => [timestamp.slice(11, 16), count, change_percent]),
    ).toEqual([
      ["02:00", 2, null],
      ["03:00", 2, 0],
      ["04:00", 2, 0],
      ["05:00", 0, -100],
    ]);
  });

  test("an interval without events is there, with nothing in it, and what follows it has no change in percent", async () => {
    const { data } = await get(`/api/v1/analytics/event-trends?from=${T0 - HOUR}&to=${T0 + HOUR}&interval_minutes=60`);
    expect(data["trends"]).toMatchObject([
      { count: 0, change_percent: null },
      { count: 2, change_percent: null },
    ]);
    const five = await get(`/api/v1/analytics/event-trends?from=${T0}&to=${T0 + HOUR}&interval_minutes=5`);
    expect((five.data["trends"] as { count: number }[]).map(({ count }) => count)).toEqual([2, ...Array(11).fill(0)]);
    const many = await get(`/api/v1/analytics/event-trends?hours=8784&interval_minutes=1`);
    expect([many.status, many.body["details"]]).toMatchObject([400, { field: "interval_minutes" }]);
  });

  test("a year up to this moment is answered from hours, and the answer says what it covers", async () => {
    const { data } = await get("/api/v1/analytics/event-types?hours=8784");
    expect(data["total"]).toBe((await get("/api/v1/stats")).data["total_events"]);
    const shares = (data["event_types"] as { percentage: number }[]).map(({ percentage }) => percentage);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(100);
    expect(Date.parse(String(data["from"])) % HOUR).toBe(0);
    expect(Date.parse(String(data["to"]))).toBeLessThanOrEqual(Date.now());
    const odd = await get(`/api/v1/analytics/event-types?from=${T0 + 1000}&to=${T0 + 2000}`);
    expect(odd.data).toMatchObject({
      total: 2,
      from: new Date(T0).toISOString(),
      to: new Date(T0 + 60_000).toISOString(),
    });
  });

  test("none of them looks at stored events", async () => {
    await get("/api/v1/stats");
    const asked = vi.spyOn(Object.getPrototypeOf(env.DB), "prepare");
    const opened = vi.spyOn(ChunkLog.prototype, "batch");
    for (const path of ["event-trends", "event-types", "top-sources", "user-distribution", "metrics", "windows/1hour"])
      expect((await get(`/api/v1/analytics/${path}?${path.startsWith("w") ? range : "hours=8784"}`)).status).toBe(200);
    expect((await get("/metrics/realtime")).status).toBe(200);
    expect((await get("/metrics/history/users?hours=24")).status).toBe(200);
    expect(asked.mock.calls.filter(([sql]) => String(sql).includes("segment"))).toEqual([]);
    expect(opened).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  test("types and sources come with their share", async () => {
    const types = await get(`/api/v1/analytics/event-types?${range}`);
    expect(types.data["event_types"]).toEqual([{ name: "web.request", count: 6, percentage: 100 }]);
    const sources = await get(`/api/v1/analytics/top-sources?${range}`);
    expect(sources.data["sources"]).toEqual([{ name: "shop", count: 6, percentage: 100 }]);
  });

  test("users, metrics, windows and history answer from the same windows", async () => {
    expect((await get(`/api/v1/analytics/user-distribution?${range}`)).data["groups"]).toMatchObject([
      { users: 6, events: 6 },
    ]);
    expect((await get(`/api/v1/analytics/metrics?${range}`)).data).toMatchObject({
      total_events: 6,
      by_severity: { low: 6 },
    });
    expect((await get(`/api/v1/analytics/windows/1hour?${range}`)).data["windows"]).toHaveLength(3);
    expect((await get(`/metrics/history/events?${range}`)).data["points"]).toMatchObject([
      { value: 2 },
      { value: 2 },
      { value: 2 },
      { value: 0 },
    ]);
    expect((await get("/metrics/history/temperature")).status).toBe(404);
    expect((await get("/metrics/realtime")).data).toMatchObject({ total_events: expect.any(Number) });
    const queried = await call("POST", "/metrics/query", {
      key: viewer,
      json: { aggregation: "by_status", from: T0, to: T0 + HOUR, step: "total" },
    });
    expect(queried.data["rows"]).toMatchObject([{ values: { requests: 2 } }]);
  });

  test("bad parameters are refused by name", async () => {
    expect((await get("/api/v1/analytics/event-trends?interval_minutes=0")).body["details"]).toMatchObject({
      field: "interval_minutes",
    });
    expect((await get("/api/v1/analytics/event-types?hour=1")).body["details"]).toMatchObject({ field: "hour" });
    expect((await call("POST", "/metrics/query", { key: viewer, json: { aggregation: 7 } })).status).toBe(400);
  });

  test.each([Number.MAX_SAFE_INTEGER, Date.UTC(10_000, 0), -Number.MAX_SAFE_INTEGER])(
    "a time that cannot be written as a date is refused by name: %d",
    async (at) => {
      const field = at > 0 ? "to" : "from";
      for (const path of ["aggregations/events_1m/query", "aggregations/events_1m/windows", "analytics/top-sources"]) {
        const answer = await get(`/api/v1/${path}?${field}=${at}`);
        expect([path, answer.status, answer.body["details"]]).toMatchObject([path, 400, { field }]);
      }
      const queried = await call("POST", "/metrics/query", {
        key: viewer,
        json: { aggregation: "events_1m", [field]: at },
      });
      expect([queried.status, queried.body["details"]]).toMatchObject([400, { field }]);
    },
  );

  test("the sources with most events come first, also when others have a number for a name", async () => {
    const { id, adminKey } = await makeTenant();
    const list = ["42", "7", "shop", "shop", "shop", "7"].map((source, k) => event(`n-${k}`, T0 + k, { source }));
    await windowAggregator(env, id).apply([{ id: "m", body: packed(list) }]);
    const { data } = await get(`/api/v1/analytics/top-sources?${range}&limit=2`, adminKey);
    expect(data["sources"]).toEqual([
      { name: "shop", count: 3, percentage: 50 },
      { name: "7", count: 2, percentage: expect.closeTo(33.3, 1) },
    ]);
  });
});

test("the metrics page names the shard's and the aggregations' figures", async () => {
  const { text } = await get("/metrics");
  expect(text).toMatch(/^streamflow_events_stored_total\{shard="0"\} \d+$/m);
  expect(text).toMatch(/^streamflow_aggregation_watermark_seconds\{aggregation="by_status"\} \d+/m);
});
