import { Hono } from "hono";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { ADMIN_KEY_ID, authenticate, DEFAULT_TENANT, requireRole } from "../auth/index.ts";
import { liveHubName, rateControllerName } from "../../core/events/names.ts";
import { ApiError, ok } from "../http.ts";
import type { AppContext, AppEnv } from "../http.ts";
import { isDraining, setDraining } from "../ingest/draining.ts";
import { flowMetrics } from "../flow-metrics.ts";
import { liveMetrics } from "../live-metrics.ts";
import { METRICS_CONTENT_TYPE, renderMetrics, requestMetrics } from "../metrics.ts";
import { patternMetrics } from "../pattern-metrics.ts";
import { shardMetrics, spreadMetrics, standingMetrics } from "../shard-metrics.ts";
import { queueLedger } from "../queue-ledger.ts";
import { checkReadiness } from "../readiness.ts";
import { askEveryShard } from "./shard-reads.ts";

/** Seconds after which a platform that is not ready may be asked again. */
const NOT_READY_RETRY_SECONDS = 5;

/** Whether this is alive and ready, and its metrics; in local mode also how the command that runs it winds it down. */
export const healthRoutes = new Hono<AppEnv>()
  .get("/health", (c) => ok(c, { status: "alive" }))
  .get("/ready", async (c) => {
    const checks = await checkReadiness(c.env);
    const failing = Object.entries(checks).filter(([, answer]) => answer !== "ok");
    if (failing.length === 0) return ok(c, { status: "ready", checks });
    const reasons = failing.map(([name, answer]) => `${name}: ${answer}`).join(", ");
    throw new ApiError("unavailable", `Not ready: ${reasons}.`, { checks }, NOT_READY_RETRY_SECONDS);
  })
  .get("/metrics", requireRole("viewer"), async (c) => {
    const { tenant } = c.get("principal");
    // Requests without a credential belong to nobody; the operator sees them.
    const requests = requestMetrics(tenant === DEFAULT_TENANT ? [tenant, ""] : [tenant]);
    const { info, answers } = await askEveryShard(c.env, tenant, async (object) => {
      const [figures, standing] = await Promise.all([object.metrics(), object.introspect()]);
      return { figures, standing };
    });
    const families = [
      ...requests,
      ...spreadMetrics(info),
      ...shardMetrics(answers.map(({ figures, standing }) => ({ shard: standing.shard, figures }))),
      ...standingMetrics(answers.map(({ standing }) => standing)),
      ...patternMetrics(await windowAggregator(c.env, tenant).listPatterns()),
      ...flowMetrics(await c.env.RATE_CONTROLLER.getByName(rateControllerName(tenant)).state()),
      ...liveMetrics(await c.env.LIVE_HUB.getByName(liveHubName(tenant)).figures()),
    ];
    return c.body(renderMetrics(families), 200, { "Content-Type": METRICS_CONTENT_TYPE });
  })
  .post("/__local/drain", async (c) => {
    await requireLocalOperator(c);
    setDraining(true);
    return ok(c, queueLedger());
  })
  .get("/__local/ledger", async (c) => {
    await requireLocalOperator(c);
    return ok(c, { ...queueLedger(), draining: isDraining() });
  });

/** These routes exist only for who started a local platform: to everyone else they are not there. @throws ApiError `not_found` */
async function requireLocalOperator(c: AppContext): Promise<void> {
  const principal = c.env.STREAMFLOW_MODE === "local" ? await authenticate(c.req.raw, c.env).catch(() => null) : null;
  if (principal?.keyId !== ADMIN_KEY_ID) throw new ApiError("not_found", "There is nothing here.");
  c.set("principal", principal);
}
