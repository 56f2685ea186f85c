import type { NotificationMessage } from "../../core/alerts/notification-message.ts";
import type { ChannelHealth } from "./channel-health.ts";
import type { Outbox } from "./outbox.ts";

/** What the platform takes in one call. */
const MAX_MESSAGES_PER_CALL = 100;

/** What moving notifications onto the queue needs. */
export interface CourierMeans {
  readonly outbox: Outbox;
  readonly health: ChannelHealth;
  readonly tenant: string;
  readonly send: (messages: readonly NotificationMessage[]) => Promise<void>;
  /** Epoch ms. */
  readonly now: () => number;
}

/**
 * Puts every due notification on the queue, oldest first, but none for a channel that is held, and one for a channel that
 * is being tried. What the queue did not take stays due. @throws what `send` throws
 */
export async function drainOutbox({ outbox, health, tenant, send, now }: CourierMeans): Promise<void> {
  const tried = new Set<string>();
  for (;;) {
    const due = outbox.due(now(), MAX_MESSAGES_PER_CALL, [...health.held(now()).keys(), ...tried]);
    const sent = due.filter(({ channelId }) => {
      if (tried.has(channelId)) return false;
      if (health.isTried(channelId, now())) tried.add(channelId);
      return true;
    });
    if (sent.length === 0) return;
    await send(sent.map(({ messageId, channelId }) => ({ v: 1, kind: "notification", tenant, messageId, channelId })));
    for (const notification of sent) outbox.sent(notification, now());
  }
}
