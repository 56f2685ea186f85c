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

/** Creates them. */
export async function addAggregations(platform: BenchPlatform): Promise<void> {
  for (const aggregation of USER_AGGREGATIONS) await platform.json("POST", "/api/v1/aggregations", aggregation);
}

/** The sum of a count over all windows and groups of an aggregation since `sinceMs`. */
export async function countInWindows(
  platform: BenchPlatform,
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

/** Events that are stored, by the platform's own statistics. */
export async function storedEvents(platform: BenchPlatform): Promise<number> {
  return Number(field(field(await platform.json("GET", "/api/v1/stats"), "data"), "total_events") ?? 0);
}

/** Events that are not in a D1 segment yet, by the platform's own metrics; null when it does not tell. */
export async function unsealedEvents(platform: BenchPlatform): Promise<number | null> {
  const value = /^streamflow_unsealed_events(?:\{[^}]*\})? (\S+)$/m.exec(await platform.text("/metrics"))?.[1];
  return value === undefined ? null : Number(value);
}
