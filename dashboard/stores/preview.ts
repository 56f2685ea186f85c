import type { JsonValue } from "../../core/events/event.ts";
import { label } from "../format/value.ts";
import { fields, type Fields, instant, jsonFields, list, number, text } from "../live/decode.ts";

/** What a rule would have done over some time. */
export interface Preview {
  readonly fromMs: number;
  readonly toMs: number;
  readonly threshold: number | null;
  /** How many alerts fired, those beyond the listed ones too. */
  readonly fired: number;
  readonly series: readonly PreviewSeries[];
  readonly spans: readonly PreviewSpan[];
  /** What was left out or cut, in words; empty when nothing was. */
  readonly note: string;
}

/** One group's values, window by window. */
export interface PreviewSeries {
  readonly name: string;
  /** End of each window and the value of the first measure that the condition reads; null where it has none. */
  readonly points: readonly { readonly atMs: number; readonly value: number | null }[];
}

/** A stretch in which one group's alert would have been open. */
export interface PreviewSpan {
  readonly name: string;
  readonly state: "pending" | "firing";
  readonly fromMs: number;
  readonly toMs: number;
}

/** A group in words. */
function groupName(group: Readonly<Record<string, JsonValue>>): string {
  const parts = Object.entries(group).map(([path, value]) => `${path} ${label(value)}`);
  return parts.join(" · ") || "all";
}

/** Read the answer of `POST /api/v1/rules/backtest`. */
export function decodePreview(data: unknown): Preview {
  const found = fields(data) ?? {};
  const toMs = instant(found["evaluated_through"]) ?? instant(found["to"]) ?? 0;
  const fromMs = instant(found["from"]) ?? 0;
  return {
    fromMs,
    toMs: Math.max(toMs, fromMs + 1),
    threshold: comparedTo(fields(found["rule"]) ?? {}, found["threshold"]),
    fired: number(found["fired"]),
    series: list(found["series"], decodeSeries),
    spans: list(found["alerts"], (alert) => decodeAlert(alert, toMs)).flat(),
    note: noteOf(found),
  };
}

/** The threshold, where the condition compares a measure with it as it is: only then it lies on the measure's scale. */
function comparedTo(rule: Fields, threshold: unknown): number | null {
  const isCompared = /(?:^|[\s(&|])\w+\s*[<>]=?\s*threshold(?!\s*[*/+-])/.test(text(rule["condition"]));
  return isCompared && typeof threshold === "number" ? threshold : null;
}

function noteOf(found: Fields): string {
  const [errors, refused] = [number(found["condition_errors"]), number(found["refused_groups"])];
  return [
    errors > 0 ? `The condition failed ${errors} times: ${text(found["last_error"])}.` : "",
    refused > 0 ? `${refused} groups were too many to watch.` : "",
  ]
    .filter((note) => note !== "")
    .join(" ");
}

function decodeSeries(value: unknown): PreviewSeries | null {
  const found = fields(value);
  if (found === null) return null;
  const points = list(found["points"], (point) => {
    const at = fields(point);
    const atMs = instant(at?.["end"]);
    // The first measure that the condition reads is what the line shows.
    const [shown] = Object.values(fields(at?.["values"]) ?? {});
    return atMs === null ? null : { atMs, value: typeof shown === "number" ? shown : null };
  });
  return { name: groupName(jsonFields(found["group"])), points };
}

/** @param toMs until when the preview goes: what was not over by then is drawn up to there */
function decodeAlert(value: unknown, toMs: number): PreviewSpan[] {
  const found = fields(value) ?? {};
  const name = groupName(jsonFields(found["group"])) + (found["no_data"] === true ? " (no data)" : "");
  return list(found["intervals"], (interval) => {
    const span = fields(interval);
    const fromMs = instant(span?.["from"]);
    if (span === null || fromMs === null) return null;
    return {
      name,
      state: span["state"] === "pending" ? "pending" : "firing",
      fromMs,
      toMs: instant(span["to"]) ?? toMs,
    };
  });
}
