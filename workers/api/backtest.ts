import { Hono } from "hono";
import { z } from "zod";
import { Backtest, BacktestTooLarge } from "../../core/alerts/backtest.ts";
import type { BacktestResult } from "../../core/alerts/backtest.ts";
import type { ReplayedAlert } from "../../core/alerts/replay.ts";
import type { RuleSpec } from "../../core/alerts/rule.ts";
import { compileRule } from "../../core/alerts/rule-logic.ts";
import type { RuleLogic } from "../../core/alerts/rule-logic.ts";
import { watchOf } from "../../core/alerts/watch.ts";
import { parseRfc3339, rfc3339, rfc3339OrNull } from "../../core/events/rfc3339.ts";
import { MAX_PAST_SESSIONS } from "../../durable-objects/aggregator/past-windows.ts";
import { alertManager } from "../../durable-objects/alerts/remote.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { requireRole } from "../auth/index.ts";
import { ApiError, ok, readJson } from "../http.ts";
import type { AppContext, AppEnv } from "../http.ts";
import { readDraft } from "./rules.ts";
import { badFields, parseBody } from "./schema-errors.ts";

/** Windows asked for at a time. */
const WINDOWS_PER_PAGE = 1_000;

/** The first and the last millisecond that RFC 3339 can write: the years 0 and 9999. */
const FIRST_TIME = -62_167_219_200_000;
const LAST_TIME = 253_402_300_799_999;

const time = z.union([z.string(), z.int()]).transform((value, issues) => {
  const at = typeof value === "number" ? value : parseRfc3339(value);
  if (at >= FIRST_TIME && at <= LAST_TIME) return at;
  issues.addIssue({ code: "custom", message: "must be an RFC 3339 time or epoch milliseconds" });
  return z.NEVER;
});
const rangeSchema = z.strictObject({ from: time, to: time.optional() });
const unsavedSchema = rangeSchema.extend({ rule: z.unknown() });

/** Epoch ms, [from, to). */
interface Range {
  readonly from: number;
  readonly to: number;
}

/** When a rule would have fired: a saved one, or one as it is being written; nothing is kept. */
export const backtestRoutes = new Hono<AppEnv>()
  .post("/api/v1/rules/backtest", requireRole("viewer"), async (c) => ok(c, await backtestUnsaved(c)))
  .post("/api/v1/rules/:id/backtest", requireRole("viewer"), async (c) =>
    ok(c, await backtestSaved(c, c.req.param("id"))),
  );

async function backtestSaved(c: AppContext, id: string): Promise<Record<string, unknown>> {
  const range = rangeOf(parseBody(rangeSchema, await readJson(c)));
  const view = await alertManager(c.env, c.get("principal").tenant).getRule(id);
  if (view === null) throw new ApiError("not_found", "There is no such rule.");
  const { spec } = view.rule;
  const draft = await readDraft(c, spec, id);
  return await backtest(c, spec, draft.measures, range);
}

async function backtestUnsaved(c: AppContext): Promise<Record<string, unknown>> {
  const { rule, ...times } = parseBody(unsavedSchema, await readJson(c));
  const range = rangeOf(times);
  const { spec, measures } = await readDraft(c, rule, null);
  return await backtest(c, spec, measures, range);
}

function rangeOf({ from, to = Date.now() }: z.infer<typeof rangeSchema>): Range {
  if (from >= to) throw badFields([{ field: "to", message: "must be after from" }]);
  return { from, to };
}

async function backtest(
  c: AppContext,
  spec: RuleSpec,
  measures: readonly string[],
  range: Range,
): Promise<Record<string, unknown>> {
  const compiled = compileRule("backtest", spec, measures);
  // readDraft has compiled it before.
  if (!compiled.ok) throw badFields([compiled]);
  const { tenant } = c.get("principal");
  try {
    const result = await run(compiled.logic, spec, range, windowAggregator(c.env, tenant));
    return resultJson(spec, range, result);
  } catch (error) {
    if (error instanceof BacktestTooLarge) throw badFields([{ field: "from", message: error.message }]);
    throw error;
  }
}

async function run(
  logic: RuleLogic,
  spec: RuleSpec,
  { from, to }: Range,
  aggregator: ReturnType<typeof windowAggregator>,
): Promise<BacktestResult> {
  const test = new Backtest(logic);
  const { lookBacks } = watchOf(spec.aggregation, [{ logic, spec, version: 0 }]);
  let next: number | null = from;
  while (next !== null) {
    const query = { from: next, to, lookBacks, limit: WINDOWS_PER_PAGE };
    const page = await aggregator.pastWindows(spec.aggregation, query);
    if (page === null) throw new ApiError("not_found", `There is no aggregation named ${spec.aggregation}.`);
    if (!page.isWhole) throw new BacktestTooLarge(MAX_PAST_SESSIONS, "sessions");
    for (const window of page.windows) test.take(window);
    next = page.next;
    const last = page.windows.at(-1);
    if (next === null && last !== undefined) test.passTime(Math.min(to, page.completeThrough ?? to), last);
  }
  return test.result();
}

function resultJson(spec: RuleSpec, { from, to }: Range, result: BacktestResult): Record<string, unknown> {
  return {
    rule: spec,
    from: rfc3339(from),
    to: rfc3339(to),
    threshold: spec.threshold ?? null,
    windows: result.windows,
    evaluated_through: rfc3339OrNull(result.through),
    fired: result.fired,
    alerts: result.alerts.map(alertJson),
    alerts_total: result.alertsInAll,
    series: result.series.map(({ group, points }) => ({
      group,
      points: points.map(({ start, end, values, state }) => ({
        start: rfc3339(start),
        end: rfc3339(end),
        values,
        state,
      })),
    })),
    groups_total: result.groupsInAll,
    condition_errors: result.trouble.errors,
    last_error: result.trouble.lastError,
    refused_groups: result.trouble.refused,
  };
}

function alertJson(alert: ReplayedAlert): Record<string, unknown> {
  const { group, isNoData, openedAt, firedAt, endedAt, reason, window, values } = alert;
  const pending = firedAt === openedAt ? [] : [{ state: "pending", from: openedAt, to: firedAt ?? endedAt }];
  const firing = firedAt === null ? [] : [{ state: "firing", from: firedAt, to: endedAt }];
  return {
    group,
    no_data: isNoData,
    fired: firedAt !== null,
    intervals: [...pending, ...firing].map((interval) => ({
      state: interval.state,
      from: rfc3339(interval.from),
      to: rfc3339OrNull(interval.to),
    })),
    reason,
    window: { start: rfc3339(window.start), end: rfc3339(window.end) },
    values,
  };
}
