/** What a shard has done in the life of its storage. Never goes back. */
export interface ShardTotals {
  /** Events taken from the queue. */
  readonly applied: number;
  readonly duplicates: number;
  /** Bytes of its events, in the store and not yet there. */
  readonly storedBytes: number;
}

export const NOTHING_DONE: ShardTotals = { applied: 0, duplicates: 0, storedBytes: 0 };

/** True when a shard has done more than is known of it. */
export function isMore({ applied, duplicates, storedBytes }: ShardTotals, known: ShardTotals): boolean {
  return applied > known.applied || duplicates > known.duplicates || storedBytes !== known.storedBytes;
}

/** How far home has merged what one shard counted. */
export interface ShardCursor extends ShardTotals {
  readonly shard: number;
  /** One life of the shard's storage: sequence numbers begin anew with another. */
  readonly incarnation: string;
  /** Every event of its log before this sequence number is merged. */
  readonly cursor: number;
}

/** Home's place in the log of every shard, kept with the windows: what moves the one moves the other. */
export class ShardCursors {
  readonly #byLife = new Map<string, ShardCursor>();

  constructor(cursors: readonly ShardCursor[] = []) {
    for (const cursor of cursors) this.#byLife.set(lifeOf(cursor.shard, cursor.incarnation), cursor);
  }

  /** The sequence number that the shard's next delta must begin with. */
  cursorOf(shard: number, incarnation: string): number {
    return this.#byLife.get(lifeOf(shard, incarnation))?.cursor ?? 0;
  }

  /** What the shard is known to have done. */
  totalsOf(shard: number, incarnation: string): ShardTotals {
    const { applied, duplicates, storedBytes } = this.#byLife.get(lifeOf(shard, incarnation)) ?? NOTHING_DONE;
    return { applied, duplicates, storedBytes };
  }

  advance({ shard, incarnation, cursor, applied, duplicates, storedBytes }: ShardCursor): void {
    const name = lifeOf(shard, incarnation);
    const known = this.#byLife.get(name);
    this.#byLife.set(name, {
      shard,
      incarnation,
      cursor,
      applied: Math.max(applied, known?.applied ?? 0),
      duplicates: Math.max(duplicates, known?.duplicates ?? 0),
      storedBytes,
    });
  }

  /** Of all shards together. */
  get totals(): ShardTotals {
    const sum = { applied: 0, duplicates: 0, storedBytes: 0 };
    for (const { applied, duplicates, storedBytes } of this.#byLife.values()) {
      sum.applied += applied;
      sum.duplicates += duplicates;
      sum.storedBytes += storedBytes;
    }
    return sum;
  }

  toJSON(): readonly ShardCursor[] {
    return [...this.#byLife.values()];
  }
}

/** Names one life of a shard. */
export const lifeOf = (shard: number, incarnation: string): string => `${shard} ${incarnation}`;
