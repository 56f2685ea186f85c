import { MAX_DELIVERIES_PER_ALERT } from "../../core/alerts/limits.ts";
import type { CircuitChange } from "./channel-health.ts";

/** One notification for one channel. */
export interface NotificationKey {
  /** `msg_<alert id>_firing`, `…_acknowledged`, `…_resolved` and so on: the webhook-id, by which a receiver drops repeats. */
  readonly messageId: string;
  readonly channelId: string;
}

/** A message to one channel. */
export interface Notification extends NotificationKey {
  readonly alertId: string;
  /** The JSON text to post. */
  readonly body: string;
  /** Id of the message to the same channel that must be settled before; null: none. */
  readonly waitsFor?: string | null;
}

/** A notification that is not settled. */
export interface Unsettled {
  readonly alertId: string;
  readonly body: string;
  /** Number of its next attempt, from 1. */
  readonly attempt: number;
  /** Epoch ms. */
  readonly madeAt: number;
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
  /** What it did to the channel's circuit breaker; absent in those written before there was one. */
  readonly circuit?: CircuitChange;
  /** HTTP status; null when there was no answer. */
  readonly status: number | null;
  readonly latencyMs: number;
  readonly error: string | null;
}

/** How long a queued notification may go without an attempt before it is queued again; doubles each time. */
const FIRST_LEASE_MS = 30_000;
const MAX_LEASE_MS = 3_600_000;
/** A notification that could not be delivered for so long, be it that its channel was held all the time, is given up. */
export const MAX_AGE_MS = 24 * 3_600_000;

/** Of a full outbox so many are given up at a time. */
const MAX_AGED_AT_ONCE = 200;

/** A notification that waits, for people. */
export interface Waiting extends NotificationKey {
  /** Made so far. */
  readonly attempts: number;
  /** Epoch ms at which it is queued again. */
  readonly dueAt: number;
}

/**
 * What happened to an alert is told in its order: an end is not told before its beginning is settled, or a receiver that heard
 * them the other way round would keep it open.
 */
const NOT_HELD_BACK = `(waits_for is null or not exists (select 1 from outbox as earlier
  where earlier.message_id = outbox.waits_for and earlier.channel_id = outbox.channel_id))`;

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

  /**
   * Epoch ms at which the next notification must be queued, or null.
   * @param held channels to which nothing is sent, with the time until which
   */
  dueAt(held: ReadonlyMap<string, number>): number | null {
    const query = `select channel_id, min(due_at) as due from outbox where ${NOT_HELD_BACK} group by channel_id`;
    const dues = this.#sql
      .exec<{ channel_id: string; due: number }>(query)
      .toArray()
      .map(({ channel_id: id, due }) => Math.max(due, held.get(id) ?? 0));
    return dues.length === 0 ? null : Math.min(...dues);
  }

  /** Waiting notifications by channel. */
  counts(): ReadonlyMap<string, number> {
    const query = "select channel_id, count(*) as waiting from outbox group by channel_id";
    const rows = this.#sql.exec<{ channel_id: string; waiting: number }>(query).toArray();
    return new Map(rows.map(({ channel_id: id, waiting }) => [id, waiting]));
  }

  /** What of an alert is not yet settled. */
  waiting(alertId: string): Waiting[] {
    const query = "select message_id, channel_id, attempts, due_at from outbox where alert_id = ? order by made_at";
    return this.#sql
      .exec<{ message_id: string; channel_id: string; attempts: number; due_at: number }>(query, alertId)
      .toArray()
      .map((row) => ({
        messageId: row.message_id,
        channelId: row.channel_id,
        attempts: row.attempts,
        dueAt: row.due_at,
      }));
  }

  add({ messageId, channelId, alertId, body, waitsFor = null }: Notification, nowMs: number): void {
    this.#sql.exec(
      "insert or ignore into outbox (message_id, channel_id, alert_id, body, due_at, sends, attempts, made_at, waits_for) values (?1, ?2, ?3, ?4, ?5, 0, 0, ?5, ?6)",
      messageId,
      channelId,
      alertId,
      body,
      nowMs,
      waitsFor,
    );
  }

  /** Makes everything due now, or all of one channel: the queue it was on is gone, or what it waited for has come. */
  expireLeases(nowMs: number, channelId: string | null = null): void {
    this.#sql.exec("update outbox set due_at = ?1 where ?2 is null or channel_id = ?2", nowMs, channelId);
  }

  /** @param held ids of channels to which nothing is sent; what is too old goes to them all the same, to be given up */
  due(nowMs: number, limit: number, held: readonly string[] = []): (NotificationKey & { readonly sends: number })[] {
    const rows = this.#sql.exec<{ message_id: string; channel_id: string; sends: number }>(
      `select message_id, channel_id, sends from outbox where due_at <= ?1 and ${NOT_HELD_BACK}
       and (channel_id not in (select value from json_each(?3)) or made_at <= ?4) order by due_at limit ?2`,
      nowMs,
      limit,
      JSON.stringify(held),
      nowMs - MAX_AGE_MS,
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

  /** It was taken from the queue and not tried: its channel is held. @param untilMs epoch ms */
  postpone({ messageId, channelId }: NotificationKey, untilMs: number): void {
    const query = "update outbox set due_at = ?, sends = max(0, sends - 1) where message_id = ? and channel_id = ?";
    this.#sql.exec(query, untilMs, messageId, channelId);
  }

  /** Makes the oldest notifications of these channels too old to be tried any more. */
  age(channelIds: readonly string[], nowMs: number): void {
    this.#sql.exec(
      `update outbox set made_at = 0, due_at = ?2 where (message_id, channel_id) in (
         select message_id, channel_id from outbox where channel_id in (select value from json_each(?1)) and made_at > 0
         order by made_at limit ?3)`,
      JSON.stringify(channelIds),
      nowMs,
      MAX_AGED_AT_ONCE,
    );
  }

  /** A notification not yet settled, with the number of its next attempt. */
  find({ messageId, channelId }: NotificationKey): Unsettled | null {
    const query = "select alert_id, body, attempts, made_at from outbox where message_id = ? and channel_id = ?";
    const row = this.#sql
      .exec<{ alert_id: string; body: string; attempts: number; made_at: number }>(query, messageId, channelId)
      .toArray()[0];
    if (row === undefined) return null;
    return { alertId: row.alert_id, body: row.body, attempt: row.attempts + 1, madeAt: row.made_at };
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
      this.#sql.exec(query, attempt, retryAt, messageId, channelId);
    }
    const next = "select coalesce(max(n), -1) + 1 as n from deliveries where alert_id = ?";
    const { n } = this.#sql.exec<{ n: number }>(next, alertId).one();
    this.#sql.exec("insert into deliveries (alert_id, n, body) values (?, ?, ?)", alertId, n, JSON.stringify(delivery));
    this.#sql.exec("delete from deliveries where alert_id = ? and n <= ?", alertId, n - MAX_DELIVERIES_PER_ALERT);
    return retryAt === null && this.#isWaitedFor({ messageId, channelId });
  }

  #isWaitedFor({ messageId, channelId }: NotificationKey): boolean {
    const query = "select 1 from outbox where waits_for = ? and channel_id = ? limit 1";
    return this.#sql.exec(query, messageId, channelId).toArray().length > 0;
  }

  deliveries(alertId: string): Delivery[] {
    const rows = this.#sql.exec<{ body: string }>("select body from deliveries where alert_id = ? order by n", alertId);
    return rows.toArray().map(({ body }) => JSON.parse(body));
  }
}
