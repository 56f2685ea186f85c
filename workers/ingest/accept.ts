import type { StreamEvent } from "../../core/events/event.ts";
import { type Rejection, reject } from "../../core/events/rejection.ts";
import { validateEvent } from "../../core/events/validate.ts";
import { OLD_AFTER_MS } from "../../core/flow/old-events.ts";
import type { EventIds } from "./event-ids.ts";
import type { IndexedRejection, ParsedEvents } from "./parse.ts";
import { ApiError } from "../http.ts";
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
  /**
   * Asked when every event is of long ago, again for those that are left.
   * @param isBegun whether others of the request have been taken
   * @returns how many of them may come now; @throws ApiError when they must come later
   */
  readonly admitOld: (events: number, isBegun: boolean) => Promise<number>;
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
  const refused = isOld(events, to.receivedAt) ? await sendOld(events, to) : await sendEvents(events, to);
  const receipt = { accepted: events, acceptedIndexes: indexes, rejected: [...parsed.unparsed, ...rejected] };
  const complete = refused.length === 0 ? receipt : withoutRefused(receipt, refused);
  return { ...complete, rejected: complete.rejected.toSorted((a, b) => a.index - b.index) };
}

/** @returns the rows that the queue did not take */
async function sendEvents(events: readonly StreamEvent[], to: Acceptance): Promise<EventRange[]> {
  const packed = packMessages(events, to.bytes, {
    tenant: to.tenant,
    // What waited at the door has not waited in the queue, and must not look as if it had.
    acceptedAt: to.now(),
    newBatchId: to.newBatchId,
  });
  return await sendMessages(to.queue, packed, to.onQueueError);
}

/** As the door lets them in. @returns the rows that were not let in or the queue did not take @throws ApiError when none were let in */
async function sendOld(events: readonly StreamEvent[], to: Acceptance): Promise<EventRange[]> {
  const refused: EventRange[] = [];
  for (let from = 0; from < events.length;) {
    const taken = await admitted(events.length - from, from > 0, to);
    if (taken === 0) return [...refused, { from, to: events.length }];
    const portion = events.slice(from, from + taken);
    for (const range of await sendEvents(portion, { ...to, bytes: (to.bytes * taken) / events.length }))
      refused.push({ from: from + range.from, to: from + range.to });
    from += taken;
  }
  return refused;
}

/** @returns 0 when those that are left must come later */
async function admitted(events: number, isBegun: boolean, { admitOld }: Acceptance): Promise<number> {
  try {
    return await admitOld(events, isBegun);
  } catch (error) {
    if (isBegun && error instanceof ApiError) return 0;
    throw error;
  }
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
