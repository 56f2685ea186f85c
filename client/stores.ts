/** Where events wait across a reload or restart: keys and values are text. A client uses every key of its store. */
export interface KeyValueStore {
  /** In any order. */
  keys(): Promise<readonly string[]>;
  get(key: string): Promise<string | null>;
  /** All or nothing: a value half written must not be there after a crash. */
  set(key: string, value: string): Promise<void>;
  delete(key: string): Promise<void>;
}

/**
 * A store in the browser's localStorage, under keys that begin with `prefix`.
 * Clients of different platforms on one site need different prefixes.
 */
export function localStorageStore(prefix = "streamflow:", storage: Storage = localStorage): KeyValueStore {
  return {
    keys: async () =>
      Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? "")
        .filter((key) => key.startsWith(prefix))
        .map((key) => key.slice(prefix.length)),
    get: async (key) => storage.getItem(prefix + key),
    set: async (key, value) => storage.setItem(prefix + key, value),
    delete: async (key) => storage.removeItem(prefix + key),
  };
}
