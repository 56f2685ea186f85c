import { Hono } from "hono";
import { CAPACITY_CONTROLLER_NAME, rateControllerName, TENANT_ID } from "../../core/events/names.ts";
import { changedSettings } from "../../core/flow/settings.ts";
import { tenantExists } from "../../storage/d1/keys.ts";
import { DEFAULT_TENANT, requireRole } from "../auth/index.ts";
import { ApiError, type AppContext, type AppEnv, ok, readJson } from "../http.ts";

/** How much is let in, and by which rules. */
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
