import { computed, signal } from "@preact/signals";
import { type Level, LEVELS } from "../../core/alerts/level.ts";
import { MAX_OPEN_LISTED } from "../../core/live/protocol.ts";
import type { AlertJson, AlertsSnapshot } from "../../core/live/protocol.ts";
import { foldAlerts } from "../../core/live/topics.ts";
import { decodeAlerts } from "./decode-topics.ts";
import { viewAlert, type AlertView } from "./alert-view.ts";

/** Null before the first snapshot. */
const alerts = signal<AlertsSnapshot | null>(null);

/** Every alert known here, worst first and then newest first; null before the first snapshot. */
export const alertViews = computed<readonly AlertView[] | null>(
  () => alerts.value?.alerts.map((alert: AlertJson) => viewAlert(alert)).sort(byUrgency) ?? null,
);

/** Alerts somebody has to look at: firing or acknowledged, not yet resolved. */
export const openAlerts = computed(() => (alertViews.value ?? []).filter((alert) => alert.isOpen));

/** True when there may be more open alerts than are known here: those known are the most urgent. */
export const isCrowded = signal(false);

/** How many are open, for people. */
export const openCount = computed(() => `${openAlerts.value.length}${isCrowded.value ? "+" : ""}`);

/** How many alerts are open at each level, worst first; levels without any are left out. */
export const openByLevel = computed(() =>
  LEVELS.toReversed()
    .map((level) => ({ level, count: openAlerts.value.filter((alert) => alert.level === level).length }))
    .filter(({ count }) => count > 0),
);

/** Take one frame of the topic `alerts`. */
export function takeAlerts(kind: "snapshot" | "delta", data: unknown): void {
  const frame = decodeAlerts(data);
  alerts.value = kind === "snapshot" || alerts.value === null ? frame : foldAlerts(alerts.value, frame);
  const isFull = alerts.value.alerts.filter(({ status }) => status !== "resolved").length >= MAX_OPEN_LISTED;
  // What ends afterwards makes known none of those that were left out.
  isCrowded.value = isFull || (kind === "delta" && isCrowded.value);
}

/** Forget what was shown: another key may belong to another tenant. */
export function forgetAlerts(): void {
  alerts.value = null;
  isCrowded.value = false;
}

function byUrgency(a: AlertView, b: AlertView): number {
  return rank(b.level) - rank(a.level) || b.sinceMs - a.sinceMs;
}

function rank(level: Level): number {
  return LEVELS.indexOf(level);
}
