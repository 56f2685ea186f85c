import type { ReadLog } from "../../core/windows/delta-outbox.ts";
import { packBytes, unpackBytes } from "../../storage/chunk.ts";
import { allRows, readJoined } from "./messages.ts";
import type { LogEntry } from "./tables.ts";

/** Inflated, no delta is larger: one that holds a single event may be over the 8 MB at which others are cut. */
const MAX_INFLATED_DELTA_BYTES = 64_000_000;

/** A delta as it travels and is logged: a third to a half of its bytes. */
export const packDelta = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => packBytes(bytes);

/** @throws CorruptChunkError */
export const unpackDelta = (packed: Uint8Array): Uint8Array => unpackBytes(packed, MAX_INFLATED_DELTA_BYTES);

/** Puts together what was logged in several rows, at home. */
export class DeltaRows {
  #parts: Uint8Array[] = [];

  /** @returns the whole delta, packed, at its last row */
  add({ kind, body }: LogEntry): Uint8Array | undefined {
    this.#parts.push(body);
    if (kind === "delta_part") return undefined;
    const parts = this.#parts;
    this.#parts = [];
    return joined(parts);
  }
}

/**
 * Rows of log entries, without those before `fromSeq`: what a shard's delta is counted from.
 * @param endSeq sequence number after the log's last event
 * @throws Error when the log does not reach back so far, or ends before
 */
export function* rowsFrom(entries: Iterable<LogEntry>, fromSeq: number, endSeq: number): ReturnType<ReadLog> {
  let next = fromSeq;
  for (const { seq, body } of entries) {
    let first = seq;
    for (const batch of readJoined(body)) {
      if (first > next) throw new Error(`the log begins at ${first}, and home has merged through ${next}`);
      if (first + batch.length > next) yield { batch, rows: allRows(batch).subarray(next - first) };
      first += batch.length;
      next = Math.max(next, first);
    }
  }
  if (next < endSeq) throw new Error(`the log ends at ${next}, not at ${endSeq}`);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
