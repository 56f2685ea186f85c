import { insertDeadLetters } from "../../storage/d1/dead-letters.ts";
import type { DeadLetter } from "../../storage/d1/dead-letters.ts";

/** A notification that was given up. Its body holds no secret: those are the channel's. */
export interface FailedNotification {
  readonly tenant: string;
  readonly messageId: string;
  readonly channelId: string;
  readonly alertId: string;
  /** The JSON text that was to be sent. */
  readonly body: string;
  readonly attempts: number;
  readonly reason: string;
}

/** Keeps a notification that was given up with the other dead letters. Twice is harmless: its id is the key. */
export async function buryNotification(db: D1Database, failed: FailedNotification): Promise<void> {
  const { tenant, messageId, channelId, alertId, body, attempts, reason } = failed;
  const letter: DeadLetter = {
    tenant,
    id: `${messageId}.${channelId}`,
    kind: "notification",
    reason: `notification not delivered: ${reason}`,
    attempts,
    events: 0,
    created_at: Date.now(),
    body: JSON.stringify({ messageId, channelId, alertId, body }),
  };
  await insertDeadLetters(db, [letter]);
}

/** What `buryNotification` kept. */
export type BuriedNotification = Pick<FailedNotification, "messageId" | "channelId" | "alertId" | "body">;

/** Reads a letter of kind `notification`. */
export function unpackNotification(letter: DeadLetter): BuriedNotification {
  return JSON.parse(letter.body);
}
