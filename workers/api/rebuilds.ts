import { Hono } from "hono";
import { parseRfc3339, rfc3339 } from "../../core/events/rfc3339.ts";
import { progressOf, type RebuildJob } from "../../durable-objects/aggregator/rebuild-jobs.ts";
import { requireRole } from "../auth/index.ts";
import { ApiError, type AppEnv, ok, readJson } from "../http.ts";
import { aggregator } from "./aggregations.ts";
import { badParameter } from "./window-parameters.ts";

/** Windows counted again from the stored events. */
export const rebuildRoutes = new Hono<AppEnv>()
  .post("/api/v1/windows/rebuild", requireRole("editor"), async (c) => {
    const { from, to, aggregation } = parseRequest(await readJson(c));
    const answer = await aggregator(c).requestRebuild({ from, to }, aggregation);
    if (answer.ok) return ok(c, jobJson(answer.job), "The windows are being counted again.", 202);
    if (answer.reason === "not_found")
      throw new ApiError("not_found", `There is no aggregation named ${String(aggregation)}.`);
    throw new ApiError("conflict", "As many rebuilds wait as may; try again when one of them is done.");
  })
  .get("/api/v1/windows/rebuild", requireRole("viewer"), async (c) => {
    const jobs = await aggregator(c).listRebuilds();
    return ok(c, { rebuilds: jobs.map(jobJson) });
  })
  .get("/api/v1/windows/rebuild/:id", requireRole("viewer"), async (c) => {
    const jobs = await aggregator(c).listRebuilds();
    const job = jobs.find(({ id }) => String(id) === c.req.param("id"));
    if (job === undefined) throw new ApiError("not_found", "There is no such rebuild, or it was long ago.");
    return ok(c, jobJson(job));
  });

const FIELDS: ReadonlySet<string> = new Set(["from", "to", "aggregation"]);

function parseRequest(body: unknown): { from: number; to: number; aggregation: string | null } {
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw badParameter("body", "must be a JSON object");
  const fields = new Map<string, unknown>(Object.entries(body));
  const unknown = [...fields.keys()].find((name) => !FIELDS.has(name));
  if (unknown !== undefined) throw badParameter(unknown, "is not a field here");
  const [from, to] = [timeIn(fields, "from"), timeIn(fields, "to")];
  if (from >= to) throw badParameter("to", "must be after from");
  const aggregation = fields.get("aggregation") ?? null;
  if (aggregation !== null && typeof aggregation !== "string") throw badParameter("aggregation", "must be a name");
  return { from, to, aggregation };
}

function timeIn(fields: ReadonlyMap<string, unknown>, name: string): number {
  const value = fields.get(name);
  const at = typeof value === "string" ? parseRfc3339(value) : value;
  if (typeof at !== "number" || !Number.isSafeInteger(at))
    throw badParameter(name, "must be an RFC 3339 time or epoch milliseconds");
  return at;
}

function jobJson(job: RebuildJob): unknown {
  return {
    id: job.id,
    kind: job.kind,
    state: job.state,
    progress: progressOf(job),
    from: time(job.from),
    to: time(job.to),
    aggregations: job.targets.map(({ name, version }) => ({ name, version })),
    events_read: job.eventsRead,
    windows_changed: job.windowsChanged,
    requested_at: time(job.requestedAt),
    finished_at: time(job.finishedAt),
    error: job.error,
  };
}

const time = (at: number | null): string | null => (at === null || Math.abs(at) > MAX_TIME_MS ? null : rfc3339(at));

/** The largest time that can be written as a date. */
const MAX_TIME_MS = 8.64e15;
