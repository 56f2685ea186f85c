import { Hono } from "hono";
import { z } from "zod";
import { ALERT_STATUSES } from "../../core/alerts/alert.ts";
import type { AlertJson } from "../../core/alerts/alert.ts";
import type { Hand, HistoryEntry } from "../../core/alerts/alert-life.ts";
import { LEVELS } from "../../core/alerts/level.ts";
import { rfc3339 } from "../../core/events/rfc3339.ts";
import type { AlertQuery } from "../../durable-objects/alerts/alert-log.ts";
import type { ActionAnswer, AlertFile } from "../../durable-objects/alerts/answers.ts";
import type { Delivery } from "../../durable-objects/alerts/outbox.ts";
import { alertManager } from "../../durable-objects/alerts/remote.ts";
import { requireRole } from "../auth/index.ts";
import { ApiError, ok, readJson } from "../http.ts";
import type { AppContext, AppEnv } from "../http.ts";
import { backtestRoutes } from "./backtest.ts";
import { channelRoutes } from "./channels.ts";
import { ruleRoutes } from "./rules.ts";
import { silenceRoutes } from "./silences.ts";
import { parseBody } from "./schema-errors.ts";
import { badParameter, Parameters } from "./window-parameters.ts";

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;
/** As far as the alerts go that are kept; a cursor costs less. */
const MAX_OFFSET = 30_000;
const ALERT_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const byField = z.string().trim().min(1).max(256);
const commentField = z.string().max(2_000).optional();
const handSchema = z.strictObject({ by: byField.optional(), comment: commentField });

/** Rules, channels, silences and alerts. */
export const alertRoutes = new Hono<AppEnv>()
  .route("/", ruleRoutes)
  .route("/", backtestRoutes)
  .route("/", channelRoutes)
  .route("/", silenceRoutes)
  .get("/api/v1/alerts", requireRole("viewer"), async (c) => {
    const query = alertQuery(new Parameters(new URL(c.req.url).searchParams));
    // One more than asked for tells whether there is a next page.
    const alerts = await manager(c).listAlerts({ ...query, limit: query.limit + 1 });
    const page = alerts.slice(0, query.limit);
    return ok(c, { alerts: page, next_cursor: alerts.length > query.limit ? (page.at(-1)?.id ?? null) : null });
  })
  .get("/api/v1/alerts/stats", requireRole("viewer"), async (c) => ok(c, await manager(c).alertStats()))
  .get("/api/v1/alerts/:id", requireRole("viewer"), async (c) => {
    const file = await manager(c).getAlert(c.req.param("id"));
    if (file === null) throw noSuchAlert();
    return ok(c, {
      ...file.alert,
      history: file.history.map(historyJson),
      deliveries: file.deliveries.map(deliveryJson),
      waiting: file.waiting.map(waitingJson),
    });
  })
  .post("/api/v1/alerts/:id/acknowledge", requireRole("editor"), async (c) => {
    const hasBody = c.req.header("Content-Type") !== undefined;
    const { by, comment } = handOf(hasBody ? parseBody(handSchema, await readJson(c)) : {});
    // Without a name it is the key that acknowledges.
    const hand = { by: by ?? c.get("principal").keyId, comment };
    return ok(c, alertOf(await manager(c).acknowledge(c.req.param("id"), hand)));
  })
  .post("/api/v1/alerts/:id/resolve", requireRole("editor"), async (c) => {
    const hasBody = c.req.header("Content-Type") !== undefined;
    const hand = handOf(hasBody ? parseBody(handSchema, await readJson(c)) : {});
    return ok(c, alertOf(await manager(c).resolve(c.req.param("id"), hand)));
  });

function alertQuery(parameters: Parameters): AlertQuery {
  const { from, to } = parameters.range();
  const before = parameters.take("cursor") ?? null;
  if (before !== null && !ALERT_ID.test(before)) throw badParameter("cursor", "must be a next_cursor of this list");
  const query = {
    statuses: choices(parameters, "status", ALERT_STATUSES),
    levels: choices(parameters, "level", LEVELS),
    ruleId: parameters.take("rule") ?? null,
    from,
    to,
    before,
    limit: parameters.integer("limit", DEFAULT_LIMIT, 1, MAX_LIMIT),
    offset: parameters.integer("offset", 0, 0, MAX_OFFSET),
  };
  parameters.end();
  return query;
}

/** A list of known words separated by commas; empty when the parameter is absent. */
function choices<Word extends string>(parameters: Parameters, name: string, words: readonly Word[]): Word[] {
  const text = parameters.take(name);
  if (text === undefined) return [];
  return text.split(",").map((part) => {
    const word = words.find((known) => known === part);
    if (word === undefined)
      throw badParameter(name, `must be ${words.join(", ")}, or several of them with commas between`);
    return word;
  });
}

function handOf(body: { readonly by?: string | undefined; readonly comment?: string | undefined }): Hand {
  return { by: body.by ?? null, comment: body.comment ?? null };
}

function alertOf(answer: ActionAnswer): AlertJson {
  if (answer.ok) return answer.alert;
  if (answer.reason === "not_found") throw noSuchAlert();
  throw new ApiError("conflict", "Only a firing alert can be acknowledged.");
}

function historyJson({ at, window, ...entry }: HistoryEntry): Record<string, unknown> {
  return {
    at: rfc3339(at),
    ...entry,
    window: window === null ? null : { start: rfc3339(window.start), end: rfc3339(window.end) },
  };
}

function deliveryJson(delivery: Delivery): Record<string, unknown> {
  return {
    at: rfc3339(delivery.at),
    message_id: delivery.messageId,
    channel_id: delivery.channelId,
    attempt: delivery.attempt,
    outcome: delivery.outcome,
    status: delivery.status,
    latency_ms: delivery.latencyMs,
    error: delivery.error,
    circuit: delivery.circuit ?? null,
  };
}

function waitingJson(waiting: AlertFile["waiting"][number]): Record<string, unknown> {
  return {
    message_id: waiting.messageId,
    channel_id: waiting.channelId,
    attempts: waiting.attempts,
    next_attempt_at: rfc3339(waiting.dueAt),
    channel_held: waiting.isHeld,
  };
}

function manager(c: AppContext): ReturnType<typeof alertManager> {
  return alertManager(c.env, c.get("principal").tenant);
}

function noSuchAlert(): ApiError {
  return new ApiError("not_found", "There is no such alert.");
}
