import type { Aggregation } from "../../core/windows/aggregation.ts";
import { watermarkHolder } from "../../core/windows/watermark.ts";
import type { Shard } from "./shard.ts";

/** How an aggregation stands. Times are epoch ms, lengths ms and bytes. */
export interface AggregationStanding {
  readonly name: string;
  readonly version: number;
  /** null before the first event. */
  readonly watermark: number | null;
  /** The source whose events are awaited; null when the wall clock moves the watermark, or nothing does. */
  readonly heldBy: string | null;
  /** Now − watermark. */
  readonly lagMs: number | null;
  readonly lateEvents: number;
  readonly duplicateEvents: number;
  readonly filterErrors: number;
  readonly openWindows: number;
  readonly openGroups: number;
  readonly bytes: number;
}

/** How a shard stands. Times are epoch ms, lengths ms and bytes. */
export interface ShardStanding {
  readonly shard: number;
  readonly incarnation: string;
  readonly asOf: number;
  readonly aggregations: readonly AggregationStanding[];
  readonly sources: number;
  readonly storedEvents: number;
  readonly duplicateEvents: number;
  /** Events whose ids are still to be looked up in the store. */
  readonly lateInbox: number;
  /** Not yet sealed, or not yet part of a checkpoint. */
  readonly log: { readonly unsealedEvents: number; readonly unsealedBytes: number; readonly entries: number };
  readonly checkpoint: { readonly at: number; readonly ageMs: number };
  readonly ids: { readonly remembered: number; readonly bytes: number; readonly bytesPerId: number | null };
  /** In memory. */
  readonly stateBytes: { readonly windows: number; readonly ids: number; readonly log: number };
  readonly databaseBytes: number;
  /** Aggregations that do not count, because their stored definitions no longer compile. */
  readonly disabled: readonly string[];
  /** Rebuilds that wait or run. */
  readonly rebuilds: number;
}

/** Everything an operator may want to know of a shard at this moment. */
export function standingOf(
  shard: Shard,
  { disabled, rebuilds }: Pick<ShardStanding, "disabled" | "rebuilds">,
  now: number,
): ShardStanding {
  const { owner, machine, log, late, tables } = shard;
  const aggregations = [...machine.aggregations.values()].map((aggregation) => standing(shard, aggregation, now));
  const { memory } = machine.deduplicator;
  return {
    shard: owner.shard,
    incarnation: owner.incarnation,
    asOf: now,
    aggregations,
    sources: [...machine.sources].filter(({ newest }) => newest !== -Infinity).length,
    storedEvents: machine.stats.total,
    duplicateEvents: machine.allDuplicates,
    lateInbox: late.size,
    log: { unsealedEvents: log.unsealedEvents, unsealedBytes: log.unsealedBytes, entries: tables.logEntries() },
    checkpoint: { at: shard.checkpointedAt, ageMs: Math.max(0, now - shard.checkpointedAt) },
    ids: {
      remembered: memory.size,
      bytes: memory.bytes,
      bytesPerId: memory.size === 0 ? null : memory.bytes / memory.size,
    },
    stateBytes: {
      windows: aggregations.reduce((bytes, one) => bytes + one.bytes, 0),
      ids: memory.bytes,
      log: log.cachedBytes,
    },
    databaseBytes: tables.databaseBytes,
    disabled,
    rebuilds,
  };
}

function standing({ machine }: Shard, aggregation: Aggregation, now: number): AggregationStanding {
  const { plan, watermark } = aggregation;
  const isMoving = watermark !== -Infinity;
  const holder = watermarkHolder(watermark, machine.sources, plan.timing, machine.idleAsOf);
  return {
    name: plan.definition.name,
    version: aggregation.version,
    watermark: isMoving ? watermark : null,
    heldBy: isMoving ? (holder?.name ?? null) : null,
    lagMs: isMoving ? now - watermark : null,
    lateEvents: aggregation.lateEvents,
    duplicateEvents: machine.allDuplicates - aggregation.duplicatesBefore,
    filterErrors: aggregation.filterErrors,
    ...aggregation.windows.sizes(),
  };
}
