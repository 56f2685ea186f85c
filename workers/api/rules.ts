import { Hono } from "hono";
import { MAX_RULES } from "../../core/alerts/limits.ts";
import { compileRule } from "../../core/alerts/rule-logic.ts";
import { contradictionsOf, ruleSchema } from "../../core/alerts/rule.ts";
import type { RuleSpec } from "../../core/alerts/rule.ts";
import { unknownPlaceholder } from "../../core/alerts/template.ts";
import type { TemplateNames } from "../../core/alerts/template.ts";
import { rfc3339, rfc3339OrNull } from "../../core/events/rfc3339.ts";
import type { RuleAnswer, RuleDraft, RuleView } from "../../durable-objects/alerts/answers.ts";
import { alertManager } from "../../durable-objects/alerts/remote.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import type { Definition } from "../../core/windows/definition.ts";
import { requireRole } from "../auth/index.ts";
import { ApiError, ok, readJson } from "../http.ts";
import type { AppContext, AppEnv } from "../http.ts";
import { badFields, parseBody } from "./schema-errors.ts";

/** Fields of an answer that a client may send back with a changed rule. They are not its to change. */
const READ_ONLY_FIELDS: ReadonlySet<string> = new Set(["id", "created_at", "updated_at", "state"]);

/** Rules. */
export const ruleRoutes = new Hono<AppEnv>()
  .post("/api/v1/rules", requireRole("editor"), async (c) => {
    const draft = await readDraft(c, await readJson(c), null);
    return ok(c, answerJson(await manager(c).putRule(draft), draft), "The rule is evaluated from now on.", 201);
  })
  .get("/api/v1/rules", requireRole("viewer"), async (c) => {
    const views = await manager(c).listRules();
    return ok(c, { rules: views.map(ruleJson) });
  })
  .get("/api/v1/rules/:id", requireRole("viewer"), async (c) => {
    const view = await manager(c).getRule(c.req.param("id"));
    if (view === null) throw noSuchRule();
    return ok(c, ruleJson(view));
  })
  .put("/api/v1/rules/:id", requireRole("editor"), async (c) => {
    const draft = await readDraft(c, withoutReadOnly(await readJson(c)), c.req.param("id"));
    return ok(c, answerJson(await manager(c).putRule(draft), draft));
  })
  .delete("/api/v1/rules/:id", requireRole("editor"), async (c) => {
    const id = c.req.param("id");
    if (!(await manager(c).deleteRule(id))) throw noSuchRule();
    return ok(c, { id }, "The rule is deleted and its open alerts are resolved.");
  });

/**
 * Checks a rule as far as it can be without the tenant's rules: its fields, its aggregation and its condition.
 * @throws ApiError that names the field
 */
export async function readDraft(c: AppContext, body: unknown, id: string | null): Promise<RuleDraft> {
  const spec = parseBody(ruleSchema, body);
  const contradictions = contradictionsOf(spec);
  if (contradictions.length > 0) throw badFields(contradictions);
  const aggregation = await windowAggregator(c.env, c.get("principal").tenant).getAggregation(spec.aggregation);
  if (aggregation === null) {
    const message = `there is no aggregation ${spec.aggregation}`;
    throw new ApiError("unprocessable", `aggregation: ${message}`, [{ field: "aggregation", message }]);
  }
  const { definition } = aggregation;
  checkReading(spec, definition);
  return { id, spec, measures: Object.keys(definition.measures), watermark: aggregation.watermark };
}

/** A rule may name what its aggregation has, and nothing else. @throws ApiError that names the field */
function checkReading(spec: RuleSpec, { measures, group_by: paths = [] }: Definition): void {
  const names = Object.keys(measures);
  checkGroupBy(spec, paths);
  checkCondition(spec, names);
  checkAnnotations(spec, { measures: names, paths, labels: Object.keys(spec.labels) });
}

/**
 * Checks that a new definition of an aggregation leaves its rules what they read: a condition without its measure holds no
 * more, which would end open alerts as if all were well.
 * @throws ApiError `conflict` that names the rules and why
 */
export async function checkRulesAgainst(c: AppContext, definition: Definition): Promise<void> {
  const rules = (await manager(c).listRules()).map(({ rule }) => rule);
  const broken = rules.flatMap(({ spec }) => {
    if (!spec.enabled || spec.aggregation !== definition.name) return [];
    try {
      checkReading(spec, definition);
      return [];
    } catch (error) {
      if (error instanceof ApiError) return [{ rule: spec.name, message: error.message }];
      throw error;
    }
  });
  const [first] = broken;
  if (first === undefined) return;
  const message = `The rule ${first.rule} would break: ${first.message}. Change or disable it first.`;
  throw new ApiError("conflict", message, { rules: broken });
}

/** Bundles are made of what an alert has: a path of its group, a label of its rule, its level. */
function checkGroupBy(spec: RuleSpec, paths: readonly string[]): void {
  const known = new Set([...paths, ...Object.keys(spec.labels), "level"]);
  const bad = (spec.group_by ?? []).flatMap((name, index) => (known.has(name) ? [] : { name, index }));
  if (bad.length === 0) return;
  const message = `is neither a group path of ${spec.aggregation} nor a label: known are ${[...known].join(", ")}`;
  throw badFields(bad.map(({ index }) => ({ field: `group_by.${index}`, message })));
}

function checkCondition(spec: RuleSpec, measures: readonly string[]): void {
  const compiled = compileRule("", spec, measures);
  if (compiled.ok) return;
  const { field, message, line, column } = compiled;
  throw badFields([
    { field, message, ...(line === undefined ? {} : { line }), ...(column === undefined ? {} : { column }) },
  ]);
}

function checkAnnotations({ annotations }: RuleSpec, names: TemplateNames): void {
  const bad = Object.entries(annotations).flatMap(([name, text]) => {
    const message = unknownPlaceholder(text, names);
    return message === null ? [] : { field: `annotations.${name}`, message };
  });
  if (bad.length > 0) throw badFields(bad);
}

function withoutReadOnly(body: unknown): unknown {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([field]) => !READ_ONLY_FIELDS.has(field)));
}

function answerJson(answer: RuleAnswer, draft: RuleDraft): unknown {
  if (answer.ok) return ruleJson(answer.view);
  switch (answer.reason) {
    case "not_found":
      throw noSuchRule();
    case "too_many":
      throw new ApiError("conflict", `A tenant may have ${MAX_RULES} rules; delete one first.`, {
        max_rules: MAX_RULES,
      });
    case "unknown_channel": {
      const field = `${answer.field}.${answer.index}`;
      const message = `there is no channel ${draft.spec[answer.field]?.[answer.index] ?? ""}`;
      throw new ApiError("unprocessable", `${field}: ${message}`, [{ field, message }]);
    }
  }
}

function ruleJson({ rule, ...state }: RuleView): Record<string, unknown> {
  return {
    id: rule.id,
    ...rule.spec,
    created_at: rfc3339(rule.createdAt),
    updated_at: rfc3339(rule.updatedAt),
    state: {
      open_alerts: state.openAlerts,
      evaluated_through: rfc3339OrNull(state.evaluatedThrough),
      condition_errors: state.errors,
      last_error: state.lastError,
      refused_groups: state.refused,
    },
  };
}

function manager(c: AppContext): ReturnType<typeof alertManager> {
  return alertManager(c.env, c.get("principal").tenant);
}

function noSuchRule(): ApiError {
  return new ApiError("not_found", "There is no such rule.");
}
