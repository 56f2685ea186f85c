import type { KeyRecord } from "../../storage/d1/keys.ts";

/** How long a key read from the database is believed without asking again: the longest a revoked key still works elsewhere. */
export const KEY_CACHE_MS = 20_000;
/** How long an id that does not exist is remembered, so that guessing costs no database read per try. */
export const UNKNOWN_CACHE_MS = 10_000;
/** While the database does not answer, a key it confirmed this recently stays good: ingest must not stop with it. */
export const STALE_CACHE_MS = 15 * 60_000;
/** Entries kept of each kind; the oldest go first. About 300 bytes each. */
export const MAX_CACHED_KEYS = 5_000;

/** Remembers keys by id for one isolate. Known and unknown ids are kept apart, so a flood of guesses cannot push real keys out. */
export class KeyCache {
  readonly #known = new Map<string, { record: KeyRecord; readAtMs: number }>();
  readonly #unknown = new Map<string, number>();

  /**
   * The record of a key id, from memory or by `read`.
   *
   * @returns null when there is no such key; a revoked one is returned as it is
   * @throws what `read` throws, unless an answer younger than STALE_CACHE_MS is at hand
   */
  async find(id: string, read: (id: string) => Promise<KeyRecord | null>, nowMs: number): Promise<KeyRecord | null> {
    const cached = this.#known.get(id);
    if (cached !== undefined && nowMs - cached.readAtMs < KEY_CACHE_MS) return cached.record;
    const unknownSinceMs = this.#unknown.get(id);
    if (unknownSinceMs !== undefined && nowMs - unknownSinceMs < UNKNOWN_CACHE_MS) return null;
    let record: KeyRecord | null;
    try {
      record = await read(id);
    } catch (error) {
      if (cached !== undefined && nowMs - cached.readAtMs < STALE_CACHE_MS) return cached.record;
      throw error;
    }
    this.forget(id);
    if (record === null) keep(this.#unknown, id, nowMs);
    else keep(this.#known, id, { record, readAtMs: nowMs });
    return record;
  }

  /** Remembers a use, so that it is written down once and not with every request until the row is read again. */
  noteUsed(id: string, nowMs: number): void {
    const cached = this.#known.get(id);
    if (cached !== undefined) cached.record = { ...cached.record, last_used_at: nowMs };
  }

  /** Asks again at the next use; called where a key is made or revoked. */
  forget(id: string): void {
    this.#known.delete(id);
    this.#unknown.delete(id);
  }

  /** Entries held, for tests of the bound. */
  get size(): { known: number; unknown: number } {
    return { known: this.#known.size, unknown: this.#unknown.size };
  }
}

function keep<Value>(map: Map<string, Value>, id: string, value: Value): void {
  map.set(id, value);
  if (map.size <= MAX_CACHED_KEYS) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}
