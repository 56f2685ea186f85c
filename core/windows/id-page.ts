import { FINGERPRINT_WORDS } from "./fingerprint.ts";
import type { IdGroup } from "./id-memory.ts";
import type { Deduplicator } from "./deduplicator.ts";

/** Words per id in a page: fingerprint, owner, bucket. */
const WORDS = FINGERPRINT_WORDS + 2;
/** Ids per page: 1 MB, half of what a row may hold. */
const PAGE_IDS = 50_000;
const FIRST_WORDS = 5120;

/** Ids remembered since the last checkpoint, to be stored with the next one. */
export class IdJournal {
  #words = new Uint32Array(FIRST_WORDS);
  #ids = 0;

  get size(): number {
    return this.#ids;
  }

  add(fingerprints: Uint32Array, at: number, group: IdGroup): void {
    if ((this.#ids + 1) * WORDS > this.#words.length) {
      const grown = new Uint32Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    const to = this.#ids * WORDS;
    for (let k = 0; k < FINGERPRINT_WORDS; k++) this.#words[to + k] = fingerprints[at + k] ?? 0;
    this.#words[to + FINGERPRINT_WORDS] = group.source;
    this.#words[to + FINGERPRINT_WORDS + 1] = group.bucket;
    this.#ids++;
  }

  /** All ids since the last call, as pages. */
  takePages(): Uint8Array[] {
    const pages: Uint8Array[] = [];
    for (let from = 0; from < this.#ids; from += PAGE_IDS) {
      const words = this.#words.slice(from * WORDS, Math.min(this.#ids, from + PAGE_IDS) * WORDS);
      pages.push(new Uint8Array(words.buffer));
    }
    this.#ids = 0;
    this.#words = new Uint32Array(FIRST_WORDS);
    return pages;
  }
}

/** Every id within the horizon, as fresh pages that can take the place of all earlier ones. */
export function allPages(deduplicator: Deduplicator): Uint8Array[] {
  const journal = new IdJournal();
  deduplicator.memory.forEach((slots, at, group) => {
    if (deduplicator.isWithinHorizon(group)) journal.add(slots, at, group);
  });
  return journal.takePages();
}

/** Ids that a checkpoint must be able to bring back. */
export function idsWithinHorizon(deduplicator: Deduplicator): number {
  let ids = 0;
  for (const group of deduplicator.memory.groups()) if (deduplicator.isWithinHorizon(group)) ids += group.ids;
  return ids;
}

/** Puts a page's ids back, except those past the horizon. @throws RangeError when the page is cut off */
export function restorePage(body: Uint8Array, deduplicator: Deduplicator): void {
  const words = new Uint32Array(body.slice().buffer);
  if (words.length % WORDS !== 0) throw new RangeError(`id page of ${body.length} bytes`);
  for (let at = 0; at < words.length; at += WORDS) {
    deduplicator.restore(words, at, words[at + FINGERPRINT_WORDS] ?? 0, words[at + FINGERPRINT_WORDS + 1] ?? 0);
  }
}
