import { fields, instant, list, number, text, type Fields } from "../live/decode.ts";

/** One aggregation as the list shows it. */
export interface AggregationInfo {
  readonly name: string;
  readonly description: string;
  /** `1h`, `1h every 5m`, `30m gap` … */
  readonly windowSize: string;
  readonly filter: string;
  readonly groupBy: readonly string[];
  /** `requests: count`, `p95: quantile of data.bytes` … */
  readonly measures: readonly string[];
  readonly isBuiltIn: boolean;
  /** Epoch ms; null before its first event. */
  readonly watermarkMs: number | null;
  readonly openWindows: number;
  readonly lateEvents: number;
  readonly duplicateEvents: number;
  readonly filterErrors: number;
}

/** Read the answer of `GET /api/v1/aggregations`. */
export function decodeAggregationList(data: unknown): AggregationInfo[] {
  return list(fields(data)?.["aggregations"], decodeAggregationInfo);
}

function decodeAggregationInfo(value: unknown): AggregationInfo | null {
  const found = fields(value);
  if (found === null || text(found["name"]) === "") return null;
  return {
    name: text(found["name"]),
    description: text(found["description"]),
    windowSize: windowText(fields(found["window"]) ?? {}),
    filter: text(found["filter"]),
    groupBy: list(found["group_by"], (path) => text(path) || null),
    measures: Object.entries(fields(found["measures"]) ?? {}).map(([name, measure]) => measureText(name, measure)),
    isBuiltIn: found["built_in"] === true,
    watermarkMs: instant(found["watermark"]),
    openWindows: number(found["open_windows"]),
    lateEvents: number(found["late_events"]),
    duplicateEvents: number(found["duplicate_events"]),
    filterErrors: number(found["filter_errors"]),
  };
}

function windowText(window: Fields): string {
  const [size, slide, gap, timezone] = ["size", "slide", "gap", "timezone"].map((name) => text(window[name]));
  if (gap !== "") return `${gap} gap`;
  if (slide !== "") return `${size} every ${slide}`;
  return timezone === "" ? `${size}` : `${size} in ${timezone}`;
}

function measureText(name: string, measure: unknown): string {
  const found = fields(measure) ?? {};
  const of = text(found["field"]);
  return `${name}: ${text(found["fn"])}${of === "" ? "" : ` of ${of}`}`;
}
