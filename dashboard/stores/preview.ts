import type { JsonValue } from "../../core/events/event.ts";
import { label } from "../format/value.ts";
import { fields, instant, jsonFields, list, text } from "../live/decode.ts";

/** What a rule would have done over some time. */
export interface Preview {
  readonly fromMs: number;
  readonly toMs: number;
  readonly threshold: number | null;
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
export function groupName(group: Readonly<Record<string, JsonValue>>): string {
  const parts = Object.entries(group).map(([path, value]) => `${path} ${label(value)}`);
  return parts.join(" · ") || "all";
}

/** Read the answer of `POST /api/v1/rules/backtest`. */
export function decodePreview(data: unknown): Preview {
  const found = fields(data) ?? {};
  return {
    fromMs: instant(found["from"]) ?? 0,
    toMs: instant(found["to"]) ?? 0,
    threshold: typeof found["threshold"] === "number" ? found["threshold"] : null,
    series: list(found["series"], decodeSeries),
    spans: list(found["intervals"], decodeSpan),
    note: text(found["note"]),
  };
}

function decodeSeries(value: unknown): PreviewSeries | null {
  const found = fields(value);
  if (found === null) return null;
  const points = list(found["points"], (point) => {
    const at = fields(point);
    const atMs = instant(at?.["end"]);
    const shown = at?.["value"];
    return atMs === null ? null : { atMs, value: typeof shown === "number" ? shown : null };
  });
  return { name: groupName(jsonFields(found["group"])), points };
}

function decodeSpan(value: unknown): PreviewSpan | null {
  const found = fields(value);
  const [fromMs, toMs] = [instant(found?.["from"]), instant(found?.["to"])];
  if (found === null || fromMs === null || toMs === null) return null;
  const state = found["state"] === "pending" ? "pending" : "firing";
  return { name: groupName(jsonFields(found["group"])), state, fromMs, toMs };
}
