/**
 * What one message on the notifications queue holds: only which notification to deliver. What to send and where is asked of
 * the AlertManager when it is sent, so that no secret is ever on a queue and nothing is sent twice because it was queued twice.
 */
export interface NotificationMessage {
  readonly v: 1;
  readonly kind: "notification";
  readonly tenant: string;
  readonly messageId: string;
  readonly channelId: string;
}

/** True when `value` has the shape of a NotificationMessage. */
export function isNotificationMessage(value: unknown): value is NotificationMessage {
  if (typeof value !== "object" || value === null) return false;
  const { v, kind, tenant, messageId, channelId } = value as Partial<Record<keyof NotificationMessage, unknown>>;
  return (
    v === 1 &&
    kind === "notification" &&
    typeof tenant === "string" &&
    typeof messageId === "string" &&
    typeof channelId === "string"
  );
}
