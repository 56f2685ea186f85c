import type { NotificationMessage } from "../../core/alerts/notification-message.ts";
import type { Outbox } from "./outbox.ts";

/** What the platform takes in one call. */
const MAX_MESSAGES_PER_CALL = 100;

/** What moving notifications onto the queue needs. */
export interface CourierMeans {
  readonly outbox: Outbox;
  readonly tenant: string;
  readonly send: (messages: readonly NotificationMessage[]) => Promise<void>;
  /** Epoch ms. */
  readonly now: () => number;
}

/** Puts every due notification on the queue, oldest first. What the queue did not take stays due. @throws what `send` throws */
export async function drainOutbox({ outbox, tenant, send, now }: CourierMeans): Promise<void> {
  for (;;) {
    const due = outbox.due(now(), MAX_MESSAGES_PER_CALL);
    if (due.length === 0) return;
    await send(due.map(({ messageId, channelId }) => ({ v: 1, kind: "notification", tenant, messageId, channelId })));
    for (const notification of due) outbox.sent(notification, now());
  }
}
