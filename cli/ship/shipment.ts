// Shipping: lines become events, events become batches, batches are delivered in file order.
import type { Receipt } from "../delivery.ts";
import type { Line } from "./lines.ts";
import type { LineToEvent } from "./line-event.ts";

/** What a shipment came to. `read` = accepted + rejected + unparsed, once it is through. */
export interface ShipmentTotals {
  /** Lines that were not blank. */
  read: number;
  accepted: number;
  rejected: number;
  /** Numbers of the lines that do not parse, from 1, ascending. */
  unparsed: number[];
}

/** What a shipment needs from outside. */
export interface ShipmentTools {
  readonly toEvent: LineToEvent;
  /** Delivers a batch for good. A throw ends the shipment. */
  deliver(events: readonly string[]): Promise<Receipt>;
  /** Told of each event that the platform refused. */
  onRejected(line: number, reason: string, message: string): void;
  /** Told after each delivered batch. */
  onProgress(totals: ShipmentTotals): void;
}

/** How much travels at a time. */
export interface ShipmentLimits {
  /** Events in a batch. */
  readonly batch: number;
  /** Batches in flight. With 1, a batch leaves only when the one before it was delivered. */
  readonly concurrency: number;
}

/** A batch is closed at this size, far from the platform's 10 MB, so that a retry is cheap. */
const MAX_BATCH_BYTES = 4_000_000;

interface Batch {
  readonly lines: readonly number[];
  readonly events: readonly string[];
}

/**
 * Ships all lines; memory is bounded by `concurrency` batches, whatever the file's size.
 *
 * @param totals  counted up as it goes, so that it holds what was done even when this throws
 */
export async function shipLines(
  lines: AsyncIterable<readonly Line[]>,
  limits: ShipmentLimits,
  totals: ShipmentTotals,
  tools: ShipmentTools,
): Promise<void> {
  const inFlight = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  const send = async (batch: Batch): Promise<void> => {
    const receipt = await tools.deliver(batch.events);
    totals.accepted += receipt.accepted;
    totals.rejected += receipt.rejections.length;
    for (const { index, reason, message } of receipt.rejections)
      tools.onRejected(batch.lines[index] ?? 0, reason, message);
    tools.onProgress(totals);
  };
  const fail = (error: unknown): void => {
    failure ??= { error };
  };
  try {
    for await (const batch of batches(lines, limits.batch, totals, tools.toEvent)) {
      const sending = send(batch)
        .catch(fail)
        .finally(() => inFlight.delete(sending));
      inFlight.add(sending);
      if (inFlight.size >= limits.concurrency) await Promise.race(inFlight);
      if (failure !== undefined) break;
    }
  } catch (error) {
    fail(error);
  }
  await Promise.all(inFlight);
  if (failure !== undefined) throw failure.error;
}

/** Where the lines break off, as in a damaged file, what was read before still goes. */
async function* batches(
  lines: AsyncIterable<readonly Line[]>,
  limit: number,
  totals: ShipmentTotals,
  toEvent: LineToEvent,
): AsyncGenerator<Batch> {
  const open = new OpenBatch(limit);
  let broken: { readonly error: unknown } | undefined;
  try {
    for await (const some of lines) {
      for (const { number, text } of some) {
        totals.read++;
        const event = text === null ? null : toEvent(text);
        if (event === null) {
          totals.unparsed.push(number);
          continue;
        }
        const full = open.add(number, event);
        if (full !== null) yield full;
      }
    }
  } catch (error) {
    broken = { error };
  }
  const last = open.take();
  if (last !== null) yield last;
  if (broken !== undefined) throw broken.error;
}

/** The batch that is being filled. */
class OpenBatch {
  readonly #limit: number;
  #lines: number[] = [];
  #events: string[] = [];
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Adds an event. @returns the batch before it, when there was no room in it for one more */
  add(line: number, event: string): Batch | null {
    const bytes = Buffer.byteLength(event) + 1;
    const isFull = this.#events.length >= this.#limit || this.#bytes + bytes > MAX_BATCH_BYTES;
    const full = isFull ? this.take() : null;
    this.#lines.push(line);
    this.#events.push(event);
    this.#bytes += bytes;
    return full;
  }

  /** Begins anew. @returns what it held; null when that is nothing */
  take(): Batch | null {
    const batch = { lines: this.#lines, events: this.#events };
    [this.#lines, this.#events, this.#bytes] = [[], [], 0];
    return batch.events.length === 0 ? null : batch;
  }
}
