import type { Entry } from "./event.ts";

/** Entries in order, with their bytes: taken from the front, returned to the front. */
export class EntryQueue {
  #entries: Entry[] = [];
  /** Entries before this one are gone: shifting an array of thousands for each batch would cost more than sending it. */
  #start = 0;
  #bytes = 0;

  get length(): number {
    return this.#entries.length - this.#start;
  }

  /** Bytes of the entries' texts. */
  get bytes(): number {
    return this.#bytes;
  }

  get first(): Entry | undefined {
    return this.#entries[this.#start];
  }

  push(entry: Entry): void {
    this.#entries.push(entry);
    this.#bytes += entry.bytes;
  }

  shift(): Entry | undefined {
    return this.take(1, 0)[0];
  }

  /** Puts entries before all others, in their order. */
  unshift(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    this.#entries = [...entries, ...this.#entries.slice(this.#start)];
    this.#start = 0;
    for (const { bytes } of entries) this.#bytes += bytes;
  }

  /** Removes entries from the front: at most `maxEvents` and `maxBytes`, but at least one if there is one. */
  take(maxEvents: number, maxBytes: number): Entry[] {
    const taken = this.peek(maxEvents, maxBytes);
    this.#start += taken.length;
    for (const { bytes } of taken) this.#bytes -= bytes;
    if (this.#start > this.length) {
      this.#entries = this.#entries.slice(this.#start);
      this.#start = 0;
    }
    return taken;
  }

  /** Like `take`, without removing. */
  peek(maxEvents: number, maxBytes: number): Entry[] {
    let bytes = 0;
    let end = this.#start;
    for (; end - this.#start < maxEvents; end++) {
      const next = this.#entries[end];
      if (next === undefined) break;
      bytes += next.bytes;
      if (bytes > maxBytes && end > this.#start) break;
    }
    return this.#entries.slice(this.#start, end);
  }

  /** Removes what has been settled meanwhile. */
  prune(): void {
    this.#entries = this.#entries.slice(this.#start).filter(({ settled }) => !settled);
    this.#start = 0;
    this.#bytes = this.#entries.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}
