import { Hono } from "hono";
import { aggregationRoutes } from "./api/aggregations.ts";
import { alertRoutes } from "./api/alerts.ts";
import { analyticsRoutes } from "./api/analytics.ts";
import { deadLetterRoutes } from "./api/dead-letters.ts";
import { eventRoutes } from "./api/events.ts";
import { flowRoutes } from "./api/flow.ts";
import { healthRoutes } from "./api/health.ts";
import { introspectionRoutes } from "./api/introspection.ts";
import { keyRoutes } from "./api/keys.ts";
import { liveRoutes } from "./api/live.ts";
import { rebuildRoutes } from "./api/rebuilds.ts";
import { shardRoutes } from "./api/shards.ts";
import { ApiError, errorResponse } from "./http.ts";
import type { AppContext, AppEnv } from "./http.ts";
import { patternRoutes } from "./api/patterns.ts";
import { ingestRoutes } from "./ingest/routes.ts";
import { logError } from "./log.ts";
import { isMarked } from "./object-errors.ts";
import { requestShell } from "./request.ts";

/** Paths the Worker answers itself; the same list as `run_worker_first` in wrangler.toml. Everything else is the dashboard's. */
const OWN_PATHS = /^\/(?:api|auth|events|ws|health|ready|metrics|__local)(?:\/|$)/;

/** Every HTTP path of the platform. */
export const app = new Hono<AppEnv>();
app.use("*", requestShell());
app.route("/", healthRoutes);
app.route("/", flowRoutes);
app.route("/", ingestRoutes);
app.route("/", keyRoutes);
app.route("/", eventRoutes);
app.route("/", deadLetterRoutes);
app.route("/", aggregationRoutes);
app.route("/", analyticsRoutes);
app.route("/", introspectionRoutes);
app.route("/", rebuildRoutes);
app.route("/", shardRoutes);
app.route("/", patternRoutes);
app.route("/", alertRoutes);
app.route("/", liveRoutes);
app.notFound((c) => (isPage(c) ? dashboardFile(c) : nothing(c)));
app.onError((error, c) => errorResponse(c, toApiError(error, c)));

function isPage(c: AppContext): boolean {
  return (c.req.method === "GET" || c.req.method === "HEAD") && !OWN_PATHS.test(c.req.path);
}

/** A file of the dashboard, with the headers of its `_headers`; any other path is a page of the app, which is `index.html`. */
async function dashboardFile(c: AppContext): Promise<Response> {
  const file = await c.env.ASSETS.fetch(c.req.raw);
  // A file of an older build: the page in its place would be kept for ever under the file's name.
  if (c.req.path.startsWith("/assets/") && file.headers.get("Content-Type")?.startsWith("text/html")) return nothing(c);
  c.set("isAsset", true);
  return file;
}

function nothing(c: AppContext): Response {
  return errorResponse(c, new ApiError("not_found", "There is nothing here."));
}

/** What SQLite says when a statement itself is wrong: a bug of ours. Every other failure of D1 is its own trouble and passes. */
const WRONG_STATEMENT =
  /syntax error|no such (?:table|column|function)|constraint failed|variable number|wrong number|misuse/i;

function isStoreAway(error: Error): boolean {
  return error.message.startsWith("D1_") && !WRONG_STATEMENT.test(error.message);
}

/** Our own refusals pass; a Durable Object that is moving or full, or a database that does not answer, is `unavailable`; the rest is a bug and is logged with its stack. */
function toApiError(error: Error, c: AppContext): ApiError {
  if (error instanceof ApiError) return error;
  logError("request_failed", error, { correlation_id: c.get("correlationId") });
  if (isMarked(error, "overloaded") || isMarked(error, "retryable") || isStoreAway(error)) {
    return new ApiError("unavailable", "Part of the platform is busy; try again.", null, 1);
  }
  return new ApiError("internal", "Something went wrong on our side.");
}
