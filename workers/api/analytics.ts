import { Hono } from "hono";
import type { JsonValue } from "../../core/events/event.ts";
import { rfc3339 } from "../../core/events/rfc3339.ts";
import type { RangeRow } from "../../durable-objects/aggregator/read-windows.ts";
import { requireRole } from "../auth/index.ts";
import { ApiError, type AppContext, type AppEnv, ok, readJson } from "../http.ts";
import { aggregator, rangeRowJson, windowsAnswer } from "./aggregations.ts";
import { type Range, readIntervals, readTotal } from "./rollups.ts";
import { badParameter, Parameters, rangeQuery } from "./window-parameters.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DEFAULT_HOURS = 24;
const MAX_HOURS = 24 * 366;
/** The parent system's names of its windows. */
const WINDOW_ALIASES: Readonly<Record<string, string>> = {
  "1min": "events_1m",
  "5min": "events_5m",
  "1hour": "events_1h",
};

/** The parent system's analytics paths, answered from the built-in windows; nothing here scans events. Times are event times. */
export const analyticsRoutes = new Hono<AppEnv>()
  .get("/api/v1/analytics/event-trends", requireRole("viewer"), async (c) => {
    const parameters = parametersOf(c);
    const intervalMinutes = parameters.integer("interval_minutes", 60, 1, 1440);
    const { range, intervals } = await readIntervals(aggregator(c), readRange(parameters), intervalMinutes * MINUTE_MS);
    const trends = intervals.map(({ start, rows: inInterval }, k, all) => {
      const count = total(inInterval);
      const before = all[k - 1];
      return {
        timestamp: start,
        count,
        by_type: countsBy(inInterval, "type"),
        change_percent: before === undefined ? null : percentChange(total(before.rows), count),
      };
    });
    return ok(c, {
      ...rangeJson(range),
      interval_minutes: intervalMinutes,
      total: total(intervals.flatMap(({ rows }) => rows)),
      trends,
    });
  })
  .get("/api/v1/analytics/event-types", requireRole("viewer"), async (c) => {
    const { range, rows, limit } = await readTotals(c);
    return ok(c, { ...rangeJson(range), total: total(rows), event_types: shares(rows, "type", limit) });
  })
  .get("/api/v1/analytics/top-sources", requireRole("viewer"), async (c) => {
    const { range, rows, limit } = await readTotals(c);
    return ok(c, { ...rangeJson(range), total: total(rows), sources: shares(rows, "source", limit) });
  })
  .get("/api/v1/analytics/user-distribution", requireRole("viewer"), async (c) => {
    const { range, rows, limit } = await readTotals(c);
    const groups = rows
      .map(({ group, values }) => ({
        type: group["type"],
        source: group["source"],
        severity: group["severity"],
        users: values["users"],
        events: values["count"],
      }))
      .sort((a, b) => Number(b.users) - Number(a.users))
      .slice(0, limit);
    return ok(c, { ...rangeJson(range), groups });
  })
  .get("/api/v1/analytics/metrics", requireRole("viewer"), async (c) => {
    const { range, rows } = await readTotals(c);
    const events = total(rows);
    return ok(c, {
      ...rangeJson(range),
      total_events: events,
      events_per_minute: events / ((range.to - range.from) / MINUTE_MS),
      by_type: countsBy(rows, "type"),
      by_source: countsBy(rows, "source"),
      by_severity: countsBy(rows, "severity"),
    });
  })
  .get("/api/v1/analytics/windows/:name", requireRole("viewer"), (c) =>
    windowsAnswer(c, WINDOW_ALIASES[c.req.param("name")]),
  )
  .get("/metrics/realtime", requireRole("viewer"), async (c) => {
    const now = Date.now();
    const { range, intervals } = await readIntervals(aggregator(c), { from: now - 4 * MINUTE_MS, to: now }, MINUTE_MS);
    const minutes = intervals.map(({ start, rows: inMinute }) => ({
      start,
      count: total(inMinute),
      by_type: countsBy(inMinute, "type"),
    }));
    const stats = await aggregator(c).stats();
    return ok(c, { ...rangeJson(range), total_events: stats.total_events, last_minutes: minutes });
  })
  .get("/metrics/history/:name", requireRole("viewer"), async (c) => {
    const parameters = parametersOf(c);
    const name = c.req.param("name");
    const intervalMinutes = parameters.integer("interval_minutes", 60, 1, 1440);
    const asked = readRange(parameters);
    if (name !== "events" && name !== "users")
      throw new ApiError(
        "not_found",
        "The metrics with a history are events and users; others come from aggregations.",
      );
    const { range, intervals } = await readIntervals(aggregator(c), asked, intervalMinutes * MINUTE_MS);
    const points = intervals.map(({ start, rows: inInterval }) => ({
      timestamp: start,
      ...(name === "events"
        ? { value: total(inInterval) }
        : { groups: inInterval.map(({ group, values }) => ({ group, value: values["users"] })) }),
    }));
    return ok(c, { name, ...rangeJson(range), interval_minutes: intervalMinutes, points });
  })
  .post("/metrics/query", requireRole("viewer"), async (c) => {
    const body = await readJson(c);
    if (typeof body !== "object" || body === null || Array.isArray(body))
      throw badParameter("body", "must be a JSON object");
    const { aggregation, ...rest } = body as Record<string, unknown>;
    if (typeof aggregation !== "string") throw badParameter("aggregation", "must name an aggregation");
    const found = await aggregator(c).getAggregation(aggregation);
    if (found === null) throw new ApiError("not_found", `There is no aggregation named ${aggregation}.`);
    const pairs = Object.entries(rest).map(([name, value]): [string, string] => {
      if (typeof value !== "string" && typeof value !== "number") throw badParameter(name, "must be text or a number");
      return [name, String(value)];
    });
    const result = await aggregator(c).queryRange(
      aggregation,
      rangeQuery(pairs, found.definition.group_by ?? [], found.steps),
    );
    if (result === null || !result.ok) throw badParameter("from", "the range holds too many windows; narrow it");
    return ok(c, { aggregation, rows: result.rows.map(rangeRowJson) });
  });

