import { Hono } from "hono";
import { rfc3339 } from "../../core/events/rfc3339.ts";
import {
  countDeadLetters,
  type DeadLetterInfo,
  deleteDeadLetters,
  type LetterPlace,
  listDeadLetters,
} from "../../storage/d1/dead-letters.ts";
import { requireRole } from "../auth/index.ts";
import { ApiError, ok, readJson } from "../http.ts";
import type { AppContext, AppEnv } from "../http.ts";
import { MAX_REPLAYED, replayDeadLetters } from "../replay.ts";
import { badParameter, Parameters } from "./window-parameters.ts";

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;
/** Queue message ids are 32 hexadecimal digits, those of notifications two UUIDs and more; a little more is let through rather than tied to that. */
const LETTER_ID = /^[\w.:-]{1,200}$/;
const CURSOR = /^(\d{1,15})_([\w.:-]{1,200})$/;

/** Events that could not be processed and notifications that could not be delivered: listed, replayed and, as a last resort, thrown away. */
export const deadLetterRoutes = new Hono<AppEnv>()
  .get("/api/v1/dead-letters", requireRole("admin"), async (c) => {
    const { tenant } = c.get("principal");
    const parameters = new Parameters(new URL(c.req.url).searchParams);
    const limit = parameters.integer("limit", DEFAULT_LIMIT, 1, MAX_LIMIT);
    const after = readCursor(parameters.take("cursor"));
    parameters.end();
    // One more than asked for tells whether there is a next page.
    const letters = await listDeadLetters(c.env.DB, tenant, after, limit + 1);
    const page = letters.slice(0, limit);
    const last = letters.length > limit ? page.at(-1) : undefined;
    return ok(c, {
      dead_letters: page.map(letterJson),
      total: await countDeadLetters(c.env.DB, tenant),
      next_cursor: last === undefined ? null : `${last.created_at}_${last.id}`,
    });
  })
  .post("/api/v1/dead-letters/replay", requireRole("admin"), async (c) => {
    const { tenant } = c.get("principal");
    const replay = await replayDeadLetters(c.env, tenant, await readIds(c));
    if (replay.replayed === 0 && replay.failed.length > 0) {
      throw new ApiError("unavailable", "The queue takes nothing at the moment; no letter was replayed.", null, 5);
    }
    const { letters: remaining } = await countDeadLetters(c.env.DB, tenant);
    const { replayed, events, failed, notReplayable } = replay;
    return ok(c, { replayed, events, failed, not_replayable: notReplayable, remaining });
  })
  .delete("/api/v1/dead-letters/:id", requireRole("admin"), async (c) => {
    const id = c.req.param("id");
    const deleted = await deleteDeadLetters(c.env.DB, c.get("principal").tenant, [id]);
    if (deleted === 0) throw new ApiError("not_found", "There is no such dead letter.");
    return ok(c, { id }, "The letter and what it holds are gone.");
  });

function letterJson({ created_at, ...letter }: DeadLetterInfo): Record<string, unknown> {
  return { ...letter, created_at: rfc3339(created_at) };
}

function readCursor(text: string | undefined): LetterPlace | null {
  if (text === undefined) return null;
  const [, at, id] = CURSOR.exec(text) ?? [];
  if (at === undefined || id === undefined) throw badParameter("cursor", "must be a next_cursor of this list");
  return { created_at: Number(at), id };
}

/** No body at all and a body without `ids` mean all. */
async function readIds(c: AppContext): Promise<readonly string[] | null> {
  if (c.req.header("Content-Type") === undefined) return null;
  const body = await readJson(c);
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw badParameter("body", "must be a JSON object");
  for (const name of Object.keys(body)) if (name !== "ids") throw badParameter(name, "is not a field here");
  if (!("ids" in body)) return null;
  const { ids } = body;
  const isList =
    Array.isArray(ids) && ids.length > 0 && ids.every((id) => typeof id === "string" && LETTER_ID.test(id));
  if (!isList) throw badParameter("ids", "must be a list of ids of dead letters, or be left out for all");
  if (ids.length > MAX_REPLAYED) throw badParameter("ids", `must not be more than ${MAX_REPLAYED} at once`);
  return [...new Set<string>(ids)];
}
