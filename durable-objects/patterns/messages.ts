import type { FeedCounts } from "../../core/patterns/forward.ts";
import type { PatternCounts } from "../../core/patterns/pattern-state.ts";
import type { StoredPattern } from "../../core/patterns/plan.ts";

/** Events of a stretch of a shard's log: those after the stretch before, up to and including entry `through`. */
export interface ForwardedRun {
  readonly through: number;
  /** JSON texts of ForwardedRows, each short enough for a log row. As text they cost a fraction to send, and are logged as they come. */
  readonly rows: readonly string[];
}

/** What a shard tells a keeper. Telling it again changes nothing. */
export interface KeeperCall {
  readonly shard: number;
  readonly incarnation: string;
  /** In order of the log. */
  readonly runs: readonly ForwardedRun[];
  /** [pattern id, epoch ms]; only once everything before them was forwarded. */
  readonly watermarks: readonly (readonly [number, number])[];
  /** Which definitions the runs were made with; each change of them has a higher number. */
  readonly epoch: number;
  /** The definitions of that epoch, for a keeper that may not know them. */
  readonly patterns?: readonly StoredPattern[];
}

export type KeeperAnswer =
  | {
      readonly ok: true;
      readonly wants: Wants;
    }
  | { readonly ok: false; readonly reason: "needs_patterns" | "busy" };

/** What a keeper holds and has counted of one pattern. */
export interface KeeperStatus extends PatternCounts {
  readonly id: number;
  readonly keys: number;
  readonly buffered: number;
}

/** What a keeper waits for: [pattern id, the least watermark at which there is something to decide]. */
export type Wants = readonly (readonly [patternId: number, at: number])[];

/** What a shard says of patterns with a delta. Everything in the delta was forwarded before. */
export interface PatternNews {
  readonly shard: number;
  /** The definitions that it was forwarded with. */
  readonly epoch: number;
  /** Keepers it told since home last heard of it, and what they said. */
  readonly wants: readonly (readonly [keeper: number, wants: Wants])[];
  /** Its counts so far, by pattern id. */
  readonly counts: readonly (readonly [patternId: number, counts: FeedCounts])[];
}

/** The definitions, for a shard that has others. Nothing of it was merged: it must be forwarded anew first. */
export interface PatternTerms {
  readonly epoch: number;
  readonly patterns: readonly StoredPattern[];
}
