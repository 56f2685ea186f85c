import type { PatternInfo } from "../durable-objects/aggregator/patterns.ts";
import { type Figure, figureMetrics, type MetricFamily, seconds } from "./metrics.ts";

const FIGURES: readonly Figure<PatternInfo>[] = [
  ["watermark_seconds", "gauge", "Watermark, Unix time.", ({ watermark }) => seconds(watermark)],
  ["buffered_events", "gauge", "Events held until they can matter no more.", ({ kept }) => kept?.buffered ?? null],
  ["keys", "gauge", "Keys with buffered events.", ({ kept }) => kept?.keys ?? null],
  ["matches_total", "counter", "Matches told.", ({ kept }) => kept?.matches ?? null],
  ["retracted_total", "counter", "Matches taken back.", ({ kept }) => kept?.retracted ?? null],
  ["late_events_total", "counter", "Events behind the watermark that were taken.", ({ kept }) => kept?.late ?? null],
  ["too_late_events_total", "counter", "Events too old to be taken.", ({ kept }) => kept?.tooLate ?? null],
  ["dropped_events_total", "counter", "Events dropped at a limit.", ({ kept }) => kept?.dropped ?? null],
  ["unkeyed_events_total", "counter", "Events that pass a filter and have no key.", ({ unkeyed }) => unkeyed],
  ["filter_errors_total", "counter", "Events on which an expression failed.", ({ filterErrors }) => filterErrors],
];

/** A tenant's patterns as metric families; none without patterns. */
export function patternMetrics(patterns: readonly PatternInfo[]): MetricFamily[] {
  return figureMetrics("pattern", FIGURES, patterns, ({ definition }) => definition.name);
}
