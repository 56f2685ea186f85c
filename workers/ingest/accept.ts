import type { StreamEvent } from "../../core/events/event.ts";
import { type Rejection, reject } from "../../core/events/rejection.ts";
import { validateEvent } from "../../core/events/validate.ts";
import { OLD_AFTER_MS } from "../../core/flow/old-events.ts";
import type { EventIds } from "./event-ids.ts";
import type { IndexedRejection, ParsedEvents } from "./parse.ts";
import { type EventQueue, type EventRange, packMessages, sendMessages } from "./queue-producer.ts";

/** How long a producer waits when the queue took nothing, s. */
export const QUEUE_RETRY_AFTER_SECONDS = 2;

/** What accepting needs from the door. */
export interface Acceptance {
  readonly tenant: string;
  readonly queue: EventQueue;
  /** Epoch ms. */
  readonly receivedAt: number;
  /** Epoch ms, later perhaps: old events may have waited. */
  readonly now: () => number;
  readonly ids: EventIds;
  /** A new UUID on each call. */
  readonly newBatchId: () => string;
  /** About how many bytes of JSON the events came as. */
  readonly bytes: number;
  /** Asked when every event is of long ago. @throws ApiError when they must come later */
  readonly admitOld: (events: number) => Promise<void>;
  /** Told of each queue call that failed. */
  readonly onQueueError: (error: unknown) => void;
}

/** What became of each event of one request. */
export interface Receipt {
  /** Events that the queue holds, in the order they came. */
  readonly accepted: readonly StreamEvent[];
  /** Where `accepted[k]` stood in the request. */
  readonly acceptedIndexes: readonly number[];
  /** In the order they came. */
  readonly rejected: readonly IndexedRejection[];
}

/** Validates every event, puts the good ones on the queue and says what became of each. The only way in for events. @throws ApiError when they are old and must come later */
export async function acceptEvents(parsed: ParsedEvents, to: Acceptance): Promise<Receipt> {
  const { events, indexes, rejected } = validateAll(parsed, to);
  if (isOld(events, to.receivedAt)) await to.admitOld(events.length);
  const packed = packMessages(events, to.bytes, {
    tenant: to.tenant,
    // What waited at the door has not waited in the queue, and must not look as if it had.
    acceptedAt: to.now(),
    newBatchId: to.newBatchId,
  });
  const refused = await sendMessages(to.queue, packed, to.onQueueError);
  const receipt = { accepted: events, acceptedIndexes: indexes, rejected: [...parsed.unparsed, ...rejected] };
  const complete = refused.length === 0 ? receipt : withoutRefused(receipt, refused);
  return { ...complete, rejected: complete.rejected.toSorted((a, b) => a.index - b.index) };
}

function isOld(events: readonly StreamEvent[], receivedAt: number): boolean {
  return events.length > 0 && events.every(({ timestamp }) => timestamp < receivedAt - OLD_AFTER_MS);
}

interface Validated {
  readonly events: StreamEvent[];
  readonly indexes: number[];
  readonly rejected: IndexedRejection[];
}

function validateAll({ values, indexes }: ParsedEvents, { receivedAt, ids }: Acceptance): Validated {
  const validated: Validated = { events: [], indexes: [], rejected: [] };
  // One object for all events: this is the hot loop.
  const at = { index: 0, receivedAt, newId: ids.newId, isNewIdRepeatable: ids.isRepeatable };
  for (const [position, value] of values.entries()) {
    at.index = indexes?.[position] ?? position;
    const result = validateEvent(value, at);
    if (result.ok) {
      validated.events.push(result.event);
      validated.indexes.push(at.index);
    } else {
      validated.rejected.push({ ...result, index: at.index });
    }
  }
  return validated;
}

function withoutRefused(receipt: Receipt, refused: readonly EventRange[]): Receipt {
  const isRefused = (row: number): boolean => refused.some(({ from, to }) => row >= from && row < to);
  const unavailable = receipt.accepted.flatMap((event, row) =>
    isRefused(row) ? [unqueued(event.id, receipt.acceptedIndexes[row] ?? row)] : [],
  );
  return {
    accepted: receipt.accepted.filter((_, row) => !isRefused(row)),
    acceptedIndexes: receipt.acceptedIndexes.filter((_, row) => !isRefused(row)),
    rejected: [...receipt.rejected, ...unavailable],
  };
}

function unqueued(id: string, index: number): IndexedRejection {
  const rejection: Rejection = reject("unavailable", "", "the queue did not take this event; send it again");
  return { ...rejection, id, index };
}

/** True when nothing was accepted and the queue, not the events, is to blame for at least one. */
export function isOutage({ accepted, rejected }: Receipt): boolean {
  return accepted.length === 0 && rejected.some(({ reason }) => reason === "unavailable");
}
