import { rfc3339 } from "../events/rfc3339.ts";
import type { AlertJson } from "./alert.ts";
import type { Values, WindowTime } from "./group.ts";
import { MAX_ALERTS_PER_BUNDLE } from "./limits.ts";
import { type Level, LEVELS } from "./level.ts";

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

/** One alert of a bundle. */
export type BundledAlert = Omit<AlertJson, "rule">;

/** Alerts of one rule that are told of together. */
export interface GroupNotification {
  readonly type: "alert.group";
  /** RFC 3339. */
  readonly timestamp: string;
  readonly data: {
    /** The same in every message about these alerts. */
    readonly id: string;
    readonly status: "firing" | "resolved";
    /** The gravest of those that fire; of those that ended when none does. */
    readonly level: Level;
    readonly rule: AlertJson["rule"];
    /** What its alerts have in common. */
    readonly group: Readonly<Record<string, string>>;
    /** How many there are of each; at most `MAX_ALERTS_PER_BUNDLE` are listed. */
    readonly counts: { readonly firing: number; readonly resolved: number };
    readonly firing: readonly BundledAlert[];
    readonly resolved: readonly BundledAlert[];
  };
}

/** What "send a test" sends. */
export interface TestNotification {
  readonly type: "alert.test";
  readonly timestamp: string;
  readonly data: { readonly channel: { readonly id: string; readonly name: string }; readonly message: string };
}

export type Notification = AlertNotification | GroupNotification | TestNotification;

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

/** The first alerts of a list; of which rule they are is said once. */
function listed(list: readonly AlertJson[], room: number): BundledAlert[] {
  return list.slice(0, room).map(({ rule: _rule, ...alert }) => alert);
}

/** A bundle's message as JSON text. @param atMs epoch ms */
export function groupBody(
  bundle: { readonly id: string; readonly groupBy: Readonly<Record<string, string>> | null },
  alerts: { readonly firing: readonly AlertJson[]; readonly resolved: readonly AlertJson[] },
  atMs: number,
): string {
  const { firing, resolved } = alerts;
  const shown = listed(firing, MAX_ALERTS_PER_BUNDLE);
  const leading = firing.length > 0 ? firing : resolved;
  const notification: GroupNotification = {
    type: "alert.group",
    timestamp: rfc3339(atMs),
    data: {
      id: bundle.id,
      status: firing.length > 0 ? "firing" : "resolved",
      level: LEVELS.findLast((level) => leading.some((alert) => alert.level === level)) ?? "info",
      rule: leading[0]?.rule ?? { id: "", name: "" },
      group: bundle.groupBy ?? {},
      counts: { firing: firing.length, resolved: resolved.length },
      firing: shown,
      resolved: listed(resolved, MAX_ALERTS_PER_BUNDLE - shown.length),
    },
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
  if (notification.type === "alert.group") return groupNotice(notification);
  const { alert, rule } = notification.data;
  const title = `${VERBS[notification.type]} (${alert.level}): ${rule.name}`;
  // An alert's message begins with its rule's name, which the title has already.
  const name = `${rule.name}: `;
  const text = alert.message.startsWith(name) ? alert.message.slice(name.length) : alert.message;
  return { title, text, level: alert.level };
}

/** `Firing (error): too many 404s, 3 alerts`; the text has a line for each. */
function groupNotice({ data }: GroupNotification): Notice {
  const { status, level, rule, counts, firing, resolved, group } = data;
  const verb = status === "firing" ? "Firing" : "Resolved";
  const number = status === "firing" ? counts.firing : counts.resolved;
  const common = Object.entries(group).map(([name, value]) => `${name} = ${value}`);
  const title = [`${verb} (${level}): ${rule.name}`, `${number} ${number === 1 ? "alert" : "alerts"}`, ...common];
  const lines = [
    ...firing.map(({ message }) => `Firing: ${message}`),
    ...resolved.map(({ message }) => `Resolved: ${message}`),
  ];
  const left = counts.firing + counts.resolved - lines.length;
  return { title: title.join(", "), text: [...lines, ...(left > 0 ? [`and ${left} more`] : [])].join("\n"), level };
}

/** What a message is about: the same id in every message about an alert or a bundle; the channel's, of a test. */
export function subjectOf(notification: Notification): string {
  if (notification.type === "alert.test") return notification.data.channel.id;
  return notification.type === "alert.group" ? notification.data.id : notification.data.alert.id;
}

/** The dashboard's page of alerts. @param dashboard origin of the platform, without a slash at its end */
export function alertsPage(dashboard: string): string {
  return `${dashboard}/alerts`;
}

/** The dashboard's page of what a message is about: one alert, or all of them. */
export function linkOf(dashboard: string, notification: Notification): string {
  return "alert" in notification.data
    ? `${alertsPage(dashboard)}/${notification.data.alert.id}`
    : alertsPage(dashboard);
}

/** Cuts a text to `maxChars` UTF-16 units, with an ellipsis when something is missing and never through a surrogate pair. */
export function cut(text: string, maxChars: number, ellipsis = "…"): string {
  if (text.length <= maxChars) return text;
  const end = maxChars - ellipsis.length;
  const splitsPair = /[\uD800-\uDBFF]/.test(text.charAt(end - 1));
  return text.slice(0, splitsPair ? end - 1 : end) + ellipsis;
}
