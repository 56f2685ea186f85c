import { isNotificationMessage } from "../../core/alerts/notification-message.ts";
import type { NotificationMessage } from "../../core/alerts/notification-message.ts";
import { alertManager } from "../../durable-objects/alerts/remote.ts";
import { log, logError } from "../log.ts";
import { deliver } from "./deliver.ts";

/** Attempts at one channel at a time in one invocation, which may hold six connections open: a receiver that hangs leaves room for others. */
const LANES_PER_CHANNEL = 2;
/** Nothing is begun later than this after the batch came: what is left over goes back. */
const LAST_START_MS = 8_000;

/**
 * Consumer of the notifications queue. The messages are acknowledged at once and sent in the background, so that a receiver
 * that hangs does not hold up the next batch, which is for others. Nothing is lost by that: what is not written down as
 * settled is queued again by its object's outbox.
 */
export async function consumeNotifications(batch: MessageBatch, env: Env, ctx: ExecutionContext): Promise<void> {
  const channels = new Map<string, NotificationMessage[]>();
  for (const { id, body } of batch.messages) {
    if (!isNotificationMessage(body)) {
      log({ level: "error", event: "notification_unreadable", queue_message: id });
      continue;
    }
    const name = `${body.tenant} ${body.channelId}`;
    channels.set(name, [...(channels.get(name) ?? []), body]);
  }
  batch.ackAll();
  const deadline = Date.now() + LAST_START_MS;
  for (const messages of channels.values()) {
    // Both lanes take from the one list, so that neither waits while there is something to do.
    const left = messages.values();
    for (let lane = 0; lane < LANES_PER_CHANNEL; lane++) ctx.waitUntil(runLane(left, deadline, env));
  }
}

async function runLane(left: IterableIterator<NotificationMessage>, deadline: number, env: Env): Promise<void> {
  for (let next = left.next(); next.done !== true; next = left.next()) {
    const { tenant, messageId } = next.value;
    try {
      if (Date.now() >= deadline) return await putBack([next.value, ...left], env);
      await deliver(next.value, env);
    } catch (error) {
      // Harmless: the outbox queues it again when its lease runs out.
      logError("notification_failed", error, { tenant, message_id: messageId });
    }
  }
}

/** @param left of one channel, one at least */
async function putBack(left: readonly NotificationMessage[], env: Env): Promise<void> {
  const [first] = left;
  if (first === undefined) return;
  await alertManager(env, first.tenant).putBack(left.map(({ messageId, channelId }) => ({ messageId, channelId })));
}
