// What becomes of an alert's record when something happens to it. The clock is ours (epoch ms); windows are event time.
import { alertMessage } from "./alert.ts";
import type { AlertRecord, EndReason } from "./alert.ts";
import type { Transition } from "./evaluate.ts";
import type { Values, WindowTime } from "./group.ts";
import type { RuleSpec } from "./rule.ts";
import { rendered } from "./template.ts";

/** One line of an alert's history. `suppressed` and `unsuppressed` say what kept it quiet, `escalated` whom it went to. */
export interface HistoryEntry {
  readonly at: number;
  readonly kind: "pending" | "firing" | "suppressed" | "unsuppressed" | "escalated" | "acknowledged" | "resolved";
  /** Who did it; null when the rule did. */
  readonly by: string | null;
  readonly comment: string | null;
  readonly reason: EndReason | null;
  /** The window that was evaluated and its values; null when none was. */
  readonly window: WindowTime | null;
  readonly values: Values | null;
  /** What keeps it quiet, of `suppressed`; the channel's id, of `escalated`. */
  readonly details?: readonly string[];
}

/** Somebody acting on an alert. */
export interface Hand {
  readonly by: string | null;
  readonly comment: string | null;
}

const NOBODY: Hand = { by: null, comment: null };

/** A new record of what comes after, with the line for its history. */
export interface Chapter {
  readonly record: AlertRecord;
  readonly entry: HistoryEntry;
}

/** A rule as far as its alerts carry it. */
export interface AlertSource extends RuleSpec {
  readonly id: string;
}

/** The record after a transition of an open alert. @param record null when this opens the alert */
export function afterTransition(
  record: AlertRecord | null,
  { kind, reason, instance, window, values }: Transition,
  rule: AlertSource,
  nowMs: number,
): Chapter {
  const entry = { at: nowMs, ...NOBODY, window, values };
  const open = record ?? openRecord(rule, instance, nowMs);
  const shown = { ...open, window: instance.window, values: instance.values };
  switch (kind) {
    case "pending":
      return { record: { ...shown, status: "pending" }, entry: { ...entry, kind, reason } };
    case "firing": {
      const told = { ...shown, ...wordsOf(rule, instance) };
      return { record: { ...told, status: "firing", firedAt: nowMs }, entry: { ...entry, kind, reason } };
    }
    case "resolved":
    case "dropped": {
      const ended = { ...shown, status: "resolved" as const, resolvedAt: nowMs, endReason: reason };
      return { record: ended, entry: { ...entry, kind: "resolved", reason } };
    }
  }
}

/** The record after somebody acknowledged it. */
export function afterAcknowledgement(record: AlertRecord, hand: Hand, nowMs: number): Chapter {
  const entry = { at: nowMs, kind: "acknowledged" as const, ...hand, reason: null, window: null, values: null };
  return { record: { ...record, status: "acknowledged", acknowledgedBy: hand.by, acknowledgedAt: nowMs }, entry };
}

/** The record after somebody resolved it, or its rule was changed, disabled or deleted. */
export function afterEnding(record: AlertRecord, reason: EndReason, hand: Hand, nowMs: number): Chapter {
  const entry = { at: nowMs, kind: "resolved" as const, ...hand, reason, window: null, values: null };
  return { record: { ...record, status: "resolved", resolvedAt: nowMs, endReason: reason }, entry };
}

function openRecord(rule: AlertSource, instance: Transition["instance"], nowMs: number): AlertRecord {
  return {
    id: instance.alertId,
    ruleId: rule.id,
    ruleName: rule.name,
    ...(instance.kind === undefined ? {} : { kind: instance.kind }),
    level: instance.kind === "no_data" ? (rule.no_data?.level ?? rule.level) : rule.level,
    status: "pending",
    group: instance.group,
    window: instance.window,
    values: instance.values,
    startedAt: nowMs,
    firedAt: null,
    acknowledgedAt: null,
    acknowledgedBy: null,
    resolvedAt: null,
    endReason: null,
    labels: rule.labels,
    channels: rule.channels,
    ...wordsOf(rule, instance),
  };
}

/** What people read of it. An annotation called `summary` is its message, but not of a silence: that has no values to sum up. */
function wordsOf(rule: AlertSource, instance: Transition["instance"]): Pick<AlertRecord, "annotations" | "message"> {
  const { name, level, threshold, labels } = rule;
  const values = { rule: name, level, threshold, labels, ...instance };
  const texts = Object.entries(rule.annotations).map(([key, text]) => [key, rendered(text, values)] as const);
  const annotations = Object.fromEntries(texts);
  const { summary = "" } = annotations;
  const isSummed = summary !== "" && instance.kind !== "no_data";
  return { annotations, message: isSummed ? summary : alertMessage(rule, instance) };
}
