import type { MetricFamily } from "./metrics.ts";

/** What each figure of the live hub says. Counters begin anew when one of its objects wakes. */
const LIVE_FIGURES: Readonly<Record<string, readonly [type: MetricFamily["type"], help: string]>> = {
  sockets: ["gauge", "Live sockets that are open."],
  nodes: ["gauge", "Objects beside the tenant's first that hold live sockets."],
  frames_sent: ["counter", "Frames sent to live sockets."],
  frames_conflated: ["counter", "Frames that slow readers were not sent, because a snapshot took their place."],
  gaps: ["counter", "Times a slow reader was told that frames were dropped for it."],
};

/** Figures of a tenant's live hub by name, as metric families. */
export function liveMetrics(figures: Readonly<Record<string, number>>): MetricFamily[] {
  return Object.entries(LIVE_FIGURES).flatMap(([name, [type, help]]) => {
    const value = figures[name];
    const suffix = type === "counter" ? "_total" : "";
    return value === undefined
      ? []
      : [{ name: `streamflow_live_${name}${suffix}`, help, type, samples: [{ labels: {}, value }] }];
  });
}
