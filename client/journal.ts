// Keeps events in a store until they are settled. Events that come together are written together as one segment, and a
// segment is deleted when its last event is settled; nothing is ever rewritten. After a crash some events of a segment may
// have been delivered already: they are sent again under the same id, and counted once.
import { messageOf, newId, restoreEntry } from "./event.ts";
import type { Entry, Segment } from "./event.ts";
import type { KeyValueStore } from "./stores.ts";

const MAX_SEGMENT_EVENTS = 500;

/** What a journal needs from outside. */
export interface JournalTools {
  readonly store: KeyValueStore;
  /** Epoch ms. */
  now(): number;
  onFailure(message: string): void;
}

/** The events of a client in its store. A store that fails costs the safety, never the sending. */
export class Journal {
  readonly #tools: JournalTools;
  #unwritten: Entry[] = [];
  #isWriteDue = false;
  #lastKeyMs = 0;
  /** Every use of the store in turn, so that a segment is never deleted before it is written. */
  #last: Promise<void> = Promise.resolve();

  constructor(tools: JournalTools) {
    this.#tools = tools;
  }

  /**
   * Hands over what an earlier client left, oldest segment first. Call it before anything is added.
   * @param take gets one segment's entries; false when they found no room: they and all later ones stay for the next start
   */
  load(take: (entries: readonly Entry[]) => boolean): Promise<void> {
    return this.#then(async () => {
      for (const key of (await this.#tools.store.keys()).toSorted()) {
        const segment: Segment = { key, live: 0 };
        const lines = (await this.#tools.store.get(key))?.split("\n") ?? [];
        const entries = lines.flatMap((line) => restoreEntry(line, segment) ?? []);
        segment.live = entries.length;
        if (entries.length === 0) await this.#tools.store.delete(key);
        else if (!take(entries)) return;
      }
    });
  }

  /** Writes the entry soon: with all others of this turn of the event loop. */
  add(entry: Entry): void {
    this.#unwritten.push(entry);
    if (this.#isWriteDue) return;
    this.#isWriteDue = true;
    void this.#then(() => this.#write());
  }

  /** The entry is settled. */
  forget({ segment }: Entry): void {
    if (segment === null || --segment.live > 0) return;
    void this.#then(() => this.#tools.store.delete(segment.key));
  }

  /** Resolves when the store has taken everything said so far. */
  async idle(): Promise<void> {
    await this.#last;
  }

  async #write(): Promise<void> {
    this.#isWriteDue = false;
    const entries = this.#unwritten.filter(({ settled }) => !settled);
    this.#unwritten = [];
    for (let from = 0; from < entries.length; from += MAX_SEGMENT_EVENTS) {
      const part = entries.slice(from, from + MAX_SEGMENT_EVENTS).filter(({ settled }) => !settled);
      if (part.length === 0) continue;
      const segment: Segment = { key: this.#newKey(), live: part.length };
      for (const entry of part) entry.segment = segment;
      await this.#tools.store.set(segment.key, part.map(({ text }) => text).join("\n"));
    }
  }

  /** Sorts after all keys of this client so far, and clashes with none of another's. */
  #newKey(): string {
    this.#lastKeyMs = Math.max(this.#lastKeyMs + 1, this.#tools.now());
    return newId(this.#lastKeyMs);
  }

  #then(use: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(use).catch((error: unknown) => this.#tools.onFailure(messageOf(error)));
    return this.#last;
  }
}
