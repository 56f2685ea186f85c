// Getting one batch of events delivered: retried until the platform has taken or finally refused every event.
//
// Retrying is safe because every event carries its own id, and the platform counts an id once. So whatever is unclear
// (no answer, a 5xx) is sent again, and only a refusal that will not change (a 4xx) ends it.
import { CliError, messageOf } from "./errors.ts";
import { describe, field, list, textOf } from "./api.ts";
import type { Reply } from "./api.ts";

/** An event that the platform refused for good. */
export interface Rejection {
  /** Place in the batch given. */
  readonly index: number;
  readonly reason: string;
  readonly message: string;
}

/** What became of a batch: `accepted` plus the rejections are all its events. */
export interface Receipt {
  readonly accepted: number;
  readonly rejections: readonly Rejection[];
}

/** What delivery needs from outside. */
export interface DeliveryTools {
  /** Posts events, each the text of a JSON object, to /events/batch. */
  post(events: readonly string[]): Promise<Reply>;
  wait(ms: number): Promise<unknown>;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** 0 inclusive to 1 exclusive. */
  random(): number;
  /** Told of every wait, for the user's eyes. */
  onRetry?(cause: string, waitMs: number): void;
}

/** Give up when a batch has not got through for this long: a restart or an outage is over by then, or needs a person. */
export const GIVE_UP_AFTER_MS = 120_000;
/** The first batch tells soon when there is no platform at this address at all. */
export const FIRST_GIVE_UP_AFTER_MS = 15_000;
const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 10_000;

type Outcome =
  | { readonly done: Receipt }
  | {
      readonly again: readonly number[];
      readonly settled: Receipt;
      readonly cause: string;
      readonly retryAfterSeconds: number | null;
    };

/**
 * Delivers one batch.
 *
 * 429 and 503 wait as long as Retry-After says; without it, and after network errors and other 5xx, the wait is
 * exponential with full jitter (200 ms doubled up to 10 s). Events that came back as `unavailable` are sent again alone.
 * @param giveUpAfterMs  how long to go on trying
 * @throws CliError when the platform refuses the whole request, or after giveUpAfterMs
 */
export async function deliver(
  events: readonly string[],
  tools: DeliveryTools,
  giveUpAfterMs = GIVE_UP_AFTER_MS,
): Promise<Receipt> {
  const startedAt = tools.now();
  let pending = events.map((_, index) => index);
  let accepted = 0;
  const rejections: Rejection[] = [];
  for (let attempt = 0; ; attempt++) {
    const outcome = await attemptOnce(
      pending.map((index) => events[index] ?? ""),
      tools,
    );
    const settled = "done" in outcome ? outcome.done : outcome.settled;
    accepted += settled.accepted;
    for (const rejection of settled.rejections)
      rejections.push({ ...rejection, index: pending[rejection.index] ?? rejection.index });
    if ("done" in outcome) return { accepted, rejections: rejections.toSorted((a, b) => a.index - b.index) };
    pending = outcome.again.map((place) => pending[place] ?? place);
    const waitMs = delayMs(attempt, outcome.retryAfterSeconds, tools.random());
    if (tools.now() - startedAt + waitMs > giveUpAfterMs) {
      throw new CliError(`Gave up after ${Math.round((tools.now() - startedAt) / 1000)} s: ${outcome.cause}`);
    }
    tools.onRetry?.(outcome.cause, waitMs);
    await tools.wait(waitMs);
  }
}

/** How long to wait before try number `attempt` + 1. */
function delayMs(attempt: number, retryAfterSeconds: number | null, random: number): number {
  const own = Math.round(random * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 20)));
  // Never earlier than asked; the jitter on top keeps many shippers from returning in the same instant.
  return retryAfterSeconds === null ? own : retryAfterSeconds * 1000 + Math.min(own, 1000);
}

async function attemptOnce(events: readonly string[], tools: DeliveryTools): Promise<Outcome> {
  const everything = events.map((_, index) => index);
  const nothing: Receipt = { accepted: 0, rejections: [] };
  let reply: Reply;
  try {
    reply = await tools.post(events);
  } catch (error) {
    return { again: everything, settled: nothing, cause: messageOf(error), retryAfterSeconds: null };
  }
  const { status, retryAfterSeconds } = reply;
  if (status === 200 || status === 422) return readResults(reply, events.length);
  if (status === 429 || status >= 500)
    return { again: everything, settled: nothing, cause: describe(reply), retryAfterSeconds };
  throw new CliError(describe(reply));
}

function readResults(reply: Reply, count: number): Outcome {
  const found = ["data", "details"]
    .map((part) => field(reply.body, part))
    .find((part) => Array.isArray(field(part, "results")));
  const rejections = list(found, "results").flatMap(toRejection);
  if (reply.status !== 200 && rejections.length === 0) throw new CliError(describe(reply));
  const again = rejections.filter(({ reason }) => reason === "unavailable").map(({ index }) => index);
  const settled = {
    accepted:
      reply.status === 200 ? Number(field(field(reply.body, "data"), "accepted") ?? count - rejections.length) : 0,
    rejections: rejections.filter(({ reason }) => reason !== "unavailable"),
  };
  if (again.length === 0) return { done: settled };
  return {
    again,
    settled,
    cause: `${again.length} events could not be queued`,
    retryAfterSeconds: reply.retryAfterSeconds,
  };
}

function toRejection(result: unknown): Rejection[] {
  const index = field(result, "index");
  if (typeof index !== "number" || field(result, "result") !== "rejected") return [];
  return [{ index, reason: textOf(result, "reason"), message: textOf(result, "message") }];
}