function parametersOf(c: AppContext): Parameters {
  return new Parameters(new URL(c.req.url).searchParams);
}

/** `from` and `to`, or the last `hours`. Refuses parameters nobody has read. */
function readRange(parameters: Parameters): Range {
  const hours = parameters.integer("hours", DEFAULT_HOURS, 1, MAX_HOURS);
  const { from, to } = parameters.range();
  parameters.end();
  const end = to ?? Date.now();
  return { from: from ?? end - hours * HOUR_MS, to: end };
}

async function readTotals(c: AppContext): Promise<{ range: Range; rows: readonly RangeRow[]; limit: number }> {
  const parameters = parametersOf(c);
  const limit = parameters.integer("limit", 10, 1, 1000);
  return { ...(await readTotal(aggregator(c), readRange(parameters))), limit };
}

const total = (rows: readonly RangeRow[]): number => rows.reduce((sum, { values }) => sum + Number(values["count"]), 0);

const countsBy = (rows: readonly RangeRow[], path: string): Record<string, number> =>
  Object.fromEntries(ranked(rows, path));

/** Most first. Not as an object: there names like "42" come before all others. */
function ranked(rows: readonly RangeRow[], path: string): (readonly [name: string, count: number])[] {
  const counts = new Map<string, number>();
  for (const { group, values } of rows) {
    const name = nameOf(group[path]);
    counts.set(name, (counts.get(name) ?? 0) + Number(values["count"]));
  }
  return [...counts].sort((a, b) => b[1] - a[1]);
}

function shares(
  rows: readonly RangeRow[],
  path: string,
  limit: number,
): { name: string; count: number; percentage: number }[] {
  const all = total(rows);
  return ranked(rows, path)
    .slice(0, limit)
    .map(([name, count]) => ({ name, count, percentage: (100 * count) / all }));
}

/** The overflow group has no name of its own. */
const nameOf = (value: JsonValue | undefined): string => (typeof value === "string" ? value : "(other)");

const percentChange = (before: number, now: number): number | null =>
  before === 0 ? null : (100 * (now - before)) / before;

const rangeJson = ({ from, to }: Range) => ({ from: rfc3339(from), to: rfc3339(to) });
