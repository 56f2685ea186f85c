import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import type { AppContext, AppEnv, Principal } from "./http.ts";
import { log } from "./log.ts";
import { countRequest } from "./metrics.ts";

/** Paths that browsers of any site may post events to. No credentials are allowed with `*`, so cookies never ride along. */
const CROSS_ORIGIN_PATHS: ReadonlySet<string> = new Set(["/events", "/events/batch"]);
const PREFLIGHT_HEADERS = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Methods": "POST",
  "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding, Idempotency-Key, X-Correlation-ID",
  "Access-Control-Max-Age": "86400",
};
const EXPOSED_HEADERS = "Retry-After, X-Correlation-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset";
/** What the platform's own answers may do in a browser: nothing. The dashboard's files bring their own policy. */
const API_POLICY = "default-src 'none'; frame-ancestors 'none'";
const HSTS_SECONDS = 365 * 24 * 60 * 60;
const CORRELATION_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/** What surrounds every request: its correlation id, the headers of its answer, one log line and one count. */
export function requestShell(): MiddlewareHandler<AppEnv> {
  return async function requestShellMiddleware(c, next) {
    const startedAtMs = Date.now();
    c.set("correlationId", correlationId(c.req.header("X-Correlation-ID")));
    const isCrossOrigin = CROSS_ORIGIN_PATHS.has(c.req.path);
    // Set before the answer is made: on a finished one each header copies it, which costs a batch of events a tenth of its time.
    setHeaders(c, isCrossOrigin && c.req.method === "POST");
    if (isCrossOrigin && c.req.method === "OPTIONS")
      c.res = new Response(null, { status: 204, headers: PREFLIGHT_HEADERS });
    else await next();
    if (isRaw(c)) setHeaders(c, isCrossOrigin && c.req.method === "POST");
    record(c, Date.now() - startedAtMs);
  };
}

function correlationId(sent: string | undefined): string {
  return sent !== undefined && CORRELATION_ID.test(sent) ? sent : crypto.randomUUID();
}

/** An answer made elsewhere (an asset, another object's) has not our headers yet. A 101 carries its socket, and nobody reads its other headers. */
function isRaw(c: AppContext): boolean {
  return c.res.status !== 101 && !c.res.headers.has("X-Correlation-ID");
}

function setHeaders(c: AppContext, isCrossOrigin: boolean): void {
  c.header("X-Correlation-ID", c.get("correlationId"));
  c.header("X-Content-Type-Options", "nosniff");
  c.header("Referrer-Policy", "no-referrer");
  if (c.env.STREAMFLOW_MODE !== "local") c.header("Strict-Transport-Security", `max-age=${HSTS_SECONDS}`);
  if (!c.finalized || !c.res.headers.has("Cache-Control")) c.header("Cache-Control", "no-store");
  if (!isAsset(c)) c.header("Content-Security-Policy", API_POLICY);
  if (!isCrossOrigin) return;
  c.header("Access-Control-Allow-Origin", "*");
  c.header("Access-Control-Expose-Headers", EXPOSED_HEADERS);
}

/** One line and one count per request. The path is the route's pattern: ids and query strings stay out of both. */
function record(c: AppContext, milliseconds: number): void {
  const principal: Principal | undefined = c.get("principal");
  const path = routePattern(c);
  log({
    level: c.res.status >= 500 ? "error" : "info",
    event: "request",
    method: c.req.method,
    path,
    status: c.res.status,
    ms: milliseconds,
    tenant: principal?.tenant ?? null,
    correlation_id: c.get("correlationId"),
  });
  countRequest(principal?.tenant ?? "", c.req.method, path, c.res.status, milliseconds);
}

function routePattern(c: AppContext): string {
  if (CROSS_ORIGIN_PATHS.has(c.req.path)) return c.req.path;
  if (isAsset(c)) return "(asset)";
  return matchedRoutes(c).findLast((route) => !route.path.endsWith("*"))?.path ?? "(none)";
}

function isAsset(c: AppContext): boolean {
  return c.get("isAsset") ?? false;
}
