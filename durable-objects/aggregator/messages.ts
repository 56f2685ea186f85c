import { CorruptBatchError, EventBatch } from "../../core/events/event-batch.ts";
import { CorruptChunkError, InflateBudget, splitChunks, unpackChunk } from "../../storage/chunk.ts";

export interface IncomingMessage {
  /** Queue message id, echoed in the outcome. */
  readonly id: string;
  /** A packed chunk. */
  readonly body: Uint8Array;
  /** Events of the whole message, as its envelope says. */
  readonly events?: number;
  /** Epoch ms when ingest accepted it. */
  readonly acceptedAt?: number;
}

export interface ApplyOptions {
  /** Decode every row first, so that a bad message fails before anything has changed. */
  readonly careful?: boolean;
  /** How often the caller found this object overloaded since it last could tell. */
  readonly overloads?: number;
}

export interface ApplyOutcome {
  readonly fresh: number;
  readonly duplicates: number;
  /** Events put into the late inbox. */
  readonly late: number;
  /** Ids of messages that cannot be read and never will be; the others were applied. */
  readonly unreadable: readonly string[];
  /** Ids of messages with events of slots that this object does not own; nothing of them was applied. */
  readonly refused: readonly string[];
}

/** Opens messages, one at a time: inflated text is several times a message's size, and decoded columns again. */
export class MessageReader {
  readonly #budget = new InflateBudget();

  /** Most inflated bytes held at once so far. */
  get peakBytes(): number {
    return this.#budget.peak;
  }

  /** The events of a message, or undefined when it cannot be read. */
  read(body: Uint8Array): EventBatch | undefined {
    try {
      const text = unpackChunk(body, this.#budget);
      try {
        return EventBatch.fromText(text);
      } finally {
        this.#budget.release(body);
      }
    } catch (error) {
      if (error instanceof CorruptChunkError || error instanceof CorruptBatchError) return undefined;
      throw error;
    }
  }

  /** Builds every event once, so that a column that does not fit fails here. @throws what is wrong with it */
  check(body: Uint8Array): void {
    const batch = this.read(body);
    for (let row = 0; row < (batch?.length ?? 0); row++) batch?.event(row);
  }
}

/** The batches of a joined body, as the log and the late inbox hold them. @throws CorruptChunkError, CorruptBatchError */
export function readJoined(body: Uint8Array): EventBatch[] {
  return splitChunks(body).map(readChunk);
}

/** @throws CorruptChunkError, CorruptBatchError */
export function readChunk(chunk: Uint8Array): EventBatch {
  return EventBatch.fromText(unpackChunk(chunk));
}

export function allRows(batch: EventBatch): Uint32Array {
  return Uint32Array.from({ length: batch.length }, (_, row) => row);
}
