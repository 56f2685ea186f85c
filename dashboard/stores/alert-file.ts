import type { AlertJson } from "../../core/live/protocol.ts";
import type { JsonValue } from "../../core/events/event.ts";
import { type Fields, fields, instant, jsonFields, list, number, text } from "../live/decode.ts";
import { type AlertView, viewAlert } from "./alert-view.ts";
import { decodeAlerts } from "./decode-topics.ts";

/** One thing that happened to an alert. */
export interface HistoryLine {
  readonly atMs: number;
  /** `firing`, `acknowledged`, `silenced` … */
  readonly kind: string;
  /** Who did it; empty when the rule did. */
  readonly by: string;
  readonly comment: string;
  readonly reason: string;
  /** What kept it quiet, or which channel it was escalated to. */
  readonly details: readonly string[];
  readonly values: Readonly<Record<string, JsonValue>>;
}

/** One try to tell somebody. */
export interface DeliveryLine {
  readonly atMs: number;
  readonly messageId: string;
  readonly channelId: string;
  readonly attempt: number;
  readonly outcome: string;
  /** HTTP status, or null when there was no answer. */
  readonly status: number | null;
  readonly latencyMs: number;
  readonly error: string;
}

/** What has still to reach a channel. */
export interface WaitingLine {
  readonly messageId: string;
  readonly channelId: string;
  readonly attempts: number;
  readonly nextMs: number;
}

/** An alert with all that happened to it and all that was said of it. */
export interface AlertFile {
  readonly alert: AlertView;
  readonly windowStartMs: number | null;
  readonly windowEndMs: number | null;
  readonly startedMs: number | null;
  readonly resolvedMs: number | null;
  readonly reason: string;
  readonly labels: Readonly<Record<string, JsonValue>>;
  readonly annotations: Readonly<Record<string, JsonValue>>;
  readonly history: readonly HistoryLine[];
  readonly deliveries: readonly DeliveryLine[];
  readonly waiting: readonly WaitingLine[];
}

/** Read the answer of `GET /api/v1/alerts/{id}`. @throws Error when it is no alert */
export function decodeAlertFile(data: unknown): AlertFile {
  const found = fields(data) ?? {};
  const [alert] = decodeAlerts({ alerts: [data] }).alerts;
  if (alert === undefined) throw new Error("The server sent something that is no alert.");
  const window = fields(found["window"]) ?? {};
  return {
    alert: viewAlert(alert),
    windowStartMs: instant(window["start"]),
    windowEndMs: instant(window["end"]),
    startedMs: instant(found["started_at"]),
    resolvedMs: instant(found["resolved_at"]),
    reason: text(found["reason"]),
    labels: jsonFields(found["labels"]),
    annotations: jsonFields(found["annotations"]),
    history: list(found["history"], decodeHistory),
    deliveries: list(found["deliveries"], decodeDelivery),
    waiting: list(found["waiting"], decodeWaiting),
  };
}

/** Read one page of `GET /api/v1/alerts`. */
export function decodeAlertPage(data: unknown): { alerts: AlertView[]; next: string | null } {
  const page = decodeAlerts(data);
  return {
    alerts: page.alerts.map((alert: AlertJson) => viewAlert(alert)),
    next: text(fields(data)?.["next_cursor"]) || null,
  };
}

function decodeHistory(value: unknown): HistoryLine | null {
  const found = fields(value);
  const atMs = instant(found?.["at"]);
  if (found === null || atMs === null) return null;
  return {
    atMs,
    kind: text(found["kind"]),
    by: text(found["by"]),
    comment: text(found["comment"]),
    reason: text(found["reason"]),
    details: list(found["details"], (detail) => text(detail) || null),
    values: jsonFields(found["values"]),
  };
}

function decodeDelivery(value: unknown): DeliveryLine | null {
  const found = fields(value);
  const atMs = instant(found?.["at"]);
  if (found === null || atMs === null) return null;
  return {
    atMs,
    messageId: text(found["message_id"]),
    channelId: text(found["channel_id"]),
    attempt: number(found["attempt"]),
    outcome: text(found["outcome"]),
    status: statusOf(found),
    latencyMs: number(found["latency_ms"]),
    error: text(found["error"]),
  };
}

function decodeWaiting(value: unknown): WaitingLine | null {
  const found = fields(value);
  const nextMs = instant(found?.["next_attempt_at"]);
  if (found === null || nextMs === null) return null;
  const [messageId, channelId] = [text(found["message_id"]), text(found["channel_id"])];
  return { messageId, channelId, attempts: number(found["attempts"]), nextMs };
}

/** What a message said, from its id: `msg_<alert or bundle>_<what>`. Those of a bundle are numbered. */
export function whatWasTold(messageId: string): string {
  const [, what = "", nth = ""] = /^msg_[0-9a-f-]+_([a-z]+)?_?(\d*)$/.exec(messageId) ?? [];
  if (what === "") return nth === "" ? "" : `bundle ${nth}`;
  return what === "firing" && nth !== "" ? "firing, again" : `${what} ${nth}`.trim();
}

function statusOf({ status }: Fields): number | null {
  return typeof status === "number" ? status : null;
}
