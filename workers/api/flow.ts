import { Hono } from "hono";
import { CAPACITY_CONTROLLER_NAME, rateControllerName, TENANT_ID } from "../../core/events/names.ts";
import { changedSettings } from "../../core/flow/settings.ts";
import type { FlowState } from "../../durable-objects/rate/state.ts";
import { tenantExists } from "../../storage/d1/keys.ts";
import { DEFAULT_TENANT, requireRole } from "../auth/index.ts";
import { ApiError, type AppContext, type AppEnv, ok, readJson } from "../http.ts";
import type { MetricFamily } from "../metrics.ts";

export const flowRoutes = new Hono<AppEnv>()
  .get("/api/v1/flow", requireRole("viewer"), async (c) => ok(c, await flowJson(c, await tenantAsked(c))))
  .put("/api/v1/flow", requireRole("admin"), async (c) => {
    const tenant = await tenantAsked(c);
    const body = await readJson(c);
    const controller = c.env.RATE_CONTROLLER.getByName(rateControllerName(tenant));
    const settings = changedSettings(await controller.settings(), body);
    if ("reason" in settings) {
      const what = settings.field === "" ? "The body" : settings.field;
      throw new ApiError("bad_request", `${what} ${settings.reason}.`, settings);
    }
    if (hasWeight(body) && !isOperator(c)) {
      throw new ApiError("forbidden", `A tenant's weight is set by an admin of tenant ${DEFAULT_TENANT}.`, {
        field: "weight",
      });
    }
    await controller.configure(settings);
    return ok(c, await flowJson(c, tenant), "Isolates follow within seconds.");
  });

/** A tenant's flow, and for the operator what all tenants share. */
async function flowJson(c: AppContext, tenant: string): Promise<object> {
  const state = await c.env.RATE_CONTROLLER.getByName(rateControllerName(tenant)).state();
  if (!isOperator(c)) return { tenant, ...state };
  const { tenants, capacityPerSecond } = await c.env.CAPACITY_CONTROLLER.getByName(CAPACITY_CONTROLLER_NAME).figures();
  return { tenant, ...state, platform: { tenants_under_pressure: tenants, applied_per_second: capacityPerSecond } };
}

/** The caller's own tenant; the operator may name another. @throws ApiError `not_found` */
async function tenantAsked(c: AppContext): Promise<string> {
  const own = c.get("principal").tenant;
  const asked = c.req.query("tenant");
  if (asked === undefined || asked === own) return own;
  const isThere = isOperator(c) && TENANT_ID.test(asked) && (await tenantExists(c.env.DB, asked));
  if (!isThere) throw new ApiError("not_found", "There is no such tenant.");
  return asked;
}

/** The admin of the operator's own tenant manages the others. */
function isOperator(c: AppContext): boolean {
  const { tenant, role } = c.get("principal");
  return tenant === DEFAULT_TENANT && role === "admin";
}

function hasWeight(body: unknown): boolean {
  return typeof body === "object" && body !== null && "weight" in body;
}

/** A tenant's flow as metric families. */
export function flowMetrics({ state, ledger, quota, weight }: FlowState): MetricFamily[] {
  const gauge = (name: string, help: string, value: number | null): MetricFamily => ({
    name: `streamflow_flow_${name}`,
    help,
    type: "gauge",
    samples: value === null ? [] : [{ labels: {}, value }],
  });
  const counter = (name: string, help: string, value: number): MetricFamily => ({
    name: `streamflow_flow_${name}_total`,
    help,
    type: "counter",
    samples: [{ labels: {}, value }],
  });
  return [
    gauge("pressed", "1 while there is a queue, or was within the last second.", state.pressed ? 1 : 0),
    gauge("limit_events_per_second", "Events that may come now; absent without a limit.", state.limit),
    gauge("quota_events_per_second", "Configured quota.", quota.events_per_second),
    gauge("weight", "Part of a shared capacity, relative to other tenants.", weight),
    gauge("window_events", "Events that should be in flight at most.", state.window),
    gauge("in_flight_events", "Events accepted and not yet applied.", state.in_flight),
    gauge("backlog_events", "Events in flight beyond the window.", state.backlog),
    gauge("oldest_message_seconds", "Age of the oldest message when last heard of.", state.oldest_message_ms / 1000),
    gauge("capacity_events_per_second", "Events applied when there is a queue.", state.capacity_per_second),
    counter("requests_admitted", "Requests let in, as reported.", ledger.requests.admitted),
    counter("requests_refused", "Requests refused for load, as reported.", ledger.requests.refused),
    counter("events_admitted", "Events put on the queue, as reported.", ledger.events.admitted),
    counter("events_applied", "Events taken from the queue.", ledger.events.applied),
    counter("refusals", "Calls to objects that were refused since the controller started.", state.refusals),
    {
      name: "streamflow_flow_circuit_open",
      help: "1 while the circuit is open, 0.5 while half open.",
      type: "gauge",
      samples: Object.entries(state.circuits).map(([circuit, is]) => ({
        labels: { circuit },
        value: is === "open" ? 1 : is === "half_open" ? 0.5 : 0,
      })),
    },
  ];
}
