import { MAX_DELIVERIES_PER_ALERT } from "../../core/alerts/limits.ts";
import type { NotificationKind } from "../../core/alerts/notification.ts";

/** One notification for one channel. */
export interface NotificationKey {
  /** `msg_<alert id>_firing`, `…_acknowledged` or `…_resolved`: the webhook-id, by which a receiver drops repeats. */
  readonly messageId: string;
  readonly channelId: string;
}

export interface Notification extends NotificationKey {
  readonly alertId: string;
  /** The JSON text to post. */
  readonly body: string;
}

/** One attempt to deliver a notification, as it is kept and shown with the alert. */
export interface Delivery {
  readonly messageId: string;
  readonly channelId: string;
  /** 1-based. */
  readonly attempt: number;
  /** Epoch ms. */
  readonly at: number;
  readonly outcome: "delivered" | "retry" | "failed";
  /** HTTP status; null when there was no answer. */
  readonly status: number | null;
  readonly latencyMs: number;
  readonly error: string | null;
}

/** How long a queued notification may go without an attempt before it is queued again; doubles each time. */
const FIRST_LEASE_MS = 30_000;
const MAX_LEASE_MS = 3_600_000;

/**
 * An alert's end is not told before its beginning and its acknowledgement are settled: a receiver that heard them the other
 * way round would keep it open.
 */
const NOT_HELD_BACK = `not exists (select 1 from outbox as earlier where earlier.message_id = 'msg_' || outbox.alert_id || '_firing'
  and earlier.channel_id = outbox.channel_id and earlier.message_id <> outbox.message_id)
  and (outbox.message_id <> 'msg_' || outbox.alert_id || '_resolved'
    or not exists (select 1 from outbox as earlier where earlier.message_id = 'msg_' || outbox.alert_id || '_acknowledged'
      and earlier.channel_id = outbox.channel_id))`;

/** The webhook-id of what happened to an alert. */
export function messageIdOf(alertId: string, kind: NotificationKind): string {
  return `msg_${alertId}_${kind}`;
}

/**
 * Notifications that are not known to be delivered, in the transaction that made them.
 *
 * A row outlives its place on the queue: it goes when an attempt settles it. Should the queue lose the message, as the local
 * queue does when it is killed, the lease runs out and the message is queued again, with the same id.
 */
export class Outbox {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  get size(): number {
    return this.#sql.exec<{ waiting: number }>("select count(*) as waiting from outbox").one().waiting;
  }

  /** Epoch ms at which the next notification must be queued, or null. */
  get dueAt(): number | null {
    const query = `select min(due_at) as due from outbox where ${NOT_HELD_BACK}`;
    return this.#sql.exec<{ due: number | null }>(query).one().due;
  }

  add({ messageId, channelId, alertId, body }: Notification, nowMs: number): void {
    this.#sql.exec(
      "insert or ignore into outbox (message_id, channel_id, alert_id, body, due_at, sends, attempts) values (?, ?, ?, ?, ?, 0, 0)",
      messageId,
      channelId,
      alertId,
      body,
      nowMs,
    );
  }

  /** Makes everything due now: the queue it was on is gone. */
  expireLeases(nowMs: number): void {
    this.#sql.exec("update outbox set due_at = ?", nowMs);
  }

  due(nowMs: number, limit: number): (NotificationKey & { readonly sends: number })[] {
    const rows = this.#sql.exec<{ message_id: string; channel_id: string; sends: number }>(
      `select message_id, channel_id, sends from outbox where due_at <= ? and ${NOT_HELD_BACK} order by due_at limit ?`,
      nowMs,
      limit,
    );
    return rows.toArray().map((row) => ({ messageId: row.message_id, channelId: row.channel_id, sends: row.sends }));
  }

  /** The queue has it. */
  sent({ messageId, channelId, sends }: NotificationKey & { readonly sends: number }, nowMs: number): void {
    const lease = Math.min(MAX_LEASE_MS, FIRST_LEASE_MS * 2 ** sends);
    this.#sql.exec(
      "update outbox set due_at = ?, sends = sends + 1 where message_id = ? and channel_id = ?",
      nowMs + lease,
      messageId,
      channelId,
    );
  }

  /** A notification not yet settled, with the number of its next attempt. */
  find({ messageId, channelId }: NotificationKey): { alertId: string; body: string; attempt: number } | null {
    const query = "select alert_id, body, attempts from outbox where message_id = ? and channel_id = ?";
    const row = this.#sql
      .exec<{ alert_id: string; body: string; attempts: number }>(query, messageId, channelId)
      .toArray()[0];
    return row === undefined ? null : { alertId: row.alert_id, body: row.body, attempt: row.attempts + 1 };
  }

  /**
   * Writes an attempt down. Unless there will be another, that settles the notification.
   * @param retryAt epoch ms
   * @returns true when another notification waited for this one and may be queued now
   */
  record(alertId: string, delivery: Delivery, retryAt: number | null): boolean {
    const { messageId, channelId, attempt } = delivery;
    if (retryAt === null) {
      this.#sql.exec("delete from outbox where message_id = ? and channel_id = ?", messageId, channelId);
    } else {
      const query = "update outbox set attempts = ?, due_at = ? where message_id = ? and channel_id = ?";
      this.#sql.exec(query, attempt, retryAt + FIRST_LEASE_MS, messageId, channelId);
    }
    const next = "select coalesce(max(n), -1) + 1 as n from deliveries where alert_id = ?";
    const { n } = this.#sql.exec<{ n: number }>(next, alertId).one();
    this.#sql.exec("insert into deliveries (alert_id, n, body) values (?, ?, ?)", alertId, n, JSON.stringify(delivery));
    this.#sql.exec("delete from deliveries where alert_id = ? and n <= ?", alertId, n - MAX_DELIVERIES_PER_ALERT);
    return retryAt === null && this.#isWaitedFor(alertId, { messageId, channelId });
  }

  #isWaitedFor(alertId: string, { messageId, channelId }: NotificationKey): boolean {
    const end = messageIdOf(alertId, "resolved");
    if (messageId === end) return false;
    const later = messageId === messageIdOf(alertId, "firing") ? [messageIdOf(alertId, "acknowledged"), end] : [end];
    return later.some((waiting) => this.find({ messageId: waiting, channelId }) !== null);
  }

  deliveries(alertId: string): Delivery[] {
    const rows = this.#sql.exec<{ body: string }>("select body from deliveries where alert_id = ? order by n", alertId);
    return rows.toArray().map(({ body }) => JSON.parse(body));
  }
}
