import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { rateControllerName } from "../../core/events/names.ts";
import { call, makeKey, makeTenant, OPERATOR_KEY } from "./http-client.ts";
import { event, send } from "./ingest-door.ts";

const PATH = "/api/v1/flow";

describe("GET /api/v1/flow", () => {
  test("shows the defaults of a tenant that has sent nothing", async () => {
    const { id, adminKey } = await makeTenant();
    const { key } = await makeKey(adminKey, "viewer");
    const { status, data } = await call("GET", PATH, { key });
    expect(status).toBe(200);
    expect(data).toMatchObject({
      tenant: id,
      algorithm: "adaptive",
      quota: { events_per_second: 500_000, burst: 2_000_000, bytes_per_second: 500_000_000 },
      weight: 1,
      state: {
        pressed: false,
        limit: null,
        in_flight: 0,
        backlog: 0,
        circuits: { objects: "closed", store: "closed" },
      },
      ledger: { requests: { offered: 0, admitted: 0, refused: 0 }, events: { admitted: 0, applied: 0, in_flight: 0 } },
    });
  });

  test("reconciles: offered = admitted + refused, admitted = applied + in flight", async () => {
    const { id, adminKey } = await makeTenant();
    const quota = { events_per_second: 1, burst: 10, bytes_per_second: 1_000_000 };
    await call("PUT", PATH, { key: adminKey, json: { quota } });
    const answers = [];
    for (let n = 0; n < 20; n++) answers.push(await send("/events/batch", [event(), event()], { key: adminKey }));
    const accepted = answers.filter(({ status }) => status === 200).length;
    expect(answers.filter(({ status }) => status === 429).length).toBe(20 - accepted);
    await env.RATE_CONTROLLER.getByName(rateControllerName(id)).applied(accepted * 2);
    await expect
      .poll(async () => (await call("GET", PATH, { key: adminKey })).data["ledger"], { timeout: 10_000 })
      .toMatchObject({
        requests: { offered: 20, admitted: accepted, refused: 20 - accepted },
        events: { admitted: accepted * 2, applied: accepted * 2, in_flight: 0 },
      });
    expect(accepted).toBeLessThan(20);
  });

  test("shows the operator another tenant, and what all tenants share; nobody else", async () => {
    const { id, adminKey } = await makeTenant();
    const shown = await call("GET", `${PATH}?tenant=${id}`, { key: OPERATOR_KEY });
    expect(shown.data).toMatchObject({ tenant: id, platform: { tenants_under_pressure: expect.any(Number) } });
    expect((await call("GET", `${PATH}?tenant=default`, { key: adminKey })).status).toBe(404);
    expect((await call("GET", `${PATH}?tenant=no-such`, { key: OPERATOR_KEY })).status).toBe(404);
    expect((await call("GET", `${PATH}?tenant=%2F..`, { key: OPERATOR_KEY })).status).toBe(404);
  });
});

describe("PUT /api/v1/flow", () => {
  test("sets algorithm and quota, which survive an eviction", async () => {
    const { id, adminKey } = await makeTenant();
    const json = { algorithm: "bbr", quota: { events_per_second: 50 } };
    const put = await call("PUT", PATH, { key: adminKey, json });
    expect([put.status, put.data["algorithm"]]).toEqual([200, "bbr"]);
    await evictDurableObject(env.RATE_CONTROLLER.getByName(rateControllerName(id)));
    const { data } = await call("GET", PATH, { key: adminKey });
    expect(data).toMatchObject({ algorithm: "bbr", quota: { events_per_second: 50, burst: 2_000_000 } });
  });

  test("lets only the operator set the weight", async () => {
    const { id, adminKey } = await makeTenant();
    expect((await call("PUT", PATH, { key: adminKey, json: { weight: 5 } })).status).toBe(403);
    const put = await call("PUT", `${PATH}?tenant=${id}`, { key: OPERATOR_KEY, json: { weight: 5 } });
    expect([put.status, put.data["weight"]]).toEqual([200, 5]);
    expect((await call("GET", PATH, { key: adminKey })).data["weight"]).toBe(5);
  });

  test("refuses what it cannot take, with field and reason", async () => {
    const { adminKey } = await makeTenant();
    const put = await call("PUT", PATH, { key: adminKey, json: { quota: { burst: -5 } } });
    expect(put.status).toBe(400);
    expect(put.body["details"]).toEqual({ field: "quota.burst", reason: "must be a number from 1 to 100000000" });
    expect((await call("PUT", PATH, { key: adminKey, json: [] })).status).toBe(400);
  });
});

describe("GET /metrics", () => {
  test("has the flow's figures", async () => {
    const { adminKey } = await makeTenant();
    const { text } = await call("GET", "/metrics", { key: adminKey });
    expect(text).toContain("streamflow_flow_pressed 0\n");
    expect(text).toContain("streamflow_flow_quota_events_per_second 500000\n");
    expect(text).toContain('streamflow_flow_circuit_open{circuit="objects"} 0\n');
  });
});
