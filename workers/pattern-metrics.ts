import type { PatternInfo } from "../durable-objects/aggregator/patterns.ts";
import type { MetricFamily } from "./metrics.ts";

/** What each figure of a pattern says; null where there is none at the moment. */
const FIGURES: readonly (readonly [
  name: string,
  type: MetricFamily["type"],
  help: string,
  value: (one: PatternInfo) => number | null,
])[] = [
  ["watermark_seconds", "gauge", "Watermark, Unix time.", ({ watermark }) => (watermark ?? NaN) / 1000],
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
  return FIGURES.map(([name, type, help, value]) => ({
    name: `streamflow_pattern_${name}`,
    help,
    type,
    samples: patterns.flatMap((one) => {
      const figure = value(one);
      const labels = { pattern: one.definition.name };
      return figure === null || Number.isNaN(figure) ? [] : [{ labels, value: figure }];
    }),
  }));
}
