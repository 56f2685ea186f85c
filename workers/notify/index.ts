import { decideDelivery } from "../../core/alerts/delivery.ts";
import type { Decision } from "../../core/alerts/delivery.ts";
import { isNotificationMessage } from "../../core/alerts/notification-message.ts";
import type { NotificationMessage } from "../../core/alerts/notification-message.ts";
import type { Claim } from "../../durable-objects/alerts/answers.ts";
import { alertManager } from "../../durable-objects/alerts/remote.ts";
import { log, logError } from "../log.ts";
import { sendOnce } from "./send.ts";
import type { SendAttempt } from "./send.ts";

/** When the object that knows what to send cannot be asked, the queue tries this often; then its outbox takes over again. */
const MAX_CLAIM_ATTEMPTS = 10;
const CLAIM_RETRY_SECONDS = 10;

/** Consumer of the notifications queue. All messages of a batch go out at once: a receiver that hangs delays no other. */
export async function consumeNotifications(batch: MessageBatch, env: Env): Promise<void> {
  await Promise.all(batch.messages.map((message) => deliver(message, env)));
}

async function deliver(message: Message, env: Env): Promise<void> {
  const { body } = message;
  if (!isNotificationMessage(body)) {
    log({ level: "error", event: "notification_unreadable", queue_message: message.id });
    message.ack();
    return;
  }
  try {
    const decision = await attempt(body, env);
    if (decision?.outcome === "retry") message.retry({ delaySeconds: decision.delaySeconds });
    else message.ack();
  } catch (error) {
    logError("notification_failed", error, { tenant: body.tenant, message_id: body.messageId });
    // Losing the message is harmless: the outbox queues it again until it is settled.
    if (message.attempts < MAX_CLAIM_ATTEMPTS) message.retry({ delaySeconds: CLAIM_RETRY_SECONDS });
    else message.ack();
  }
}

/** Makes one attempt and has it written down. @returns null when there was nothing to do any more */
async function attempt(notification: NotificationMessage, env: Env): Promise<Decision | null> {
  const manager = alertManager(env, notification.tenant);
  const { messageId, channelId } = notification;
  const claim = await manager.claimDelivery({ messageId, channelId });
  if (claim.settled) return null;
  const result = await send(claim, messageId, env);
  const now = Date.now();
  const decision = decideDelivery(result.attempted, claim.attempt, now, Math.random());
  const retryAt = decision.outcome === "retry" ? now + decision.delaySeconds * 1000 : null;
  const delivery = {
    messageId,
    channelId,
    attempt: claim.attempt,
    at: now,
    outcome: decision.outcome,
    status: result.attempted.kind === "answered" ? result.attempted.status : null,
    latencyMs: result.latencyMs,
    error: result.error,
  };
  await manager.recordDelivery({ alertId: claim.alertId, delivery, retryAt });
  return decision;
}

async function send(claim: Extract<Claim, { settled: false }>, messageId: string, env: Env): Promise<SendAttempt> {
  if (claim.target !== null) {
    return await sendOnce(claim.target, { id: messageId, body: claim.body }, env.STREAMFLOW_MODE);
  }
  const error = "the channel was deleted, or ENCRYPTION_KEY has changed since it was made";
  return { attempted: { kind: "refused", error }, latencyMs: 0, error };
}
