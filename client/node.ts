// What only Node has; apart, so that nothing of it ends up in a page.
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { KeyValueStore } from "./stores.ts";

const SUFFIX = ".ndjson";

/**
 * A store in a directory, one file a key. Survives the end of the process; a power cut may take the last second's files,
 * because nothing is forced to disk. One process at a time may use a directory.
 */
export function fileStore(directory: string): KeyValueStore {
  const path = (key: string): string => join(directory, encodeURIComponent(key) + SUFFIX);
  return {
    async keys() {
      await mkdir(directory, { recursive: true });
      const names = await readdir(directory);
      return names
        .filter((name) => name.endsWith(SUFFIX))
        .map((name) => decodeURIComponent(name.slice(0, -SUFFIX.length)));
    },
    get: (key) => readFile(path(key), "utf8").catch(absent),
    async set(key, value) {
      const unfinished = `${path(key)}.part`;
      await writeFile(unfinished, value);
      await rename(unfinished, path(key));
    },
    delete: (key) => rm(path(key), { force: true }),
  };
}

function absent(error: unknown): null {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
  throw error;
}
