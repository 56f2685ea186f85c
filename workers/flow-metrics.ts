import type { FlowState } from "../durable-objects/rate/state.ts";
import type { MetricFamily } from "./metrics.ts";

/** A tenant's flow as metric families. */
export function flowMetrics({ state, ledger, quota, weight }: FlowState): MetricFamily[] {
  return [
    gauge("pressed", "1 while there is a queue, or was within the last second.", state.pressed ? 1 : 0),
    gauge("limit_events_per_second", "Events that may come now; absent without a limit.", state.limit),
    gauge("quota_events_per_second", "Configured quota.", quota.events_per_second),
    gauge("weight", "Part of a shared capacity, relative to other tenants.", weight),
    gauge("window_events", "Events that should be in flight at most.", state.window),
    gauge("in_flight_events", "Events accepted and not yet applied.", state.in_flight),
    gauge("backlog_events", "Events in flight beyond the window.", state.backlog),
    gauge("oldest_message_seconds", "Age of the oldest message when last heard of.", state.oldest_message_ms / 1000),
    gauge("capacity_events_per_second", "Events applied when there is a queue.", state.capacity_per_second),
    counter("requests_admitted", "Requests let in, as reported.", ledger.requests.admitted),
    counter("requests_refused", "Requests refused for load, as reported.", ledger.requests.refused),
    counter("events_admitted", "Events put on the queue, as reported.", ledger.events.admitted),
    counter("events_applied", "Events taken from the queue.", ledger.events.applied),
    counter("refusals", "Calls to objects that were refused since the controller started.", state.refusals),
    {
      name: "streamflow_flow_circuit_open",
      help: "1 while the circuit is open, 0.5 while half open.",
      type: "gauge",
      samples: Object.entries(state.circuits).map(([circuit, is]) => ({
        labels: { circuit },
        value: is === "open" ? 1 : is === "half_open" ? 0.5 : 0,
      })),
    },
  ];
}

/** @param value null leaves it out */
function gauge(name: string, help: string, value: number | null): MetricFamily {
  const samples = value === null ? [] : [{ labels: {}, value }];
  return { name: `streamflow_flow_${name}`, help, type: "gauge", samples };
}

function counter(name: string, help: string, value: number): MetricFamily {
  return { name: `streamflow_flow_${name}_total`, help, type: "counter", samples: [{ labels: {}, value }] };
}
