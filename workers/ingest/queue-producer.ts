import { Buffer } from "node:buffer";
import type { StreamEvent } from "../../core/events/event.ts";
import { ColumnarBuilder } from "../../core/events/event-batch.ts";
import {
  type EventMessage,
  MAX_MESSAGE_BYTES,
  MAX_MESSAGE_TEXT_BYTES,
  MESSAGE_OVERHEAD_BYTES,
  TARGET_MESSAGE_BYTES,
} from "../../core/events/message.ts";
import { packChunk } from "../../storage/chunk.ts";

/** What `sendBatch` takes: messages, and bytes in all (256 KB, less a margin for framing). */
const MAX_BATCH_MESSAGES = 100;
const MAX_BATCH_BYTES = 250_000;
/** Packed bytes per byte of JSON to start from; measured 0.10 for access logs. Too low costs one packing done twice. */
const EXPECTED_RATIO = 0.2;
/** How much of the target the next message aims at, so that rows that pack worse than the last still fit. */
const FILL = 0.9;
/** No event packs smaller, whatever the ratio says, bytes. */
const MIN_BYTES_PER_EVENT = 16;

/** What is used of the queue's binding. */
export interface EventQueue {
  send(message: EventMessage, options: { readonly contentType: "v8" }): Promise<unknown>;
  sendBatch(messages: Iterable<{ readonly body: EventMessage; readonly contentType: "v8" }>): Promise<unknown>;
}

/** Rows [from, to) of the events given. */
export interface EventRange {
  readonly from: number;
  readonly to: number;
}

/** A message, and which events of the batch are in it. */
export interface PackedMessage extends EventRange {
  readonly message: EventMessage;
}

/** Where events go and how their messages are marked. */
export interface Destination {
  readonly tenant: string;
  /** Epoch ms. */
  readonly acceptedAt: number;
  /** A new UUID on each call. */
  readonly newBatchId: () => string;
}

/**
 * Packs events into messages of up to TARGET_MESSAGE_BYTES, in order. A single event that packs larger goes alone, and
 * can: events are limited to far less than MAX_MESSAGE_BYTES.
 * @param jsonBytes about how many bytes the events had as JSON
 */
export function packMessages(events: readonly StreamEvent[], jsonBytes: number, to: Destination): PackedMessage[] {
  const packed: PackedMessage[] = [];
  const perEvent = Math.max(MIN_BYTES_PER_EVENT, (jsonBytes / Math.max(1, events.length)) * EXPECTED_RATIO);
  let rows = Math.ceil(TARGET_MESSAGE_BYTES / perEvent);
  for (let from = 0; from < events.length;) {
    const body = packRows(events, from, Math.min(events.length, from + rows));
    packed.push({ message: messageOf(body, to), from, to: from + body.rows });
    from += body.rows;
    rows = Math.max(1, Math.floor((body.rows * FILL * TARGET_MESSAGE_BYTES) / bytesOf(body.chunk)));
  }
  return packed;
}

interface PackedRows {
  readonly chunk: Uint8Array;
  readonly rows: number;
}

/** The rows from `from` on that fit, halving until they do. */
function packRows(events: readonly StreamEvent[], from: number, to: number): PackedRows {
  let rows = to - from;
  for (;;) {
    const text = columnarText(events, from, from + rows);
    const chunk = Buffer.byteLength(text) <= MAX_MESSAGE_TEXT_BYTES ? packChunk(text) : undefined;
    if (chunk !== undefined && bytesOf(chunk) <= (rows > 1 ? TARGET_MESSAGE_BYTES : MAX_MESSAGE_BYTES))
      return { chunk, rows };
    if (rows === 1) throw new RangeError("one event does not fit a message");
    rows = Math.ceil(rows / 2);
  }
}

function columnarText(events: readonly StreamEvent[], from: number, to: number): string {
  const builder = new ColumnarBuilder();
  for (let row = from; row < to; row++) {
    const event = events[row];
    if (event !== undefined) builder.add(event);
  }
  return builder.toText();
}

function messageOf({ chunk, rows }: PackedRows, { tenant, acceptedAt, newBatchId }: Destination): EventMessage {
  return { v: 1, tenant, batch: newBatchId(), n: rows, acceptedAt, body: chunk };
}

/** A message's bytes as the queue counts them, an upper bound. */
function bytesOf(chunk: Uint8Array): number {
  return chunk.length + MESSAGE_OVERHEAD_BYTES;
}

/**
 * Sends messages in as few calls as the limits allow, all at once. Nothing is retried here: the producer is told and
 * retries with the same ids.
 * @param onError told of each call that failed
 * @returns the rows that the queue did not take
 */
export async function sendMessages(
  queue: EventQueue,
  packed: readonly PackedMessage[],
  onError: (error: unknown) => void,
): Promise<EventRange[]> {
  const refused = await Promise.all(
    groupForSending(packed).map(async (group) => {
      try {
        await sendGroup(queue, group);
        return [];
      } catch (error) {
        onError(error);
        return group;
      }
    }),
  );
  return refused.flat();
}

/** One message goes as bytes; `sendBatch` would wrap it in base64 and JSON. */
async function sendGroup(queue: EventQueue, group: readonly PackedMessage[]): Promise<unknown> {
  const [first] = group;
  if (group.length === 1 && first !== undefined) return await queue.send(first.message, { contentType: "v8" });
  return await queue.sendBatch(group.map(({ message }) => ({ body: message, contentType: "v8" })));
}

/** Neighbours together, each group within what one `sendBatch` takes. */
export function groupForSending(packed: readonly PackedMessage[]): PackedMessage[][] {
  const groups: PackedMessage[][] = [];
  let group: PackedMessage[] = [];
  let bytes = 0;
  for (const one of packed) {
    const size = bytesOf(one.message.body);
    if (group.length > 0 && (group.length === MAX_BATCH_MESSAGES || bytes + size > MAX_BATCH_BYTES)) {
      groups.push(group);
      group = [];
      bytes = 0;
    }
    group.push(one);
    bytes += size;
  }
  if (group.length > 0) groups.push(group);
  return groups;
}
