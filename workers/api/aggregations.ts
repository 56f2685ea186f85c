import { Hono } from "hono";
import type { z } from "zod";
import { rfc3339, rfc3339OrNull } from "../../core/events/rfc3339.ts";
import { type Definition, definitionSchema } from "../../core/windows/definition.ts";
import { shapeOf, stepUnitOf, type StepUnit } from "../../core/windows/shape.ts";
import type { RangeRow } from "../../durable-objects/aggregator/read-windows.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import type { AggregationInfo, PutResult } from "../../durable-objects/window-aggregator.ts";
import { requireRole } from "../auth/index.ts";
import { ApiError, type AppContext, type AppEnv, ok, readJson } from "../http.ts";
import { checkRulesAgainst } from "./rules.ts";
import { badParameter, encodePlace, rangeQuery, windowsQuery } from "./window-parameters.ts";

/** Aggregations, their windows and what they add up to. */
export const aggregationRoutes = new Hono<AppEnv>()
  .get("/api/v1/aggregations", requireRole("viewer"), async (c) => {
    const aggregations = await aggregator(c).listAggregations();
    return ok(c, { aggregations: aggregations.map(infoJson) });
  })
  .post("/api/v1/aggregations", requireRole("editor"), async (c) => {
    const { definition, backfill } = parsePut(await readJson(c));
    const result = await aggregator(c).putAggregation(definition, { mode: "create", backfill });
    return ok(c, putJson(result, definition.name), "The aggregation counts from now on.", 201);
  })
  .get("/api/v1/aggregations/:name", requireRole("viewer"), async (c) => ok(c, infoJson(await info(c))))
  .put("/api/v1/aggregations/:name", requireRole("editor"), async (c) => {
    const name = c.req.param("name");
    const body = await readJson(c);
    const { definition, backfill } = parsePut(typeof body === "object" && body !== null ? { name, ...body } : body);
    if (definition.name !== name)
      throw new ApiError("bad_request", `name: must be ${name}, as in the path`, [
        { field: "name", message: `must be ${name}` },
      ]);
    await checkRulesAgainst(c, definition);
    return ok(c, putJson(await aggregator(c).putAggregation(definition, { mode: "replace", backfill }), name));
  })
  .delete("/api/v1/aggregations/:name", requireRole("editor"), async (c) => {
    const name = c.req.param("name");
    const result = await aggregator(c).deleteAggregation(name);
    if (result === "not_found") throw notFound(name);
    if (result === "built_in") throw new ApiError("conflict", `${name} is built in and cannot be deleted.`);
    if (result === "has_rules") throw new ApiError("conflict", `Rules use ${name}: delete them first.`);
    return ok(c, { name }, "The aggregation and its windows are deleted.");
  })
  .get("/api/v1/aggregations/:name/windows", requireRole("viewer"), (c) => windowsAnswer(c))
  .get("/api/v1/aggregations/:name/query", requireRole("viewer"), async (c) => {
    const { name, definition, steps, version, pairs } = await asked(c);
    const query = rangeQuery(pairs, definition.group_by ?? [], steps);
    const result = await aggregator(c).queryRange(name, query, version);
    if (result === null) throw notFound(name);
    if (!result.ok)
      throw new ApiError(
        "bad_request",
        `from, to: the range holds more than ${result.limit} windows or rows; narrow it or take a coarser aggregation`,
        { field: "from", message: "range too large" },
      );
    return ok(c, {
      name: definition.name,
      from: rfc3339OrNull(query.from),
      to: rfc3339OrNull(query.to),
      step: c.req.query("step") ?? "total",
      rows: result.rows.map(rangeRowJson),
    });
  });

/** A row of a range query as the API shows it. */
export function rangeRowJson({ start, end, ...row }: RangeRow): unknown {
  return { start: rfc3339(start), end: rfc3339(end), ...row };
}

/** Answers the list of windows of an aggregation: the one named in the path, unless another is given. */
export async function windowsAnswer(c: AppContext, name = c.req.param("name") ?? ""): Promise<Response> {
  const { definition, version, pairs } = await asked(c, name);
  const query = windowsQuery(pairs, definition.group_by ?? []);
  const page = await aggregator(c).windows(name, query, version);
  // Read after the page, so that the counters are not behind the windows.
  const counters = await aggregator(c).getAggregation(name);
  if (page === null || counters === null) throw notFound(name);
  return ok(c, {
    watermark: rfc3339OrNull(page.watermark),
    windows: page.windows,
    late_events: counters.lateEvents,
    duplicate_events: counters.duplicateEvents,
    filter_errors: counters.filterErrors,
    next_cursor: page.next === null ? null : encodePlace(page.next),
  });
}

