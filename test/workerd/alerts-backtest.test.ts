import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { MAX_BACKTEST_WINDOWS } from "../../core/alerts/backtest.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { addRule, MINUTE, newTenant, ruleBody, wireUp } from "./alerts-bench.ts";
import type { AlertTenant } from "./alerts-bench.ts";
import { events, packed } from "./event-messages.ts";
import { call } from "./http-client.ts";

beforeEach(wireUp);

const FROM = Date.UTC(2026, 0, 1, 10);
const at = (minutes: number): string => new Date(FROM + minutes * MINUTE).toISOString();

/** Sends so many events in each minute from 10:00 on; the last one is left open. */
async function send({ tenant }: AlertTenant, counts: readonly number[]): Promise<void> {
  const aggregator = windowAggregator(env, tenant);
  for (const [nth, count] of counts.entries()) {
    if (count === 0) continue;
    const body = packed(events(count, `m${nth}`, FROM + nth * MINUTE));
    await aggregator.apply([{ id: `m${nth}`, body }]);
  }
}

async function backtest({ key }: AlertTenant, json: Record<string, unknown>) {
  return await call("POST", "/api/v1/rules/backtest", { key, json });
}

describe("a backtest", () => {
  test("says when a rule would have fired, with the series that it looked at", async () => {
    const tenant = await newTenant();
    await send(tenant, [5, 20, 30, 40, 5, 20, 0, 1]);
    const rule = ruleBody({ for: "1m" });
    const { status, data } = await backtest(tenant, { rule, from: at(0), to: at(60) });
    expect(status).toBe(200);
    const group = { type: "web.request", source: "shop", severity: "low" };
    expect(data).toMatchObject({
      from: at(0),
      to: at(60),
      threshold: 10,
      windows: 6,
      evaluated_through: at(6),
      fired: 1,
      alerts_total: 2,
      groups_total: 1,
      condition_errors: 0,
      alerts: [
        {
          group,
          fired: true,
          reason: "condition",
          intervals: [
            { state: "pending", from: at(2), to: at(3) },
            { state: "firing", from: at(3), to: at(5) },
          ],
          window: { start: at(2), end: at(3) },
          values: { count: 30 },
        },
        { group, fired: false, reason: null, intervals: [{ state: "pending", from: at(6), to: null }] },
      ],
    });
    const [series] = Array.isArray(data["series"]) ? data["series"] : [];
    expect(series.group).toEqual(group);
    expect(series.points.map(({ values, state }: { values: object; state: string }) => [values, state])).toEqual([
      [{ count: 5 }, "inactive"],
      [{ count: 20 }, "pending"],
      [{ count: 30 }, "firing"],
      [{ count: 40 }, "firing"],
      [{ count: 5 }, "inactive"],
      [{ count: 20 }, "pending"],
    ]);
  });

  test("ends an alert in the first window without its group, however long nothing came", async () => {
    const tenant = await newTenant();
    await send(tenant, [20, ...Array.from({ length: 500 }, () => 0), 20, 0, 1]);
    const { data } = await backtest(tenant, { rule: ruleBody(), from: at(0), to: at(1_000) });
    expect(data["alerts"]).toMatchObject([
      { reason: "no_data", intervals: [{ state: "firing", from: at(1), to: at(2) }] },
      { reason: null, intervals: [{ state: "firing", from: at(502), to: null }] },
    ]);
    // Both with events, and the first without.
    expect(data["windows"]).toBe(3);
  });

  test("of a saved rule is the same, reads the windows before, and changes nothing", async () => {
    const tenant = await newTenant();
    await send(tenant, [5, 20, 30, 40, 5, 20, 0, 1]);
    const condition = "count > 2 * previous.count";
    const id = await addRule(tenant, { condition, channels: [] });
    const path = `/api/v1/rules/${id}/backtest`;
    const saved = await call("POST", path, { key: tenant.key, json: { from: at(1), to: at(7) } });
    const unsaved = await backtest(tenant, { rule: ruleBody({ condition }), from: at(1), to: at(7) });
    expect(saved.data["alerts"]).toEqual(unsaved.data["alerts"]);
    expect(saved.data["alerts"]).toMatchObject([{ values: { count: 20 } }, { values: { count: 20 } }]);
    expect((await call("GET", "/api/v1/alerts", { key: tenant.key })).data["alerts"]).toEqual([]);
    expect((await call("GET", "/api/v1/rules", { key: tenant.key })).data["rules"]).toHaveLength(1);
  });

  test("over sessions takes those that end together as one window", async () => {
    const tenant = await newTenant();
    const json = { name: "visits", window: { type: "session", gap: "1m" }, measures: { n: { fn: "count" } } };
    expect((await call("POST", "/api/v1/aggregations", { key: tenant.key, json })).status).toBe(201);
    await send(tenant, [20, 0, 0, 0, 3, 0, 0, 0, 30, 0, 0, 0, 0, 1]);
    const rule = ruleBody({ aggregation: "visits", condition: "n > threshold" });
    const { data } = await backtest(tenant, { rule, from: at(0), to: at(60) });
    expect(data["alerts"]).toMatchObject([
      { fired: true, values: { n: 20 }, intervals: [{ to: expect.any(String) }] },
      { fired: true, values: { n: 30 }, intervals: [{ to: null }] },
    ]);
  });

  test.each([
    [{ from: at(0) }, 400, "rule"],
    [{ rule: ruleBody({ condition: "count >" }), from: at(0) }, 400, "condition"],
    [{ rule: ruleBody({ aggregation: "nothing" }), from: at(0) }, 422, "aggregation"],
    [{ rule: ruleBody() }, 400, "from"],
    [{ rule: ruleBody(), from: "yesterday" }, 400, "from"],
    [{ rule: ruleBody(), from: -9e15 }, 400, "from"],
    [{ rule: ruleBody(), from: at(0), to: Number.MAX_SAFE_INTEGER }, 400, "to"],
    [{ rule: ruleBody(), from: at(1), to: at(1) }, 400, "to"],
    [{ rule: ruleBody(), from: at(0), until: at(1) }, 400, "until"],
  ])("asked with %j is answered %i: %s", async (json, status, field) => {
    const answer = await backtest(await newTenant(), json);
    expect(answer.status).toBe(status);
    expect(JSON.stringify(answer.body["details"])).toContain(`"field":"${field}`);
  });

  test(`of more than ${MAX_BACKTEST_WINDOWS} windows is refused, and of as many it is not`, async () => {
    const tenant = await newTenant();
    const json = { name: "tiny", window: { type: "tumbling", size: "100ms" }, measures: { n: { fn: "count" } } };
    await call("POST", "/api/v1/aggregations", { key: tenant.key, json });
    await send(tenant, [60_000 / 10, 1]);
    const rule = ruleBody({ aggregation: "tiny", condition: "n > 0", keep_firing_for: "1d" });
    const whole = { rule, from: FROM, to: FROM + 100 * (MAX_BACKTEST_WINDOWS + 1) };
    await windowAggregator(env, tenant.tenant).apply([
      { id: "late", body: packed(events(1, "late", FROM + 24 * 60 * MINUTE)) },
    ]);
    const refused = await backtest(tenant, whole);
    expect([refused.status, refused.body["details"]]).toEqual([
      400,
      [{ field: "from", message: `the range holds more than ${MAX_BACKTEST_WINDOWS} windows; narrow it` }],
    ]);
    expect((await backtest(tenant, { ...whole, to: FROM + 100 * MAX_BACKTEST_WINDOWS })).data["windows"]).toBe(
      MAX_BACKTEST_WINDOWS,
    );
  });

  test("of another tenant's rule is 404", async () => {
    const [mine, other] = [await newTenant(), await newTenant()];
    const id = await addRule(mine);
    const json = { from: at(0) };
    expect((await call("POST", `/api/v1/rules/${id}/backtest`, { key: other.key, json })).status).toBe(404);
  });
});
