import { describe, expect, test } from "vitest";
import type { KeyRecord } from "../../storage/d1/keys.ts";
import {
  KEY_CACHE_MS,
  KeyCache,
  MAX_CACHED_KEYS,
  STALE_CACHE_MS,
  UNKNOWN_CACHE_MS,
} from "../../workers/auth/key-cache.ts";

function record(id: string, revokedAt: number | null = null): KeyRecord {
  return {
    id,
    tenant: "t",
    name: "n",
    role: "viewer",
    hash: "",
    created_at: 0,
    last_used_at: null,
    revoked_at: revokedAt,
  };
}

/** A database that counts how often it is read and can be away. */
function table(): {
  rows: Map<string, KeyRecord>;
  reads: number;
  isAway: boolean;
  read: (id: string) => Promise<KeyRecord | null>;
} {
  const self = {
    rows: new Map<string, KeyRecord>(),
    reads: 0,
    isAway: false,
    read: async (id: string): Promise<KeyRecord | null> => {
      self.reads += 1;
      if (self.isAway) throw new Error("away");
      return self.rows.get(id) ?? null;
    },
  };
  return self;
}

describe("what an isolate remembers of keys", () => {
  test("a revocation made elsewhere is seen within the cache time, which is at most 30 s", async () => {
    const [cache, store] = [new KeyCache(), table()];
    store.rows.set("a", record("a"));
    expect((await cache.find("a", store.read, 0))?.revoked_at).toBeNull();
    store.rows.set("a", record("a", 5));
    expect((await cache.find("a", store.read, KEY_CACHE_MS - 1))?.revoked_at).toBeNull();
    expect((await cache.find("a", store.read, KEY_CACHE_MS))?.revoked_at).toBe(5);
    expect(KEY_CACHE_MS).toBeLessThanOrEqual(30_000);
  });

  test("an unknown id is read once in its cache time, then again", async () => {
    const [cache, store] = [new KeyCache(), table()];
    for (let at = 0; at < 5; at++) expect(await cache.find("a", store.read, at)).toBeNull();
    expect(store.reads).toBe(1);
    store.rows.set("a", record("a"));
    expect(await cache.find("a", store.read, UNKNOWN_CACHE_MS)).not.toBeNull();
    expect(store.reads).toBe(2);
  });

  test("a flood of unknown ids stays within the bound and pushes out no real key", async () => {
    const [cache, store] = [new KeyCache(), table()];
    store.rows.set("real", record("real"));
    await cache.find("real", store.read, 0);
    for (let guess = 0; guess < MAX_CACHED_KEYS + 100; guess++) await cache.find(`guess-${guess}`, store.read, 0);
    expect(cache.size).toEqual({ known: 1, unknown: MAX_CACHED_KEYS });
    const readsBefore = store.reads;
    await cache.find("real", store.read, 1);
    expect(store.reads).toBe(readsBefore);
  });

  test("while the database is away a key it lately confirmed stays good, for a bounded time, and others fail", async () => {
    const [cache, store] = [new KeyCache(), table()];
    store.rows.set("a", record("a"));
    await cache.find("a", store.read, 0);
    store.isAway = true;
    expect(await cache.find("a", store.read, STALE_CACHE_MS - 1)).not.toBeNull();
    await expect(cache.find("a", store.read, STALE_CACHE_MS)).rejects.toThrow("away");
    await expect(cache.find("b", store.read, 0)).rejects.toThrow("away");
  });

  test("forgetting a key asks for it anew", async () => {
    const [cache, store] = [new KeyCache(), table()];
    store.rows.set("a", record("a"));
    await cache.find("a", store.read, 0);
    cache.forget("a");
    await cache.find("a", store.read, 1);
    expect(store.reads).toBe(2);
  });

  test("a noted use is not forgotten until the row is read again", async () => {
    const [cache, store] = [new KeyCache(), table()];
    store.rows.set("a", record("a"));
    await cache.find("a", store.read, 0);
    cache.noteUsed("a", 7);
    expect((await cache.find("a", store.read, 8))?.last_used_at).toBe(7);
  });
});
