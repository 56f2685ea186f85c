import type { AggregationStanding, ShardStanding } from "../durable-objects/aggregator/introspection.ts";
import type { ShardsInfo } from "../durable-objects/aggregator/sharding.ts";
import { type Figure, figureMetrics, type MetricFamily, seconds } from "./metrics.ts";

/** What each figure of a shard says; those that only grow are counters. Counters of rows and failures begin anew when the object restarts. */
const SHARD_FIGURES: Readonly<Record<string, readonly [type: MetricFamily["type"], help: string]>> = {
  events_stored: ["counter", "Distinct events stored and counted; of shard 0, which is home, those of every shard."],
  events_duplicate: ["counter", "Events that were copies of a stored one; of home, those of every shard."],
  events_applied: ["counter", "Events taken from the queue, copies included."],
  unsealed_events: ["gauge", "Stored events not yet in a segment of the event store."],
  unmerged_events: ["gauge", "Events a shard has counted and home has not merged yet."],
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

/** Figures by name, as metric families. @param shards each with its number */
export function shardMetrics(
  shards: readonly { readonly shard: number; readonly figures: Readonly<Record<string, number>> }[],
): MetricFamily[] {
  return Object.entries(SHARD_FIGURES).map(([name, [type, help]]) => ({
    name: `streamflow_${name}${type === "counter" ? "_total" : ""}`,
    help,
    type,
    samples: shards.flatMap(({ shard, figures }) => {
      const value = figures[name];
      return value === undefined ? [] : [{ labels: { shard: String(shard) }, value }];
    }),
  }));
}

/** How the tenant's events are spread over its objects. */
export function spreadMetrics({ count, inTransit, objects }: ShardsInfo): MetricFamily[] {
  const each = (value: (one: ShardsInfo["objects"][number]) => number): MetricFamily["samples"] =>
    objects.map((one) => ({ labels: { shard: String(one.object) }, value: value(one) }));
  return [
    gauge("shards", "Shards wanted.", [{ labels: {}, value: count }]),
    gauge("slots_in_transit", "Slots being handed over, whose events wait.", [{ labels: {}, value: inTransit }]),
    gauge(
      "shard_slots",
      "Slots, of 256, whose events the object takes.",
      each(({ slots }) => slots),
    ),
    gauge(
      "shard_events_per_second",
      "Events taken, between the last two readings of the load.",
      each(({ eventsPerSecond }) => eventsPerSecond),
    ),
    gauge(
      "shard_overloads",
      "Calls turned away as overloaded since home started.",
      each(({ overloads }) => overloads),
    ),
  ];
}

/** What shards hold at the moment, and how each aggregation stands. */
export function standingMetrics(shards: readonly ShardStanding[]): MetricFamily[] {
  return shards.flatMap(oneStanding).reduce(mergeFamilies, []);
}

function oneStanding({ shard, aggregations, ...standing }: ShardStanding): MetricFamily[] {
  const labels = { shard: String(shard) };
  return [
    gauge("log_entries", "Entries in the shard's log, sealed ones that still await a checkpoint included.", [
      { labels, value: standing.log.entries },
    ]),
    gauge("checkpoint_age_seconds", "Time since the last checkpoint.", [
      { labels, value: standing.checkpoint.ageMs / 1000 },
    ]),
    gauge(
      "bytes_per_remembered_id",
      "Memory per remembered event id.",
      standing.ids.bytesPerId === null ? [] : [{ labels, value: standing.ids.bytesPerId }],
    ),
    gauge(
      "state_bytes",
      "Memory of the shard's state, by what holds it.",
      Object.entries(standing.stateBytes).map(([part, value]) => ({ labels: { ...labels, part }, value })),
    ),
    gauge("rebuilds_open", "Rebuilds that wait or run.", [{ labels, value: standing.rebuilds }]),
    gauge(
      "aggregation_disabled",
      "1 for an aggregation whose stored definition no longer compiles.",
      standing.disabled.map((aggregation) => ({ labels: { aggregation }, value: 1 })),
    ),
    ...aggregationMetrics(aggregations),
  ];
}

function gauge(name: string, help: string, samples: MetricFamily["samples"]): MetricFamily {
  return { name: `streamflow_${name}`, help, type: "gauge", samples };
}

const AGGREGATION_FIGURES: readonly Figure<AggregationStanding>[] = [
  ["watermark_seconds", "gauge", "Watermark, Unix time.", (one) => seconds(one.watermark)],
  ["watermark_lag_seconds", "gauge", "Now minus the watermark.", (one) => seconds(one.lagMs)],
  ["late_events_total", "counter", "Events that came behind the watermark.", (one) => one.lateEvents],
  ["duplicate_events_total", "counter", "Copies that came since the aggregation exists.", (one) => one.duplicateEvents],
  ["filter_errors_total", "counter", "Events on which an expression failed.", (one) => one.filterErrors],
  ["open_windows", "gauge", "Windows not yet closed.", (one) => one.openWindows],
  ["open_groups", "gauge", "Groups of the windows not yet closed.", (one) => one.openGroups],
  ["bytes", "gauge", "Memory of the aggregation's windows.", (one) => one.bytes],
];

function aggregationMetrics(aggregations: readonly AggregationStanding[]): MetricFamily[] {
  const held = aggregations.flatMap(({ name: aggregation, heldBy: source }) =>
    source === null ? [] : [{ labels: { aggregation, source }, value: 1 }],
  );
  return [
    ...figureMetrics("aggregation", AGGREGATION_FIGURES, aggregations, ({ name }) => name),
    gauge(
      "aggregation_watermark_held",
      "1 for the source that holds the watermark; without a sample the wall clock moves it.",
      held,
    ),
  ];
}

/** Prometheus wants all samples of a name together. */
function mergeFamilies(families: MetricFamily[], next: MetricFamily): MetricFamily[] {
  const known = families.findIndex(({ name }) => name === next.name);
  const same = families[known];
  if (same === undefined) return [...families, next];
  return families.with(known, { ...same, samples: [...same.samples, ...next.samples] });
}
