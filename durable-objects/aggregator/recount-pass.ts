import type { EventBatch } from "../../core/events/event-batch.ts";
import type { Aggregation } from "../../core/windows/aggregation.ts";
import { Recount } from "../../core/windows/recount.ts";
import type { ShardCursor } from "../../core/windows/shard-cursors.ts";
import { allRows, readJoined } from "./messages.ts";
import type { RebuildTarget } from "./rebuild-jobs.ts";
import type { Shard } from "./shard.ts";
import { type LogPlace, type ShardCut, StoreCut } from "./store-cut.ts";
import { type OpenSegment, StoredEvents } from "./stored-events.ts";

/** Unsealed events read at a start in one go. With more the store is away, and there is nothing to read from it either. */
const MAX_UNSEALED_EVENTS = 20_000;

/** What a pass reads from. */
export interface PassDeps {
  readonly db: D1Database;
  readonly sealAll: () => Promise<void>;
  /** Objects other than home that may hold events. */
  readonly shards: () => readonly number[];
  /** Asks one of them what lies before home's place in its log. */
  readonly cutShard: (object: number, places: readonly LogPlace[]) => Promise<ShardCut>;
}

/** What a pass is about. */
export interface PassOrder {
  readonly job: number;
  readonly target: RebuildTarget;
  readonly aggregation: Aggregation;
  /** How far before the target's position to begin, ms; undefined for the usual. */
  readonly reach: number | undefined;
}

/** One aggregation being recounted. Lost with memory: the job then goes on from where it last put something in place. */
export interface Pass extends PassOrder {
  readonly recount: Recount;
  readonly stored: StoredEvents;
  readonly cut: StoreCut;
  /** Events read since something was last put in place. */
  events: number;
}

/**
 * Makes the cut and begins a recount behind it: from here on it has what comes, and what is stored is to be read.
 * @throws when the store or a shard does not answer; then nothing is begun
 */
export async function beginPass(shard: Shard, deps: PassDeps, order: PassOrder): Promise<Pass> {
  const { target, aggregation, reach } = order;
  await deps.sealAll();
  const { log, sealer, owner, machine } = shard;
  if (log.unsealedEvents > MAX_UNSEALED_EVENTS) throw new Error(`${log.unsealedEvents} events are not sealed yet`);
  const recount = new Recount(aggregation, { from: target.position, to: target.to }, reach);
  // The cut, in one step: what is in the log now, what is sealed now, how far the shards are, and from here on what comes.
  const { from, to } = recount.wanted;
  for (const chunk of log.chunks) {
    if (chunk.maxTimestamp < from || chunk.minTimestamp >= to) continue;
    const batch = log.batch(chunk);
    recount.fold(batch, allRows(batch));
  }
  aggregation.recount = recount;
  const own = { ...owner, sealedThrough: sealer.sealedThrough, after: [] };
  const places = machine.shards.toJSON();
  try {
    const others = await askShards(deps, places);
    for (const { unsealed } of others) for (const batch of readJoined(unsealed)) recount.fold(batch, allRows(batch));
    const cut = new StoreCut([own, ...others], places);
    const stored = new StoredEvents(deps.db, owner.tenant, recount.wanted, (segment) => cut.includes(segment));
    return { ...order, recount, stored, cut, events: 0 };
  } catch (error) {
    aggregation.recount = undefined;
    throw error;
  }
}

/** Counts a segment, as far as it lies before the cut. @returns events looked at */
export function countSegment(pass: Pass, { segment, batches }: OpenSegment): number {
  const after = pass.cut.after(segment);
  let events = 0;
  for (const batch of batches) {
    pass.recount.fold(batch, rowsWithout(batch, after));
    events += batch.length;
  }
  pass.events += events;
  return events;
}

/** What of the shards' logs lies before home's places in them. */
async function askShards(deps: PassDeps, places: readonly ShardCursor[]): Promise<ShardCut[]> {
  const ask = (object: number): Promise<ShardCut> => {
    const own = places.filter(({ shard }) => shard === object);
    return deps.cutShard(
      object,
      own.map(({ incarnation, cursor }) => ({ incarnation, seq: cursor })),
    );
  };
  const objects = new Set([...deps.shards(), ...places.map(({ shard }) => shard)]);
  return await Promise.all([...objects].map(ask));
}

function rowsWithout(batch: EventBatch, ids: ReadonlySet<string>): Uint32Array {
  return ids.size === 0 ? allRows(batch) : allRows(batch).filter((row) => !ids.has(batch.ids[row] ?? ""));
}