/** The home object of the tenant that asks. */
export function aggregator(c: AppContext): ReturnType<typeof windowAggregator> {
  return windowAggregator(c.env, c.get("principal").tenant);
}

async function info(c: AppContext, name = c.req.param("name") ?? ""): Promise<AggregationInfo> {
  const found = await aggregator(c).getAggregation(name);
  if (found === null) throw notFound(name);
  return found;
}

/** What a reader asks for: the aggregation or, with `version`, one that it has replaced; and the other parameters. */
interface Asked {
  readonly name: string;
  readonly definition: Definition;
  readonly steps: StepUnit;
  /** null for the newest. */
  readonly version: number | null;
  readonly pairs: Iterable<[string, string]>;
}

async function asked(c: AppContext, of?: string): Promise<Asked> {
  const found = await info(c, of);
  const { name } = found.definition;
  if (found.disabled !== null) throw new ApiError("conflict", `${name} does not count: ${found.disabled}.`);
  const pairs = new URL(c.req.url).searchParams;
  const version = pairs.get("version");
  pairs.delete("version");
  if (version === null || Number(version) === found.version) return { ...found, name, version: null, pairs };
  const past = found.pastVersions.find((one) => String(one.version) === version);
  if (past === undefined) {
    const known = [found, ...found.pastVersions].map((one) => one.version).join(", ");
    throw badParameter("version", `must be one that is kept: ${known}`);
  }
  return {
    name,
    definition: past.definition,
    steps: stepUnitOf(shapeOf(past.definition.window)),
    version: past.version,
    pairs,
  };
}

function parsePut(body: unknown): { definition: Definition; backfill: boolean } {
  if (typeof body !== "object" || body === null || !("backfill" in body))
    return { definition: parseDefinition(body), backfill: false };
  const { backfill, ...definition } = body;
  if (typeof backfill !== "boolean") throw badParameter("backfill", "must be true or false");
  return { definition: parseDefinition(definition), backfill };
}

function parseDefinition(body: unknown): Definition {
  const parsed = definitionSchema.safeParse(body);
  if (parsed.success) return parsed.data;
  const details = parsed.error.issues.map(issueJson);
  throw new ApiError(
    "bad_request",
    `${details[0]?.field ?? "body"}: ${details[0]?.message ?? "is not valid"}`,
    details,
  );
}

function issueJson(issue: z.core.$ZodIssue): { field: string; message: string } {
  if (issue.code === "unrecognized_keys")
    return { field: [...issue.path, issue.keys[0]].join("."), message: "is not a field here" };
  return { field: issue.path.join(".") || "body", message: issue.message };
}

function putJson(result: PutResult, name: string): unknown {
  if (result.ok) return infoJson(result.aggregation);
  switch (result.reason) {
    case "problems":
      throw new ApiError(
        "bad_request",
        `${result.problems[0]?.field ?? "filter"}: ${result.problems[0]?.message ?? ""}`,
        result.problems,
      );
    case "exists":
      throw new ApiError("conflict", `There is an aggregation named ${name} already; PUT changes it.`);
    case "built_in":
      throw new ApiError("conflict", `${name} is built in and cannot be changed.`);
    case "too_many":
      throw new ApiError("conflict", "This tenant has as many aggregations as it may have; delete one first.");
    case "not_found":
      throw notFound(name);
  }
}

function notFound(name: string): ApiError {
  return new ApiError("not_found", `There is no aggregation named ${name}.`);
}

function infoJson(found: AggregationInfo): unknown {
  if (found.disabled !== null)
    return { name: found.definition.name, version: found.version, built_in: false, disabled: found.disabled };
  return {
    ...found.definition,
    version: found.version,
    built_in: found.builtIn,
    watermark: rfc3339OrNull(found.watermark),
    late_events: found.lateEvents,
    duplicate_events: found.duplicateEvents,
    filter_errors: found.filterErrors,
    open_windows: found.openWindows,
    filling: found.filling,
    past_versions: found.pastVersions.map(({ version, definition, retiredAt }) => ({
      ...definition,
      version,
      retired_at: rfc3339OrNull(retiredAt),
    })),
  };
}
