import type { DropReason } from "./ledger.ts";

/** What to do with an item that finds the buffer full. */
export type Overflow =
  | { readonly do: "drop_new"; readonly reason: DropReason }
  | { readonly do: "wait" }
  /** @property index of the item that makes room, 0 is the oldest */
  | { readonly do: "replace"; readonly index: number; readonly reason: DropReason };

/**
 * - DROP_OLDEST: the newest items matter.
 * - DROP_NEWEST: the first items matter.
 * - BLOCK: every item matters; producers wait, and nothing is dropped while somebody reads.
 * - SAMPLE: the whole flood matters; of all items since the buffer was last empty each is equally likely to be kept while nobody
 *   reads (Vitter's reservoir). `random`: numbers in [0, 1).
 * - ADAPTIVE: freshness matters. Takes bursts of up to `burstMs` whole. When the buffer has not been empty for longer than that, the
 *   queue is a standing one, which a longer queue does not help: then items older than `targetMs` are dropped when their turn
 *   comes, except the last. Full, it drops the oldest. `now`: ms.
 */
export type BufferStrategy =
  | { readonly strategy: "DROP_OLDEST" | "DROP_NEWEST" }
  /** @property maxWaiting producers that may wait, ≥ 0; more are rejected */
  | { readonly strategy: "BLOCK"; readonly maxWaiting?: number }
  | { readonly strategy: "SAMPLE"; readonly random: () => number }
  | {
      readonly strategy: "ADAPTIVE";
      readonly now: () => number;
      readonly burstMs?: number;
      readonly targetMs?: number;
    };

/** @param seen items since the buffer was last empty that were not delivered, the new one included */
export function overflowOf(options: BufferStrategy, capacity: number, seen: number): Overflow {
  switch (options.strategy) {
    case "DROP_OLDEST":
    case "ADAPTIVE":
      return { do: "replace", index: 0, reason: "oldest" };
    case "DROP_NEWEST":
      return { do: "drop_new", reason: "newest" };
    case "BLOCK":
      return { do: "wait" };
    case "SAMPLE": {
      const drawn = Math.floor(options.random() * seen);
      if (drawn >= capacity) return { do: "drop_new", reason: "sampled" };
      return { do: "replace", index: drawn, reason: "sampled" };
    }
  }
}
