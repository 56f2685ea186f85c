import type { AggregationInfo } from "../durable-objects/window-aggregator.ts";
import type { MetricFamily } from "./metrics.ts";

/** What each figure of a shard says; those that only grow are counters. Counters of rows and failures begin anew when the object restarts. */
const SHARD_FIGURES: Readonly<Record<string, readonly [type: MetricFamily["type"], help: string]>> = {
  events_stored: ["counter", "Distinct events stored and counted."],
  events_duplicate: ["counter", "Events that were copies of a stored one."],
  events_applied: ["counter", "Events taken from the queue, copies included."],
  unsealed_events: ["gauge", "Stored events not yet in a segment of the event store."],
  events_late_pending: ["gauge", "Events waiting for their id to be looked up in the event store."],
  log_bytes: ["gauge", "Packed bytes of the unsealed log."],
  remembered_ids: ["gauge", "Event ids held in memory."],
  remembered_id_bytes: ["gauge", "Memory of the event ids, bytes."],
  object_rows_written: ["counter", "Rows written to the object's own storage, alarms and deletes included."],
  d1_rows_written: ["counter", "Rows written to D1 by sealing."],
  segments_written: ["counter", "Segments written to the event store."],
  seal_failures: ["gauge", "Failed tries to seal since the last that succeeded."],
  inflated_bytes_peak: ["gauge", "Most inflated bytes of messages held at once."],
  database_bytes: ["gauge", "Size of the object's storage, bytes."],
};

/** Figures of one shard by name, as metric families. */
export function shardMetrics(figures: Readonly<Record<string, number>>): MetricFamily[] {
  return Object.entries(SHARD_FIGURES).flatMap(([name, [type, help]]) => {
    const value = figures[name];
    const suffix = type === "counter" ? "_total" : "";
    return value === undefined
      ? []
      : [{ name: `streamflow_${name}${suffix}`, help, type, samples: [{ labels: { shard: "0" }, value }] }];
  });
}

/** Watermark, lateness and open windows of each aggregation. */
export function aggregationMetrics(aggregations: readonly AggregationInfo[]): MetricFamily[] {
  const family = (
    name: string,
    type: MetricFamily["type"],
    help: string,
    value: (info: AggregationInfo) => number | null,
  ): MetricFamily => ({
    name: `streamflow_aggregation_${name}`,
    help,
    type,
    samples: aggregations.flatMap((info) => {
      const figure = value(info);
      return figure === null ? [] : [{ labels: { aggregation: info.definition.name }, value: figure }];
    }),
  });
  return [
    family("watermark_seconds", "gauge", "Watermark, Unix time.", ({ watermark }) =>
      watermark === null ? null : watermark / 1000,
    ),
    family("late_events_total", "counter", "Events that came behind the watermark.", ({ lateEvents }) => lateEvents),
    family(
      "filter_errors_total",
      "counter",
      "Events on which an expression failed.",
      ({ filterErrors }) => filterErrors,
    ),
    family("open_windows", "gauge", "Windows not yet closed.", ({ openWindows }) => openWindows),
  ];
}
