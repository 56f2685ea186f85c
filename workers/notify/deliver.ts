import { decideDelivery, strainOf } from "../../core/alerts/delivery.ts";
import type { NotificationMessage } from "../../core/alerts/notification-message.ts";
import type { Claim } from "../../durable-objects/alerts/answers.ts";
import { alertManager } from "../../durable-objects/alerts/remote.ts";
import { logError } from "../log.ts";
import { buryNotification } from "./dead-letter.ts";
import { sendOnce } from "./send.ts";
import type { SendAttempt } from "./send.ts";

type Open = Extract<Claim, { kind: "attempt" | "expired" }>;

/** Makes one attempt and has it written down, unless the notification is settled or its channel is held. */
export async function deliver(notification: NotificationMessage, env: Env): Promise<void> {
  const manager = alertManager(env, notification.tenant);
  const { tenant, messageId, channelId } = notification;
  const claim = await manager.claimDelivery({ messageId, channelId });
  if (claim.kind === "settled" || claim.kind === "held") return;
  const { attempted, latencyMs, error } = await attempt(claim, messageId, env);
  const at = Date.now();
  const decision = decideDelivery(attempted, claim.attempt, at, Math.random());
  const { alertId, body } = claim;
  if (decision.outcome === "failed") {
    await bury(env, { tenant, messageId, channelId, alertId, body, attempts: claim.attempt, reason: error ?? "" });
  }
  await manager.recordDelivery({
    alertId,
    delivery: {
      messageId,
      channelId,
      attempt: claim.attempt,
      at,
      outcome: decision.outcome,
      status: attempted.kind === "answered" ? attempted.status : null,
      latencyMs,
      error,
    },
    retryAt: decision.outcome === "retry" ? at + decision.delaySeconds * 1000 : null,
    strain: strainOf(attempted, at),
    pass: claim.kind === "attempt" ? claim.pass : null,
  });
}

async function attempt(claim: Open, id: string, env: Env): Promise<SendAttempt> {
  if (claim.kind === "expired") return refused("given up: 24 h old, or one of too many that wait for this channel");
  const { target, body } = claim;
  if (target === null) return refused("the channel was deleted, or ENCRYPTION_KEY has changed since it was made");
  return await sendOnce(target, { id, body }, env);
}

function refused(error: string): SendAttempt {
  return { attempted: { kind: "refused", error }, latencyMs: 0, error };
}

/** The alert's own log has the failure too, so a store that is away does not keep it from being settled. */
async function bury(env: Env, letter: Parameters<typeof buryNotification>[1]): Promise<void> {
  try {
    await buryNotification(env.DB, letter);
  } catch (error) {
    logError("notification_letter_not_stored", error, { tenant: letter.tenant, message_id: letter.messageId });
  }
}
