import type { GroupState } from "./window-state.ts";

/**
 * What one group has in one bin, or in one session: the smallest state that windows are merged from. Every event is in exactly one.
 *
 * Fragments of the same definition can be absorbed by any set of windows of it, in any order, any number of parts: that is how
 * what shards counted apart, or a recount from the store, comes together.
 */
export interface Fragment {
  /** Epoch ms: the bin's start, or the time of the session's first event. */
  readonly first: number;
  /** Epoch ms: as `first`, or the time of the session's last event. */
  readonly last: number;
  readonly group: GroupState;
}
