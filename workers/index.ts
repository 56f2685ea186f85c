import { Hono } from "hono";
import { aggregationRoutes } from "./api/aggregations.ts";
import { alertRoutes } from "./api/alerts.ts";
import { analyticsRoutes } from "./api/analytics.ts";
import { deadLetterRoutes } from "./api/dead-letters.ts";
import { eventRoutes } from "./api/events.ts";
import { healthRoutes } from "./api/health.ts";
import { keyRoutes } from "./api/keys.ts";
import { liveRoutes } from "./api/live.ts";
import type { AppEnv } from "./http.ts";
import { ingestRoutes } from "./ingest/routes.ts";

export { AlertManager } from "../durable-objects/alert-manager.ts";
export { LiveHub } from "../durable-objects/live-hub.ts";
export { RateController } from "../durable-objects/rate-controller.ts";
export { WindowAggregator } from "../durable-objects/window-aggregator.ts";

const app = new Hono<AppEnv>();
for (const routes of [healthRoutes, ingestRoutes, keyRoutes, eventRoutes, deadLetterRoutes, aggregationRoutes, analyticsRoutes, alertRoutes, liveRoutes]) {
  app.route("/", routes);
}

export default { fetch: app.fetch } satisfies ExportedHandler<Env>;
