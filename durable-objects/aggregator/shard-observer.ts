import type { EventBatch } from "../../core/events/event-batch.ts";
import type { DeltaNews } from "../../core/windows/delta.ts";
import type { Effect } from "../../core/windows/shard-machine.ts";

/** Who hears of what happens to a shard. Called within the change: must not wait, and a throw undoes the change. */
export interface ShardObserver {
  /** Events counted just now. */
  readonly counted: (batch: EventBatch, rows: Uint32Array) => void;
  /** Events of the log, read back at a start: whoever follows them has had them. */
  readonly recalled: (batch: EventBatch, rows: Uint32Array) => void;
  /** What a shard counted, merged just now. */
  readonly merged: (delta: DeltaNews) => void;
  /** What a shard counted, of the log, read back at a start. */
  readonly mergedBefore: (delta: DeltaNews) => void;
  readonly affected: (effects: readonly Effect[]) => void;
  /** What was done after the last checkpoint, done again at a start. */
  readonly replayed: (effects: readonly Effect[]) => void;
  /** What must outlive the log that would bring it forth again is to be written now. */
  readonly checkpointing: () => void;
  /** Log entries after this one are still needed. */
  readonly heldAfter: () => number;
}

/** What a shard stands on. */
export interface ShardGround {
  readonly storage: DurableObjectStorage;
  readonly db: D1Database;
  readonly tenant: string;
  /** The object's number; 0 is home. */
  readonly shard: number;
  /** Ends the object; it starts anew from disk. */
  readonly abort: (error: unknown) => void;
}
