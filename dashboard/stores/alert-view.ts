import type { JsonValue } from "../../core/events/event.ts";
import type { AlertJson } from "../../core/live/protocol.ts";
import { fields, instant, jsonFields, text } from "../live/decode.ts";

/** From harmless to worst. */
export const LEVELS = ["info", "warning", "error", "critical"] as const;
export type Level = (typeof LEVELS)[number];

/** An alert as the page shows it. */
export interface AlertView {
  readonly id: string;
  readonly status: AlertJson["status"];
  readonly level: Level;
  readonly ruleName: string;
  /** Group values by path, e.g. `{"data.status": 500}`. */
  readonly group: Readonly<Record<string, JsonValue>>;
  /** Measures of the window that decided, by name. */
  readonly values: Readonly<Record<string, JsonValue>>;
  /** When the present status began, epoch ms. */
  readonly sinceMs: number;
  readonly isOpen: boolean;
}

/** Read what the page needs out of an alert. */
export function viewAlert(alert: AlertJson): AlertView {
  const rule = fields(alert["rule"]);
  return {
    id: alert.id,
    status: alert.status,
    level: LEVELS.find((level) => level === alert["level"]) ?? "warning",
    ruleName: text(rule?.["name"] ?? alert["rule_name"], "Unnamed rule"),
    group: jsonFields(alert["group"]),
    values: jsonFields(alert["values"]),
    sinceMs: since(alert),
    isOpen: alert.status === "firing" || alert.status === "acknowledged",
  };
}

/** The youngest of the instants that the alert's status can have begun at. */
function since(alert: AlertJson): number {
  const names = {
    pending: ["pending_at", "started_at", "created_at"],
    firing: ["fired_at", "firing_at", "started_at", "created_at"],
    acknowledged: ["acknowledged_at", "fired_at"],
    resolved: ["resolved_at", "updated_at"],
    suppressed: ["suppressed_at", "fired_at", "created_at"],
  }[alert.status];
  return names.map((name) => instant(alert[name])).find((at) => at !== null) ?? 0;
}
