import { beforeAll, describe, expect, test, vi } from "vitest";
import { MAX_PATTERNS } from "../../core/patterns/definition.ts";
import { addRule, listAlerts, newTenant, wireUp } from "./alerts-bench.ts";
import { type Answer, call, makeKey, makeTenant } from "./http-client.ts";
import { cartPaid } from "./patterns-bench.ts";

let editor: string;
let viewer: string;

beforeAll(async () => {
  wireUp();
  const { adminKey } = await makeTenant();
  editor = (await makeKey(adminKey, "editor")).key;
  viewer = (await makeKey(adminKey, "viewer")).key;
});

const post = async (json: unknown, key = editor): Promise<Answer> =>
  await call("POST", "/api/v1/patterns", { key, json });

describe("/api/v1/patterns", () => {
  test("makes, shows, lists, changes and deletes a pattern", async () => {
    const made = await post({ ...cartPaid, name: "life", severity: "high" });
    expect(made.status).toBe(201);
    expect(made.data).toMatchObject({ name: "life", kind: "sequence", version: 1, watermark: null });
    const shown = await call("GET", "/api/v1/patterns/life", { key: viewer });
    expect(shown.data).toEqual(made.data);
    expect(shown.data["status"]).toEqual({
      keys: 0,
      buffered_events: 0,
      matches: 0,
      retracted: 0,
      late_events: 0,
      too_late_events: 0,
      dropped_events: 0,
      unkeyed_events: 0,
      filter_errors: 0,
      skipped_log_entries: 0,
    });
    const changed = { ...shown.data, within: "5m" };
    const put = await call("PUT", "/api/v1/patterns/life", { key: editor, json: changed });
    expect(put.data).toMatchObject({ within: "5m", version: 2 });
    const { patterns } = (await call("GET", "/api/v1/patterns", { key: viewer })).data;
    expect(patterns).toEqual([put.data]);
    expect((await call("DELETE", "/api/v1/patterns/life", { key: editor })).status).toBe(200);
    expect((await call("GET", "/api/v1/patterns/life", { key: viewer })).status).toBe(404);
    expect((await call("DELETE", "/api/v1/patterns/life", { key: editor })).status).toBe(404);
    expect((await call("PUT", "/api/v1/patterns/life", { key: editor, json: changed })).status).toBe(404);
  });

  test("points at the place in an expression that does not parse, in every one of them", async () => {
    const answer = await post({
      ...cartPaid,
      first: { filter: "event.type == " },
      second: { filter: "event.data.total > nothing" },
    });
    expect(answer.status).toBe(400);
    expect(answer.body["details"]).toMatchObject([
      { field: "first.filter", line: 1, column: expect.any(Number) },
      { field: "second.filter", line: 1, column: 20 },
    ]);
  });

  test.each([
    ["kind", { ...cartPaid, kind: "unless" }],
    ["kind", { name: "x" }],
    ["second", { ...cartPaid, second: undefined }],
    ["times", { ...cartPaid, times: 3 }],
    ["times", { name: "x", kind: "count", event: { filter: "true" }, within: "1m", times: 1 }],
    ["times", { name: "x", kind: "count", event: { filter: "true" }, within: "1m", times: 101 }],
    ["within", { ...cartPaid, within: "0s" }],
    ["within", { ...cartPaid, within: "soon" }],
    ["key", { ...cartPaid, key: "users.id" }],
    ["name", { ...cartPaid, name: "9" }],
    ["first.filters", { ...cartPaid, first: { filter: "true", filters: "" } }],
    ["severity", { ...cartPaid, severity: "loud" }],
    ["body", []],
  ])("refuses a bad %s by name", async (field, json) => {
    const answer = await post(json);
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body["details"])).toContain(`"field":"${field}"`);
  });

  test("refuses a second one of the same name, another name than the path's, and a viewer", async () => {
    expect((await post({ ...cartPaid, name: "once" })).status).toBe(201);
    expect((await post({ ...cartPaid, name: "once" })).status).toBe(409);
    const json = { ...cartPaid, name: "other" };
    expect((await call("PUT", "/api/v1/patterns/once", { key: editor, json })).status).toBe(400);
    expect((await post({ ...cartPaid, name: "mine" }, viewer)).status).toBe(403);
  });

  test(`a tenant has at most ${MAX_PATTERNS}`, async () => {
    const { adminKey: key } = await makeTenant();
    for (let k = 0; k < MAX_PATTERNS; k++) expect((await post({ ...cartPaid, name: `p${k}` }, key)).status).toBe(201);
    const refused = await post({ ...cartPaid, name: "more" }, key);
    expect([refused.status, refused.body["details"]]).toEqual([409, { max_patterns: MAX_PATTERNS }]);
    expect((await call("DELETE", "/api/v1/patterns/p0", { key })).status).toBe(200);
    expect((await post({ ...cartPaid, name: "more" }, key)).status).toBe(201);
  });
});

describe("GET /metrics", () => {
  test("has the figures of each pattern", async () => {
    const { adminKey: key } = await makeTenant();
    expect((await call("GET", "/metrics", { key })).text).not.toContain("streamflow_pattern");
    await post(cartPaid, key);
    const { text } = await call("GET", "/metrics", { key });
    for (const name of ["matches_total", "retracted_total", "buffered_events", "unkeyed_events_total"])
      expect(text).toContain(`streamflow_pattern_${name}{pattern="paid"} 0\n`);
  });
});

describe("a rule over the matches of a pattern", () => {
  test("fires", async () => {
    const tenant = await newTenant();
    const { key } = tenant;
    const aggregation = {
      name: "paid_carts",
      filter: "event.type == 'pattern.matched' && event.data.pattern == 'paid'",
      window: { type: "tumbling", size: "1m" },
      group_by: ["data.key"],
      measures: { matches: { fn: "count" } },
      out_of_orderness: "0s",
      idle_timeout: "1s",
    };
    expect((await post(cartPaid, key)).status).toBe(201);
    expect((await call("POST", "/api/v1/aggregations", { key, json: aggregation })).status).toBe(201);
    await addRule(tenant, { aggregation: "paid_carts", condition: "matches >= threshold", threshold: 1 });
    const at = Date.now() - 120_000;
    const events = [
      { id: "a", type: "cart", source: "shop", user_id: "ann", timestamp: at },
      { id: "b", type: "paid", source: "shop", user_id: "ann", timestamp: at + 1000 },
      { id: "c", type: "other", source: "shop", timestamp: at + 119_000 },
    ];
    expect((await call("POST", "/events/batch", { key, json: { events } })).status).toBe(200);
    await vi.waitFor(
      async () => {
        const alerts = await listAlerts(tenant);
        expect(alerts).toMatchObject([
          { rule: { name: "busy" }, group: { "data.key": "ann" }, fired_at: expect.any(String) },
        ]);
      },
      { timeout: 15_000, interval: 200 },
    );
  }, 20_000);
});
