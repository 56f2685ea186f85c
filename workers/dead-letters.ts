import { isNotificationMessage } from "../core/alerts/notification-message.ts";
import { type EventMessage, isEventMessage, isPoisonMessage } from "../core/events/message.ts";
import { TENANT_ID } from "../core/events/names.ts";
import { retryDelaySeconds } from "../core/events/poison.ts";
import { windowAggregator } from "../durable-objects/remote.ts";
import { fromBase64, toBase64 } from "../storage/d1/base64.ts";
import { type DeadLetter, insertDeadLetters } from "../storage/d1/dead-letters.ts";
import { DEFAULT_TENANT } from "./auth/index.ts";
import { log, logError } from "./log.ts";

/** Characters kept of a reason, and of a message that cannot be read. */
const MAX_REASON_LENGTH = 1_000;
const MAX_UNREADABLE_LENGTH = 100_000;

const EXHAUSTED = "the events queue gave up: its consumer failed on every delivery";
const UNREADABLE = "not an event message";

/**
 * Consumer of the dead-letter queue: keeps each letter in D1 until an admin replays it. Only what is in D1 is acknowledged.
 * The row's key is the message id, so a redelivery changes nothing.
 */
export async function consumeDeadLetters(batch: MessageBatch, env: Env): Promise<void> {
  const letters = batch.messages.filter(({ body }) => !isNotificationMessage(body)).map(toLetter);
  try {
    const added = await insertDeadLetters(env.DB, letters);
    reportNotifications(batch);
    batch.ackAll();
    await settle(added, batch, env);
  } catch (error) {
    logError("dead_letters_not_stored", error, { messages: batch.messages.length });
    for (const message of batch.messages)
      message.retry({ delaySeconds: retryDelaySeconds(message.attempts, Math.random()) });
  }
}

/** What a letter of kind `events` keeps: its message as JSON, the packed chunk as base64. */
export function packLetter(message: EventMessage): string {
  return JSON.stringify({ ...message, body: toBase64(message.body) });
}

/** The message of a letter; null when it cannot be read. */
export function unpackLetter({ body }: DeadLetter): EventMessage | null {
  const message: unknown = JSON.parse(body);
  if (typeof message !== "object" || message === null || !("body" in message) || typeof message.body !== "string")
    return null;
  // A copy: the bytes of a base64 decoder may be a piece of a shared buffer, and the queue would send all of it.
  const restored = { ...message, body: Uint8Array.from(fromBase64(message.body)) };
  return isEventMessage(restored) ? restored : null;
}

function toLetter({ id, body, attempts, timestamp }: Message): DeadLetter {
  const message = isPoisonMessage(body) ? body.message : body;
  const common = { id, attempts, created_at: timestamp.getTime() };
  if (!isEventMessage(message) || !TENANT_ID.test(message.tenant)) {
    return {
      ...common,
      tenant: DEFAULT_TENANT,
      kind: "unreadable",
      reason: UNREADABLE,
      events: 0,
      body: describe(body),
    };
  }
  const reason = (isPoisonMessage(body) ? body.reason : EXHAUSTED).slice(0, MAX_REASON_LENGTH);
  return { ...common, tenant: message.tenant, kind: "events", reason, events: message.n, body: packLetter(message) };
}

/** For the operator's eyes only, so anything will do: not everything that a queue carries is JSON. */
function describe(body: unknown): string {
  try {
    return (JSON.stringify(body) ?? String(body)).slice(0, MAX_UNREADABLE_LENGTH);
  } catch {
    return Object.prototype.toString.call(body);
  }
}

/** A notification need not be kept: its alert's outbox queues it again until it is delivered or given up. */
function reportNotifications(batch: MessageBatch): void {
  for (const { body } of batch.messages) {
    if (isNotificationMessage(body))
      log({ level: "warn", event: "notification_undelivered", tenant: body.tenant, message_id: body.messageId });
  }
}

/** Tells the tenants' objects that exhausted events are no longer on their way; who finds a poison message does so himself. */
async function settle(added: readonly DeadLetter[], batch: MessageBatch, env: Env): Promise<void> {
  const poison = new Set(batch.messages.filter(({ body }) => isPoisonMessage(body)).map(({ id }) => id));
  for (const { id, tenant, kind, events } of added) {
    if (kind !== "events" || poison.has(id)) continue;
    try {
      await windowAggregator(env, tenant).settle(events);
    } catch (error) {
      // It only makes the backlog look larger than it is, for a while.
      logError("dead_letter_not_settled", error, { tenant });
    }
  }
}
