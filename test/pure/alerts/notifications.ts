import { notificationBody, readNotification, testBody } from "../../../core/alerts/notification.ts";
import type { Notification, NotificationKind } from "../../../core/alerts/notification.ts";
import type { AlertJson } from "../../../core/alerts/alert.ts";

export const ALERT_ID = "019aa8f0-1234-7abc-8def-0123456789ab";
export const AT = Date.UTC(2026, 10, 22, 10, 1, 5);
export const DASHBOARD = "https://flow.example.com";

/** An alert as it is told of; `more` replaces parts of it. */
export function alertOf(kind: NotificationKind, more: Partial<AlertJson> = {}): AlertJson {
  const group = more.group ?? { "data.status": 404 };
  const values = more.values ?? { requests: 213, share: 0.071 };
  return {
    id: ALERT_ID,
    rule: { id: "rule-1", name: "too many 404s" },
    kind: "condition",
    level: "error",
    status: kind,
    group,
    values,
    window: { start: "2026-11-22T09:00:00.000Z", end: "2026-11-22T10:00:00.000Z" },
    started_at: "2026-11-22T10:00:01.000Z",
    fired_at: "2026-11-22T10:00:01.000Z",
    resolved_at: null,
    reason: null,
    acknowledged_by: null,
    muted_by: [],
    notified_at: "2026-11-22T10:00:01.000Z",
    escalation_step: 0,
    flapping: false,
    labels: { team: "web" },
    annotations: { runbook: "https://wiki.example.com/404" },
    message: "too many 404s: requests = 213, share = 0.071 for data.status = 404 (requests > threshold, threshold 100)",
    ...more,
  };
}

/** What is told of such an alert. */
export function notificationOf(kind: NotificationKind, more: Partial<AlertJson> = {}): Notification {
  const alert = alertOf(kind, more);
  const { values } = alert;
  const window = { start: Date.UTC(2026, 10, 22, 9), end: Date.UTC(2026, 10, 22, 10) };
  return readNotification(notificationBody(kind, AT, { alert, values, window }));
}

/** What "send a test" sends. */
export function testNotification(): Notification {
  return readNotification(testBody({ id: "chan-1", name: "ops" }, AT));
}
