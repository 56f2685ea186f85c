import { type Level, LEVELS } from "../../core/alerts/level.ts";
import type { JsonValue } from "../../core/events/event.ts";
import type { AlertJson } from "../../core/live/protocol.ts";
import { fields, instant, jsonFields, text } from "../live/decode.ts";

/** An alert as the page shows it. */
export interface AlertView {
  readonly id: string;
  readonly status: AlertJson["status"];
  readonly level: Level;
  readonly ruleId: string;
  readonly ruleName: string;
  /** One line for people. */
  readonly message: string;
  readonly acknowledgedBy: string;
  /** Group values by path, e.g. `{"data.status": 500}`. */
  readonly group: Readonly<Record<string, JsonValue>>;
  /** The group went quiet: there are no values to tell. */
  readonly isNoData: boolean;
  /** Measures of the window that decided, by name. */
  readonly values: Readonly<Record<string, JsonValue>>;
  /** When it fired, or was resolved, or (while pending) when its condition began to hold; epoch ms. */
  readonly sinceMs: number;
  readonly isOpen: boolean;
}

/** Read what the page needs out of an alert. */
export function viewAlert(alert: AlertJson): AlertView {
  const startedMs = instant(alert["started_at"]) ?? 0;
  const firedMs = instant(alert["fired_at"]) ?? startedMs;
  return {
    id: alert.id,
    status: alert.status,
    level: LEVELS.find((level) => level === alert["level"]) ?? "warning",
    ruleId: text(fields(alert["rule"])?.["id"]),
    message: text(alert["message"]),
    acknowledgedBy: text(alert["acknowledged_by"]),
    ruleName: text(fields(alert["rule"])?.["name"], "Unnamed rule"),
    group: jsonFields(alert["group"]),
    isNoData: alert["kind"] === "no_data",
    values: jsonFields(alert["values"]),
    sinceMs: alert.status === "resolved" ? (instant(alert["resolved_at"]) ?? firedMs) : firedMs,
    isOpen: alert.status === "firing" || alert.status === "acknowledged",
  };
}
