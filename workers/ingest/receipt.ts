import { ApiError, type AppContext, ok } from "../http.ts";
import { QUEUE_RETRY_AFTER_SECONDS, type Receipt, isOutage } from "./accept.ts";
import type { IndexedRejection } from "./parse.ts";

/** One entry of `results`. */
interface ResultJson {
  readonly index: number;
  readonly id?: string;
  readonly result: "accepted" | "rejected";
  readonly reason?: string;
  readonly field?: string;
  readonly message?: string;
}

/** A rejected event as producers see it. */
export function rejectedJson({ index, id, reason, field, message }: IndexedRejection): ResultJson {
  return { index, ...(id === undefined ? {} : { id }), result: "rejected", reason, field, message };
}

/**
 * The answer to a batch: 200 when anything was accepted or nothing was sent, 503 when the queue took nothing, else 422.
 * @param isAll list the accepted events in `results` too
 * @throws ApiError `unprocessable`, `unavailable`
 */
export function batchAnswer(c: AppContext, receipt: Receipt, isAll: boolean): Response {
  const { accepted, rejected } = receipt;
  const data = {
    accepted: accepted.length,
    rejected: rejected.length,
    event_ids: accepted.map(({ id }) => id),
    results: isAll ? allResults(receipt) : rejected.map(rejectedJson),
  };
  if (isOutage(receipt))
    throw new ApiError("unavailable", "No event could be queued.", data, QUEUE_RETRY_AFTER_SECONDS);
  if (accepted.length === 0 && rejected.length > 0) throw new ApiError("unprocessable", "No event was accepted.", data);
  return ok(c, data, `${accepted.length} accepted, ${rejected.length} rejected`);
}

function allResults({ accepted, acceptedIndexes, rejected }: Receipt): ResultJson[] {
  const taken = accepted.map(({ id }, row): ResultJson => ({
    index: acceptedIndexes[row] ?? row,
    id,
    result: "accepted",
  }));
  return [...taken, ...rejected.map(rejectedJson)].toSorted((a, b) => a.index - b.index);
}

/** The answer to a single event. @throws ApiError `unprocessable`, `unavailable` */
export function singleAnswer(c: AppContext, receipt: Receipt): Response {
  const [event] = receipt.accepted;
  if (event !== undefined) return ok(c, { event_id: event.id }, "accepted");
  const details = { results: receipt.rejected.map(rejectedJson) };
  if (isOutage(receipt)) {
    throw new ApiError("unavailable", "The event could not be queued.", details, QUEUE_RETRY_AFTER_SECONDS);
  }
  throw new ApiError("unprocessable", receipt.rejected[0]?.message ?? "The event was not accepted.", details);
}
