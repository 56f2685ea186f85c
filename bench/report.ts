import type { AcceptedResult } from "./accepted.ts";
import type { LatencyResult } from "./alert-latency.ts";
import type { CostResult } from "./cost.ts";
import type { EndToEndResult } from "./end-to-end.ts";
import type { FeatureResult } from "./features.ts";
import type { LiveResult } from "./live.ts";
import type { TickResult } from "./tick.ts";

/** Thousands with commas, no fraction. */
function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function megabytes(bytes: number | null): string {
  return bytes === null ? "unknown on this system" : `${whole(bytes / 1e6)} MB`;
}

function lines(title: string, rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return `${title}\n${rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join("\n")}\n`;
}

/** (a) */
export function formatAccepted(result: AcceptedResult, consumer: "paused" | "running"): string {
  return lines(`Accepted over HTTP, 500 per batch, consumer ${consumer}`, [
    ["accepted", `${whole(result.accepted)} events/s`],
    ["parse-only Worker", `${whole(result.parseOnly)} events/s`],
    ["ratio", `${result.ratio.toFixed(3)} (goal ≥ 0.25)`],
    ["rounds", result.rounds.map((round) => `${whole(round.accepted)} / ${whole(round.parseOnly)}`).join(", ")],
    ["event", `${whole(result.bytesPerEvent)} B of JSON`],
    ["load process", `${result.loadCpu.toFixed(2)} cores; ${result.refused} requests refused and sent again`],
  ]);
}

/** (b) and (d) */
export function formatEndToEnd(result: EndToEndResult): string {
  const rate = (seconds: number): string => `${seconds.toFixed(1)} s (${whole(result.events / seconds)} events/s)`;
  return lines(`End to end, ${whole(result.events)} distinct events, 500 per batch, one tenant`, [
    ["stored, deduplicated, aggregated", `${whole(result.eventsPerSecond)} events/s (goal ≥ 60,000)`],
    ["accepted after", rate(result.accepted)],
    ["stored after", rate(result.stored)],
    ["in all windows after", rate(result.aggregated)],
    ["in D1 segments after", rate(result.sealed)],
    [
      "CPU of workerd",
      result.workerdCpuPerMillion === null
        ? "unknown"
        : `${result.workerdCpuPerMillion.toFixed(1)} s per million events`,
    ],
    ["load process", `${result.loadCpu.toFixed(2)} cores; ${result.refused} requests refused and sent again`],
    ["peak memory of workerd", `${megabytes(result.peakMemory)} (goal ≤ 1,000 MB)`],
  ]);
}

/** (w) */
export function formatFeatures(results: Record<string, FeatureResult>): string {
  return lines(
    "End to end with hopping windows, sessions and a pattern beside the tumbling windows",
    Object.entries(results).map(([variant, { rounds, ratio, cpuRatio }]) => [
      variant,
      `${rounds.map((round) => `${whole(round.eventsPerSecond)} events/s${cpu(round)}`).join("; ")}; mean ratio ${ratio.toFixed(3)}, by CPU ${cpuRatio?.toFixed(3) ?? "unknown"} (goal ≥ 0.9)`,
    ]),
  );
}

function cpu({ workerdCpuPerMillion }: EndToEndResult): string {
  return workerdCpuPerMillion === null ? "" : `, ${workerdCpuPerMillion.toFixed(1)} s of CPU per million`;
}

/** (c) */
export function formatLive(result: LiveResult): string {
  return lines(`POST to live frame at 1,000 events/s (${whole(result.events)} events, ${result.frames} frames)`, [
    ["p50", `${whole(result.p50)} ms (goal ≤ 300 ms)`],
    ["p99", `${whole(result.p99)} ms`],
    ["longest", `${whole(result.max)} ms`],
  ]);
}

export const EARLY_TITLE = "POST to webhook, early rule on an open 1-minute window";
export const CLOSED_TITLE = "W ≥ end to webhook, rule on closed windows";

/** From an event to its webhook. */
export function formatLatency(title: string, result: LatencyResult): string {
  return lines(`${title}, at 1,000 events/s (${whole(result.events)} events, ${whole(result.alerts)} alerts)`, [
    ["p50", `${whole(result.p50)} ms (goal ≤ 1,000 ms)`],
    ["p99", `${whole(result.p99)} ms (goal ≤ 2,000 ms)`],
    ["longest", `${whole(result.max)} ms`],
  ]);
}

const NAMES = {
  workerRequests: "Worker requests and queue batches",
  workerCpuMs: "CPU ms (all of workerd, so at most)",
  queueOperations: "queue operations",
  objectRequests: "object requests",
  objectGbSeconds: "object GB-s (awake throughout)",
  d1RowsWritten: "D1 rows written",
  d1RowsRead: "D1 rows read",
  objectRowsWritten: "object rows written, alarms included",
  objectRowsRead: "object rows read",
} as const;

/** (e) */
export function formatCost(result: CostResult): string {
  const { batch, ratePerSecond } = result.traffic;
  const how = batch === 1 ? "single posts" : `${batch} per batch`;
  const items = Object.entries(NAMES).map(([item, name]): [string, string] => {
    const priced = Object.entries(result.perMillion).find(([key]) => key === item)?.[1] ?? 0;
    const price = Object.entries(result.dollars).find(([key]) => key === item)?.[1] ?? 0;
    return [name, `${whole(priced).padStart(12)}  $${price.toFixed(4)}`];
  });
  return lines(`Per million events, ${how} at ${whole(ratePerSecond)}/s (${whole(result.events)} events measured)`, [
    ...items,
    ["list price", `${"".padStart(12)}  $${result.total.toFixed(4)}${batch === 500 ? " (goal ≤ $0.10)" : ""}`],
    ["rows written per event", result.rowsWrittenPerEvent.toFixed(4)],
    ["calls in this run", JSON.stringify(result.byMethod)],
  ]);
}

/** @param rules over how many rules the instances are spread */
export function formatTick(rules: number, result: TickResult): string {
  const spread = rules === 1 ? "one rule" : `${rules} rules`;
  return lines(`${whole(result.instances)} alert instances of ${spread}, all firing, one closed window`, [
    ["evaluated and made ready to be written, p50", `${milliseconds(result.p50)} (goal ≤ 100 ms)`],
    ["p99", milliseconds(result.p99)],
    ["longest", milliseconds(result.max)],
    ["evaluation alone, p50", milliseconds(result.evaluationP50)],
  ]);
}

function milliseconds(value: number): string {
  return `${value.toFixed(1)} ms`;
}
