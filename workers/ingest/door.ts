import { waitUntil } from "cloudflare:workers";
import type { MiddlewareHandler } from "hono";
import { rateControllerName } from "../../core/events/names.ts";
import type { Refusal } from "../../core/flow/lease-messages.ts";
import { ApiError, type AppContext, type AppEnv } from "../http.ts";
import { logError } from "../log.ts";
import { type Receipt, acceptEvents } from "./accept.ts";
import { isDraining } from "./draining.ts";
import type { EventIds } from "./event-ids.ts";
import type { ParsedEvents } from "./parse.ts";
import { IsolateQuota, type QuotaCall } from "./quota.ts";

/** A platform that stops has this long to drain before its port is gone, s. */
const DRAINING_RETRY_AFTER_SECONDS = 5;

/** Made at the first request, where randomness is allowed. */
let isolateQuota: IsolateQuota | undefined;

function quota(): IsolateQuota {
  isolateQuota ??= new IsolateQuota(crypto.randomUUID());
  return isolateQuota;
}

function quotaCall(env: Env, tenant: string, bodyBytes: number | null = null): QuotaCall {
  return {
    tenant,
    bodyBytes,
    ask: (request) => env.RATE_CONTROLLER.getByName(rateControllerName(tenant)).lease(request),
    waitUntil,
    sleep: (ms) => scheduler.wait(ms),
    now: () => Date.now(),
    onError: (error) => logError("quota", error, { tenant }),
  };
}

/** Whether this tenant may send events now. @param bodyBytes of JSON, null when unknown @throws ApiError `unavailable` while stopping or stopped, `too_many_requests` */
export async function assertOpen(env: Env, tenant: string, bodyBytes: number | null = null): Promise<void> {
  assertNotDraining();
  const refusal = await quota().refusal(quotaCall(env, tenant, bodyBytes));
  if (refusal !== null) throw refused(refusal);
}

function assertNotDraining(): void {
  if (isDraining()) throw new ApiError("unavailable", "The platform is stopping.", null, DRAINING_RETRY_AFTER_SECONDS);
}

function refused({ reason, message, retryAfterSeconds }: Refusal): ApiError {
  const code = reason === "stopped" ? "unavailable" : "too_many_requests";
  return new ApiError(code, message, { reason }, retryAfterSeconds);
}

/** Bytes of JSON by Content-Length; null when there is none or the body is compressed. */
function bodyBytes({ headers }: Request): number | null {
  const length = headers.get("Content-Length");
  return length === null || headers.has("Content-Encoding") ? null : Number(length);
}

/** What `assertOpen` let in has been answered. */
export function hasLeft(tenant: string): void {
  quota().left(tenant);
}

/** Middleware: turns a request away before its body is read, and sees to the rate limit headers on every answer. */
export function admission(): MiddlewareHandler<AppEnv> {
  return async function admissionMiddleware(c, next) {
    const { tenant } = c.get("principal");
    try {
      await assertOpen(c.env, tenant, bodyBytes(c.req.raw));
    } finally {
      setRateLimitHeaders(c, tenant);
    }
    try {
      await next();
    } finally {
      hasLeft(tenant);
    }
  };
}

/**
 * Sets the headers of the answer to come: each header set on an answer that is made already would copy it.
 * Reset is in epoch seconds, as the X-RateLimit headers of other APIs have it.
 */
export function setRateLimitHeaders(c: AppContext, tenant: string): void {
  const state = quota().state(tenant);
  if (state === null) return;
  c.header("X-RateLimit-Limit", String(state.limit));
  c.header("X-RateLimit-Remaining", String(state.remaining));
  c.header("X-RateLimit-Reset", String(Math.ceil(state.resetAtMs / 1000)));
}

/**
 * Accepts events and books them. Called by every door. Goes on when the producer hangs up meanwhile: what the queue took is
 * counted, and what the request holds is given back.
 * @param bytes about how many bytes of JSON the events came as
 */
export async function takeEvents(
  env: Env,
  tenant: string,
  parsed: ParsedEvents,
  ids: EventIds,
  bytes: number,
): Promise<Receipt> {
  // Again: reading the body took its time. From here, or from where old events were let in, to the queue nothing is awaited, so a drain
  // either refuses or counts these events.
  assertNotDraining();
  const accepting = acceptEvents(parsed, {
    tenant,
    queue: env.EVENTS,
    receivedAt: Date.now(),
    now: () => Date.now(),
    ids,
    newBatchId: () => crypto.randomUUID(),
    bytes,
    admitOld: async (events, isBegun) => {
      const taken = await quota().enterOld(quotaCall(env, tenant), events, isBegun);
      if (typeof taken !== "number") throw refused(taken);
      assertNotDraining();
      return taken;
    },
    onQueueError: (error) => logError("queue_send", error, { tenant }),
  });
  // A refusal is the caller's to hear.
  waitUntil(accepting.catch(() => undefined));
  const receipt = await accepting;
  quota().settle(quotaCall(env, tenant), receipt.accepted.length, bytes);
  return receipt;
}
