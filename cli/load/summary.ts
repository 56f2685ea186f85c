/** What became of the events of a load run. `offered` = the sum of the others. */
export interface LoadTotals {
  offered: number;
  accepted: number;
  rejected: number;
  /** Refused for load: 429. */
  limited: number;
  /** Refused for an outage: 503. */
  unavailable: number;
  /** No answer, or any other error. */
  failed: number;
}

/** Latencies in ms, of requests that were answered. */
export interface LoadSummary extends LoadTotals {
  readonly requests: number;
  readonly seconds: number;
  readonly events_per_second: number;
  readonly latency_ms: {
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly max: number;
  } | null;
}

/** Totals and latencies of a run that took `seconds`. */
export function summarize(
  totals: LoadTotals,
  latencies: readonly number[],
  requests: number,
  seconds: number,
): LoadSummary {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (q: number): number => round(sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0);
  return {
    ...totals,
    requests,
    seconds: round(seconds),
    events_per_second: seconds > 0 ? Math.round(totals.accepted / seconds) : 0,
    latency_ms: sorted.length === 0 ? null : { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) },
  };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function count(n: number): string {
  return n.toLocaleString("en");
}

/** The summary for people. */
export function formatSummary(summary: LoadSummary): string {
  const { latency_ms: latency } = summary;
  const lines = [
    `${count(summary.offered)} events offered in ${count(summary.requests)} requests and ${summary.seconds.toFixed(1)} s`,
    `  accepted     ${count(summary.accepted)}  (${count(summary.events_per_second)}/s)`,
    `  rejected     ${count(summary.rejected)}`,
    `  limited      ${count(summary.limited)}`,
    `  unavailable  ${count(summary.unavailable)}`,
    `  failed       ${count(summary.failed)}`,
  ];
  if (latency !== null) {
    lines.push(
      `  latency      p50 ${latency.p50} ms, p90 ${latency.p90} ms, p99 ${latency.p99} ms, max ${latency.max} ms`,
    );
  }
  return `${lines.join("\n")}\n`;
}
