import { rfc3339 } from "./alert.ts";
import type { AlertJson } from "./alert.ts";
import type { Values, WindowTime } from "./group.ts";
import type { Level } from "./rule.ts";

/** What may be told of an alert. An acknowledgement is told only to channels that can use it. */
export type NotificationKind = "firing" | "acknowledged" | "resolved";

/** An alert that changed, as a webhook posts it and as every other channel reads it. */
export interface AlertNotification {
  readonly type: `alert.${NotificationKind}`;
  /** RFC 3339, when it changed. */
  readonly timestamp: string;
  readonly data: {
    readonly alert: Omit<AlertJson, "rule" | "group">;
    readonly rule: AlertJson["rule"];
    readonly values: Values;
    readonly group: AlertJson["group"];
    /** RFC 3339. */
    readonly window: { readonly start: string; readonly end: string };
  };
}

/** What "send a test" sends. */
export interface TestNotification {
  readonly type: "alert.test";
  readonly timestamp: string;
  readonly data: { readonly channel: { readonly id: string; readonly name: string }; readonly message: string };
}

export type Notification = AlertNotification | TestNotification;

/** What a notification tells of. `values` and `window` are those that made the alert change. */
export interface NotificationData {
  readonly alert: AlertJson;
  readonly values: Values;
  readonly window: WindowTime;
}

/** A notification as JSON text; webhooks sign it, so it is written once and kept. @param atMs epoch ms of the change */
export function notificationBody(kind: NotificationKind, atMs: number, data: NotificationData): string {
  const { alert, values, window } = data;
  const { rule, group, ...rest } = alert;
  const notification: AlertNotification = {
    type: `alert.${kind}`,
    timestamp: rfc3339(atMs),
    data: { alert: rest, rule, values, group, window: { start: rfc3339(window.start), end: rfc3339(window.end) } },
  };
  return JSON.stringify(notification);
}

/** The test of a channel as JSON text. @param atMs epoch ms */
export function testBody(channel: { readonly id: string; readonly name: string }, atMs: number): string {
  const notification: TestNotification = {
    type: "alert.test",
    timestamp: rfc3339(atMs),
    data: { channel: { id: channel.id, name: channel.name }, message: "A test from StreamFlow: this channel works." },
  };
  return JSON.stringify(notification);
}

/** Reads what `notificationBody` or `testBody` wrote. */
export function readNotification(body: string): Notification {
  return JSON.parse(body);
}

/** A notification in the words of every channel that people read. */
export interface Notice {
  /** `Firing (error): too many 404s`. */
  readonly title: string;
  /** What the title does not say. */
  readonly text: string;
  readonly level: Level;
}

const VERBS = {
  "alert.firing": "Firing",
  "alert.acknowledged": "Acknowledged",
  "alert.resolved": "Resolved",
} as const;

/** Puts a notification into words. */
export function noticeOf(notification: Notification): Notice {
  if (notification.type === "alert.test") {
    const { channel, message } = notification.data;
    return { title: `Test: ${channel.name}`, text: message, level: "info" };
  }
  const { alert, rule } = notification.data;
  const title = `${VERBS[notification.type]} (${alert.level}): ${rule.name}`;
  // An alert's message begins with its rule's name, which the title has already.
  const name = `${rule.name}: `;
  const text = alert.message.startsWith(name) ? alert.message.slice(name.length) : alert.message;
  return { title, text, level: alert.level };
}

/** The dashboard's page of alerts. @param dashboard origin of the platform, without a slash at its end */
export function alertsPage(dashboard: string): string {
  return `${dashboard}/alerts`;
}

/** Cuts a text to `maxChars` UTF-16 units, with an ellipsis when something is missing and never through a surrogate pair. */
export function cut(text: string, maxChars: number, ellipsis = "…"): string {
  if (text.length <= maxChars) return text;
  const end = maxChars - ellipsis.length;
  const splitsPair = /[\uD800-\uDBFF]/.test(text.charAt(end - 1));
  return text.slice(0, splitsPair ? end - 1 : end) + ellipsis;
}
