import { field, list } from "../cli/api.ts";
import type { BenchPlatform } from "./platform.ts";

/** The two aggregations a user might have, beside the built-in ones. */
export const USER_AGGREGATIONS = [
  {
    name: "bench_by_status",
    filter: "event.type == 'web.request'",
    window: { type: "tumbling", size: "1m" },
    group_by: ["data.status"],
    measures: {
      requests: { fn: "count" },
      clients: { fn: "distinct", field: "data.client_ip" },
      bytes: { fn: "sum", field: "data.bytes" },
      p95: { fn: "quantile", field: "data.bytes", q: 0.95 },
    },
  },
  {
    name: "bench_by_severity",
    window: { type: "tumbling", size: "10s" },
    group_by: ["severity"],
    measures: { requests: { fn: "count" }, largest: { fn: "max", field: "data.bytes" } },
  },
] as const;

/** Windows of the other kinds. */
export const OTHER_KINDS = [
  {
    name: "bench_hopping",
    window: { type: "hopping", size: "1h", slide: "5m" },
    group_by: ["data.status"],
    measures: { requests: { fn: "count" } },
  },
  {
    name: "bench_sessions",
    window: { type: "session", gap: "30m" },
    group_by: ["data.client_ip"],
    measures: { requests: { fn: "count" } },
  },
] as const;

/** One event in fifty passes its filter; none match in a million, as matches are events and would be counted with them. */
export const PATTERN = {
  name: "bench_repeated_requests",
  kind: "count",
  key: "data.client_ip",
  within: "1m",
  event: { filter: "event.data.path == '/blog/0'" },
  times: 100,
} as const;

/** The same of two events of twelve. */
export const BUSY_PATTERN = {
  name: "bench_repeated_errors",
  kind: "count",
  key: "data.client_ip",
  within: "1m",
  event: { filter: "event.data.status >= 400" },
  times: 100,
} as const;

/** Creates them. */
export async function addAggregations(platform: BenchPlatform): Promise<void> {
  for (const aggregation of USER_AGGREGATIONS) await platform.json("POST", "/api/v1/aggregations", aggregation);
}

/** The sum of a count over all windows and groups of an aggregation since `sinceMs`. */
export async function countInWindows(
  platform: Pick<BenchPlatform, "json">,
  name: string,
  measure: string,
  sinceMs: number,
): Promise<number> {
  let sum = 0;
  let cursor: unknown = null;
  do {
    const more = typeof cursor === "string" ? `&cursor=${encodeURIComponent(cursor)}` : "";
    const path = `/api/v1/aggregations/${name}/windows?from=${new Date(sinceMs).toISOString()}&limit=1000${more}`;
    const data = field(await platform.json("GET", path), "data");
    for (const window of list(data, "windows")) sum += Number(field(field(window, "values"), measure) ?? 0);
    cursor = field(data, "next_cursor");
  } while (typeof cursor === "string");
  return sum;
}

/** Distinct events that are stored, and how many of them are not in a D1 segment yet, by the platform's own metrics. */
export async function readProgress(platform: BenchPlatform): Promise<{ stored: number; unsealed: number }> {
  const text = await platform.text("/metrics");
  return { stored: sumOf(text, "streamflow_events_stored_total"), unsealed: sumOf(text, "streamflow_unsealed_events") };
}

/** The sum of a metric over its labels. @throws Error when there is no such metric */
function sumOf(text: string, name: string): number {
  const samples = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))];
  if (samples.length === 0) throw new Error(`the platform has no metric ${name}`);
  return samples.reduce((sum, [, value]) => sum + Number(value), 0);
}

/** Events in total, by /api/v1/stats. */
export async function totalEvents(platform: BenchPlatform): Promise<number> {
  return Number(field(field(await platform.json("GET", "/api/v1/stats"), "data"), "total_events"));
}
