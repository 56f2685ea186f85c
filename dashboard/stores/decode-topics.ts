/** The data of live frames, checked: what does not fit is left out, so that one odd item cannot blank the page. */
import { SEVERITIES } from "../../core/events/event.ts";
import type {
  AggregationDelta,
  AggregationSnapshot,
  AlertJson,
  AlertsSnapshot,
  DashboardSnapshot,
  EventJson,
  EventsDelta,
  FacetEntry,
  GoneWindow,
  SecondCount,
  WindowJson,
} from "../../core/live/protocol.ts";
import { fields, json, jsonFields, list, number, text, type Fields } from "../live/decode.ts";

const ALERT_STATUSES = ["pending", "firing", "acknowledged", "resolved", "suppressed"] as const;

/** Data of `dashboard:overview`, snapshot or delta; what a delta leaves out keeps the value of `before`. */
export function decodeOverview(data: unknown, before: DashboardSnapshot): DashboardSnapshot {
  const found = fields(data) ?? {};
  const totals = fields(found["totals"]) ?? {};
  return {
    seconds: list(found["seconds"], decodeSecond),
    facets: Object.fromEntries(
      Object.entries(fields(found["facets"]) ?? {}).map(([path, rows]) => [path, list(rows, decodeFacetEntry)]),
    ),
    watermark: found["watermark"] === undefined ? before.watermark : decodeMs(found["watermark"]),
    totals: {
      events: number(totals["events"], before.totals.events),
      duplicates: number(totals["duplicates"], before.totals.duplicates),
      late: number(totals["late"], before.totals.late),
    },
  };
}

/** Data of `events`, snapshot or delta. */
export function decodeEvents(data: unknown): EventsDelta {
  const found = fields(data) ?? {};
  return { events: list(found["events"], decodeEvent), skipped: number(found["skipped"]) };
}

/** Data of `alerts`, snapshot or delta. */
export function decodeAlerts(data: unknown): AlertsSnapshot {
  return { alerts: list(fields(data)?.["alerts"], decodeAlert) };
}

/** Data of `aggregation:<name>`, snapshot or delta. */
export function decodeAggregation(data: unknown): AggregationSnapshot & AggregationDelta {
  const found = fields(data) ?? {};
  const gone = list(found["gone"], decodeGone);
  return {
    name: text(found["name"]),
    watermark: decodeMs(found["watermark"]),
    windows: list(found["windows"], decodeWindow),
    ...(gone.length === 0 ? {} : { gone }),
  };
}

function decodeGone(value: unknown): GoneWindow | null {
  const found = fields(value);
  const start = text(found?.["start"]);
  return start === "" ? null : { start, group: jsonFields(found?.["group"]) };
}

function decodeMs(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function decodeSecond(value: unknown): SecondCount | null {
  const found = fields(value);
  if (found === null || typeof found["at"] !== "number") return null;
  const byType = Object.entries(fields(found["by_type"]) ?? {}).map(([type, count]) => [type, number(count)]);
  return { at: found["at"], total: number(found["total"]), by_type: Object.fromEntries(byType) };
}

function decodeFacetEntry(value: unknown): FacetEntry | null {
  return Array.isArray(value) ? [json(value[0]), number(value[1])] : null;
}

function decodeEvent(value: unknown): EventJson | null {
  const found = fields(value);
  const required = { id: text(found?.["id"]), timestamp: text(found?.["timestamp"]) };
  if (found === null || required.id === "" || required.timestamp === "") return null;
  return {
    ...required,
    type: text(found["type"]),
    source: text(found["source"]),
    received_at: text(found["received_at"], required.timestamp),
    severity: SEVERITIES.find((severity) => severity === found["severity"]) ?? "medium",
    data: jsonFields(found["data"]),
    metadata: jsonFields(found["metadata"]),
    ...optionalTexts(found),
    ...(Array.isArray(found["tags"]) ? { tags: list(found["tags"], (tag) => text(tag) || null) } : {}),
  };
}

function optionalTexts(found: Fields): { correlation_id?: string; session_id?: string; user_id?: string } {
  const names = ["correlation_id", "session_id", "user_id"] as const;
  return Object.fromEntries(names.flatMap((name) => (typeof found[name] === "string" ? [[name, found[name]]] : [])));
}

function decodeAlert(value: unknown): AlertJson | null {
  const found = fields(value);
  const status = ALERT_STATUSES.find((name) => name === found?.["status"]);
  const id = text(found?.["id"]);
  return found === null || status === undefined || id === "" ? null : { ...jsonFields(found), id, status };
}

function decodeWindow(value: unknown): WindowJson | null {
  const found = fields(value);
  const times = { start: text(found?.["start"]), end: text(found?.["end"]) };
  if (found === null || times.start === "") return null;
  return {
    ...times,
    status: found["status"] === "closed" ? "closed" : "open",
    revision: number(found["revision"]),
    partial: found["partial"] === true,
    group: jsonFields(found["group"]),
    values: jsonFields(found["values"]),
  };
}
