import { Hono } from "hono";
import { rfc3339OrNull } from "../../core/events/rfc3339.ts";
import type { AggregationStanding, ShardStanding } from "../../durable-objects/aggregator/introspection.ts";
import { requireRole } from "../auth/index.ts";
import { type AppEnv, ok } from "../http.ts";
import { askEveryShard } from "./shard-reads.ts";

/** Why the numbers are where they are: watermarks and who holds them, what waits, what takes memory. */
export const introspectionRoutes = new Hono<AppEnv>().get("/api/v1/introspection", requireRole("viewer"), async (c) => {
  const { answers } = await askEveryShard(c.env, c.get("principal").tenant, (object) => object.introspect());
  return ok(c, { shards: answers.map(shardJson) });
});

function shardJson(shard: ShardStanding): unknown {
  const { log, checkpoint, ids, stateBytes } = shard;
  return {
    shard: shard.shard,
    incarnation: shard.incarnation,
    as_of: rfc3339OrNull(shard.asOf),
    stored_events: shard.storedEvents,
    duplicate_events: shard.duplicateEvents,
    sources: shard.sources,
    late_inbox: shard.lateInbox,
    log: { unsealed_events: log.unsealedEvents, unsealed_bytes: log.unsealedBytes, entries: log.entries },
    checkpoint: { at: rfc3339OrNull(checkpoint.at), age_seconds: checkpoint.ageMs / 1000 },
    ids: { remembered: ids.remembered, bytes: ids.bytes, bytes_per_id: ids.bytesPerId },
    state_bytes: stateBytes,
    database_bytes: shard.databaseBytes,
    rebuilds: shard.rebuilds,
    disabled: shard.disabled,
    aggregations: shard.aggregations.map(aggregationJson),
  };
}

function aggregationJson(one: AggregationStanding): unknown {
  return {
    name: one.name,
    version: one.version,
    watermark: rfc3339OrNull(one.watermark),
    held_by: one.heldBy,
    lag_seconds: one.lagMs === null ? null : one.lagMs / 1000,
    late_events: one.lateEvents,
    duplicate_events: one.duplicateEvents,
    filter_errors: one.filterErrors,
    open_windows: one.openWindows,
    open_groups: one.openGroups,
    bytes: one.bytes,
  };
}
