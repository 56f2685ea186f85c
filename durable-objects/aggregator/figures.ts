import type { Shard } from "./shard.ts";

export interface StatsResult {
  readonly total_events: number;
  readonly events_by_type: Record<string, number>;
  readonly events_by_source: Record<string, number>;
  readonly storage_size_bytes: number;
  /** Epoch ms. */
  readonly oldest_event: number | null;
  readonly newest_event: number | null;
}

/** What `GET /api/v1/stats` shows. */
export function statsOf({ machine, sealer, log }: Shard): StatsResult {
  const { total, byType, bySource, oldest, newest } = machine.stats.toJSON();
  return {
    total_events: total,
    events_by_type: { ...byType },
    events_by_source: { ...bySource },
    storage_size_bytes: sealer.storedBytes + log.unsealedBytes + machine.shards.totals.storedBytes,
    oldest_event: oldest,
    newest_event: newest,
  };
}

/** Events taken from the queue so far, by object; of shards, as far as they have told. */
export function appliedByObject({ owner, tally, machine }: Shard): Map<number, number> {
  const applied = new Map([[owner.shard, tally.applied]]);
  for (const told of machine.shards.toJSON()) applied.set(told.shard, (applied.get(told.shard) ?? 0) + told.applied);
  return applied;
}

/** What `GET /metrics` and the bench read. */
export function figuresOf({
  machine,
  tally,
  log,
  late,
  sealer,
  tables,
  reader,
  outbox,
}: Shard): Record<string, number> {
  return {
    events_stored: machine.stats.total,
    events_duplicate: machine.allDuplicates,
    events_applied: tally.applied,
    unsealed_events: log.unsealedEvents,
    ...(outbox === undefined ? {} : { unmerged_events: outbox.waiting }),
    events_late_pending: late.size,
    log_bytes: log.unsealedBytes,
    remembered_ids: machine.deduplicator.memory.size,
    remembered_id_bytes: machine.deduplicator.memory.bytes,
    object_rows_written: tables.rowsWritten,
    d1_rows_written: sealer.rowsWritten,
    segments_written: sealer.segments,
    seal_failures: sealer.failures,
    inflated_bytes_peak: reader.peakBytes,
    database_bytes: tables.databaseBytes,
  };
}
