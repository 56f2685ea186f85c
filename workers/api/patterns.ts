import { Hono } from "hono";
import { rfc3339OrNull } from "../../core/events/rfc3339.ts";
import { MAX_PATTERNS, type PatternDefinition, patternSchema } from "../../core/patterns/definition.ts";
import type { PatternInfo, PutPatternResult } from "../../durable-objects/aggregator/patterns.ts";
import { requireRole } from "../auth/index.ts";
import { ApiError, type AppContext, type AppEnv, ok, readJson } from "../http.ts";
import { aggregator } from "./aggregations.ts";
import { badFields, parseBody } from "./schema-errors.ts";

/** Fields of an answer that a client may send back with a changed pattern. They are not its to change. */
const READ_ONLY_FIELDS: ReadonlySet<string> = new Set(["version", "watermark", "status"]);

/** Patterns of events. */
export const patternRoutes = new Hono<AppEnv>()
  .get("/api/v1/patterns", requireRole("viewer"), async (c) => {
    const patterns = await aggregator(c).listPatterns();
    return ok(c, { patterns: patterns.map(infoJson) });
  })
  .post("/api/v1/patterns", requireRole("editor"), async (c) => {
    const definition = parseBody(patternSchema, await readJson(c));
    const result = await aggregator(c).putPattern(definition, "create");
    return ok(c, putJson(result, definition.name), "The pattern is looked for from now on.", 201);
  })
  .get("/api/v1/patterns/:name", requireRole("viewer"), async (c) => {
    const name = c.req.param("name");
    const found = await aggregator(c).getPattern(name);
    if (found === null) throw notFound(name);
    return ok(c, infoJson(found));
  })
  .put("/api/v1/patterns/:name", requireRole("editor"), async (c) => {
    const definition = await namedInPath(c, c.req.param("name"));
    return ok(c, putJson(await aggregator(c).putPattern(definition, "replace"), definition.name));
  })
  .delete("/api/v1/patterns/:name", requireRole("editor"), async (c) => {
    const name = c.req.param("name");
    if (!(await aggregator(c).deletePattern(name))) throw notFound(name);
    return ok(c, { name }, "The pattern is deleted; what it has told stays.");
  });

/** The definition in the body. A name may be left out, or must be the one in the path. */
async function namedInPath(c: AppContext, name: string): Promise<PatternDefinition> {
  const body = await readJson(c);
  const isObject = typeof body === "object" && body !== null && !Array.isArray(body);
  const given = isObject ? Object.entries(body).filter(([field]) => !READ_ONLY_FIELDS.has(field)) : null;
  const definition = parseBody(patternSchema, given === null ? body : { name, ...Object.fromEntries(given) });
  if (definition.name !== name) throw badFields([{ field: "name", message: `must be ${name}, as in the path` }]);
  return definition;
}

function putJson(result: PutPatternResult, name: string): unknown {
  if (result.ok) return infoJson(result.pattern);
  switch (result.reason) {
    case "problems":
      throw badFields(result.problems);
    case "exists":
      throw new ApiError("conflict", `There is a pattern named ${name} already; PUT changes it.`);
    case "too_many":
      throw new ApiError("conflict", `A tenant may have ${MAX_PATTERNS} patterns; delete one first.`, {
        max_patterns: MAX_PATTERNS,
      });
    case "not_found":
      throw notFound(name);
  }
}

function infoJson({ definition, version, watermark, kept, ...counts }: PatternInfo): unknown {
  return {
    ...definition,
    version,
    watermark: rfc3339OrNull(watermark),
    status: {
      keys: kept?.keys ?? null,
      buffered_events: kept?.buffered ?? null,
      matches: kept?.matches ?? null,
      retracted: kept?.retracted ?? null,
      late_events: kept?.late ?? null,
      too_late_events: kept?.tooLate ?? null,
      dropped_events: kept?.dropped ?? null,
      unkeyed_events: counts.unkeyed,
      filter_errors: counts.filterErrors,
      skipped_log_entries: counts.skippedEntries,
    },
  };
}

function notFound(name: string): ApiError {
  return new ApiError("not_found", `There is no pattern named ${name}.`);
}
