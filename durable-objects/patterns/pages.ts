import { hashValue } from "../../core/aggregates/hash.ts";
import type { KeeperMachine } from "../../core/patterns/keeper-machine.ts";
import type { KeyState } from "../../core/patterns/key-buffer.ts";
import { packChunk, unpackChunk } from "../../storage/chunk.ts";
import type { KeeperTables } from "./tables.ts";

/** Keys are kept in so many pages; only those that changed are written again. */
const PAGES = 64;
/** JSON text of one row, UTF-16 units, unless one key alone has more; packed it is far below the 2 MB a row may hold. */
const MAX_PART_LENGTH = 1_000_000;

type StoredKey = readonly [patternId: number, key: string, state: KeyState];

/** The page of a key. */
export function pageOf(patternId: number, key: string): number {
  const words = new Uint32Array(2);
  hashValue(`${patternId} ${key}`, words, 0);
  // The other word than the one that chose the keeper: that one is alike in all keys here.
  return (words[1] ?? 0) % PAGES;
}

/** Writes the pages of `touched`. */
export function writePages(tables: KeeperTables, machine: KeeperMachine, touched: ReadonlySet<number>): void {
  if (touched.size === 0) return;
  const texts = new Map<number, string[]>(Array.from(touched, (page) => [page, []]));
  for (const [id, { keys }] of machine.patterns) {
    for (const [key, buffer] of keys) {
      const stored: StoredKey = [id, key, buffer.toJSON()];
      const page = pageOf(id, key);
      if (touched.has(page)) texts.get(page)?.push(JSON.stringify(stored));
    }
  }
  for (const [page, list] of texts) tables.writePage(page, partsOf(list));
}

/** Puts every stored key back. */
export function readPages(tables: KeeperTables, machine: KeeperMachine): void {
  for (const body of tables.pages()) {
    const list = JSON.parse(unpackChunk(body)) as readonly StoredKey[];
    for (const [id, key, state] of list) machine.restore(id, key, state);
  }
}

function partsOf(texts: readonly string[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let part: string[] = [];
  let length = 0;
  const finish = (): void => {
    if (part.length > 0) parts.push(packChunk(`[${part.join(",")}]`));
    part = [];
    length = 0;
  };
  for (const text of texts) {
    if (length + text.length > MAX_PART_LENGTH) finish();
    part.push(text);
    length += text.length;
  }
  finish();
  return parts;
}
