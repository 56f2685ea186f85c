import { countsIn, type FeedCounts } from "../../core/patterns/forward.ts";
import type { PatternNews, Wants } from "../patterns/messages.ts";

/** What a checkpoint keeps of it. */
export interface SavedReport {
  readonly counts: readonly (readonly [patternId: number, counts: FeedCounts])[];
  readonly shards?: readonly (readonly [shard: number, counts: PatternNews["counts"]])[];
}

/** What forwarding brought to light: counts, and at a shard what keepers said, which home has to hear. */
export class PatternReport {
  readonly #counts: Map<number, FeedCounts>;
  /** At home: what shards counted so far, by shard. */
  readonly #ofShards: Map<number, PatternNews["counts"]>;
  /** At a shard: what keepers said that home has not heard. */
  readonly #unheard = new Map<number, Wants>();

  constructor(saved: SavedReport | undefined) {
    this.#counts = new Map(saved?.counts);
    this.#ofShards = new Map(saved?.shards);
  }

  /** Events were forwarded; these are the counts of each stretch of them. */
  add(runs: readonly ReadonlyMap<number, FeedCounts>[]): void {
    for (const run of runs) {
      for (const [id, { filterErrors, unkeyed }] of run) {
        const sum = countsIn(this.#counts, id);
        sum.filterErrors += filterErrors;
        sum.unkeyed += unkeyed;
      }
    }
  }

  /** Of all shards together. */
  countsOf(patternId: number): FeedCounts {
    const sum = { filterErrors: 0, unkeyed: 0, ...this.#counts.get(patternId) };
    for (const counts of this.#ofShards.values()) {
      const [, more] = counts.find(([id]) => id === patternId) ?? [];
      sum.filterErrors += more?.filterErrors ?? 0;
      sum.unkeyed += more?.unkeyed ?? 0;
    }
    return sum;
  }

  /** At a shard: a keeper said what it waits for. */
  note(keeper: number, wants: Wants): void {
    this.#unheard.set(keeper, wants);
  }

  /** At a shard: what home is to hear. */
  news(patternIds: readonly number[]): Pick<PatternNews, "wants" | "counts"> {
    const counts = patternIds.map((id) => [id, { ...countsIn(this.#counts, id) }] as const);
    return { wants: [...this.#unheard], counts };
  }

  /** At a shard: home has heard these. */
  heard({ wants }: PatternNews): void {
    for (const [keeper, told] of wants) if (this.#unheard.get(keeper) === told) this.#unheard.delete(keeper);
  }

  /** At home: a shard's counts so far. */
  hear({ shard, counts }: PatternNews): void {
    if (counts.length > 0) this.#ofShards.set(shard, counts);
  }

  /** @param patternIds those there are; what was counted for others is let go */
  toJSON(patternIds: ReadonlySet<number>): SavedReport {
    return { counts: [...this.#counts].filter(([id]) => patternIds.has(id)), shards: [...this.#ofShards] };
  }
}
