import { Hono } from "hono";
import { encodeCursor } from "../../core/events/cursor.ts";
import { isEventId } from "../../core/events/fields.ts";
import { toEventJson } from "../../core/events/json.ts";
import { parametersOf, parseQuery, type QueryParameters } from "../../core/events/query-parse.ts";
import { rfc3339OrNull } from "../../core/events/rfc3339.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { requireRole } from "../auth/index.ts";
import { ApiError, ok, readJson } from "../http.ts";
import type { AppContext, AppEnv } from "../http.ts";
import { eventById, eventPage } from "./event-reads.ts";
import { badParameter, Parameters } from "./window-parameters.ts";

/** Reading stored events. */
export const eventRoutes = new Hono<AppEnv>()
  .get("/events/:id", requireRole("viewer"), async (c) => {
    const id = c.req.param("id");
    if (!isEventId(id)) throw badParameter("id", "must be 1 to 64 of A-Z a-z 0-9 . _ : -");
    const parameters = new Parameters(new URL(c.req.url).searchParams);
    const { from, to } = parameters.range();
    parameters.end();
    const event = await eventById(c.env, c.get("principal").tenant, id, { fromMs: from, toMs: to });
    if (event === null) throw new ApiError("not_found", "There is no such event.");
    return ok(c, toEventJson(event));
  })
  .get("/api/v1/events", requireRole("viewer"), (c) => answerPage(c, parametersOf(new URL(c.req.url).searchParams)))
  .post("/api/v1/events/query", requireRole("viewer"), async (c) => {
    const body = await readJson(c);
    if (typeof body !== "object" || body === null || Array.isArray(body)) {
      throw badParameter("body", "must be a JSON object");
    }
    return answerPage(c, new Map(Object.entries(body)));
  })
  .get("/api/v1/stats", requireRole("viewer"), async (c) => {
    const stats = await windowAggregator(c.env, c.get("principal").tenant).stats();
    return ok(c, {
      ...stats,
      oldest_event: rfc3339OrNull(stats.oldest_event),
      newest_event: rfc3339OrNull(stats.newest_event),
    });
  });

/** A page may be short and still have a cursor: only a null `next_cursor` says that there is no more. */
async function answerPage(c: AppContext, parameters: QueryParameters): Promise<Response> {
  const { tenant } = c.get("principal");
  const parsed = parseQuery(parameters, tenant);
  if (!parsed.ok) throw badParameter(parsed.field, parsed.message);
  const { events, next } = await eventPage(c.env, tenant, parsed.request);
  const next_cursor = next === null ? null : encodeCursor(next, tenant, parsed.request.query);
  return ok(c, { events: events.map(toEventJson), next_cursor });
}
