import { hash } from "node:crypto";
import { uuidv7 } from "../../core/events/uuid.ts";

/**
 * The id of the event made from a line: always the same for the same line, so that shipping a file again changes nothing.
 *
 * It has the shape of a UUIDv7 whose time is the line's own (the platform finds ids by that time) and whose other 74
 * bits are from the SHA-256 of source, line and occurrence.
 * @param occurrence  how many lines of the same text came before it in the file: 0 for the first
 * @param timestamp   epoch ms, or null when the line has none; the id is then 32 hexadecimal digits of the hash
 */
export function lineEventId(source: string, line: string, occurrence: number, timestamp: number | null): string {
  // JSON keeps the parts apart: without it ("a", 1) and ("a1", …) could meet.
  const digest = hash("sha256", `${JSON.stringify([source, occurrence])}\n${line}`, "buffer");
  return timestamp === null || timestamp < 0 ? digest.toString("hex", 0, 16) : uuidv7(timestamp, digest);
}

/** Distinct lines that one file may have; at 12 bytes a slot the table then takes 1.6 GB. */
const MAX_DISTINCT_LINES = 2 ** 26;

/**
 * Counts how often each line has been seen, in 12 bytes a slot instead of keeping the text.
 *
 * Lines are told apart by 64 bits of SHA-256. Should two share them (one chance in 10^7 for a file of a million lines),
 * the later one merely gets another occurrence number, the same one each time.
 */
export class OccurrenceCounter {
  #capacity: number;
  #keys: Uint32Array;
  #counts: Uint32Array;
  #used = 0;

  /** @param capacity slots to begin with, a power of two */
  constructor(capacity = 2 ** 14) {
    this.#capacity = capacity;
    this.#keys = new Uint32Array(2 * capacity);
    this.#counts = new Uint32Array(capacity);
  }

  /** How often the line was counted before this call. @throws RangeError past 67 million distinct lines */
  count(line: string): number {
    const digest = hash("sha256", line, "buffer");
    if (this.#used * 2 >= this.#capacity) this.#grow();
    const slot = this.#find(digest.readUInt32LE(0), digest.readUInt32LE(4));
    const before = this.#counts[slot] ?? 0;
    if (before === 0) this.#used++;
    this.#counts[slot] = before + 1;
    return before;
  }

  /** The slot of a key, written there if it was free. Linear probing; at most half of the slots are in use. */
  #find(low: number, high: number): number {
    let slot = low & (this.#capacity - 1);
    while (this.#counts[slot] !== 0 && (this.#keys[2 * slot] !== low || this.#keys[2 * slot + 1] !== high)) {
      slot = (slot + 1) & (this.#capacity - 1);
    }
    this.#keys[2 * slot] = low;
    this.#keys[2 * slot + 1] = high;
    return slot;
  }

  #grow(): void {
    if (this.#used >= MAX_DISTINCT_LINES)
      throw new RangeError(`a file may have at most ${MAX_DISTINCT_LINES} distinct lines`);
    const keys = this.#keys;
    const counts = this.#counts;
    this.#capacity *= 2;
    this.#keys = new Uint32Array(2 * this.#capacity);
    this.#counts = new Uint32Array(this.#capacity);
    for (const [slot, count] of counts.entries()) {
      if (count > 0) this.#counts[this.#find(keys[2 * slot] ?? 0, keys[2 * slot + 1] ?? 0)] = count;
    }
  }
}
