import { Hono } from "hono";
import { MAX_SILENCE_MS, silenceSchema } from "../../core/alerts/dispatch/silence.ts";
import { MAX_SILENCES } from "../../core/alerts/limits.ts";
import type { SilenceAnswer } from "../../durable-objects/alerts/answers.ts";
import { alertManager } from "../../durable-objects/alerts/remote.ts";
import { requireRole } from "../auth/index.ts";
import { ApiError, ok, readJson } from "../http.ts";
import type { AppContext, AppEnv } from "../http.ts";
import { badFields, parseBody } from "./schema-errors.ts";

/** What is kept quiet, and how long. */
export const silenceRoutes = new Hono<AppEnv>()
  .post("/api/v1/silences", requireRole("editor"), async (c) => {
    const body = parseBody(silenceSchema, await readJson(c));
    const { matchers, starts_at: startsAt = null, ends_at: endsAt, comment, created_by: by = null } = body;
    if (startsAt === null && endsAt - Date.now() > MAX_SILENCE_MS)
      throw badFields([{ field: "ends_at", message: "must be at most 366 days from now" }]);
    const answer = await manager(c).addSilence({ matchers, startsAt, endsAt, comment, createdBy: by });
    return ok(c, silenceOf(answer), "Alerts that match are kept quiet.", 201);
  })
  .get("/api/v1/silences", requireRole("viewer"), async (c) => ok(c, { silences: await manager(c).listSilences() }))
  .delete("/api/v1/silences/:id", requireRole("editor"), async (c) => {
    const id = c.req.param("id");
    if (!(await manager(c).endSilence(id))) throw new ApiError("not_found", "There is no such silence.");
    return ok(c, { id }, "The silence has ended.");
  });

function silenceOf(answer: SilenceAnswer): unknown {
  if (answer.ok) return answer.silence;
  if (answer.reason === "has_ended") throw badFields([{ field: "ends_at", message: "must be in the future" }]);
  throw new ApiError("conflict", `A tenant may have ${MAX_SILENCES} silences; end one first.`, {
    max_silences: MAX_SILENCES,
  });
}

function manager(c: AppContext): ReturnType<typeof alertManager> {
  return alertManager(c.env, c.get("principal").tenant);
}
