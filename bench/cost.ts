import { setTimeout as wait } from "node:timers/promises";
import { field } from "../cli/api.ts";
import { addAggregations, readProgress } from "./aggregations.ts";
import { runLoad } from "./load.ts";
import { startBenchPlatform } from "./platform.ts";
import type { BenchPlatform } from "./platform.ts";
import { priceOf } from "./prices.ts";
import type { Priced, Quantities } from "./prices.ts";

/** How events were sent. */
export interface Traffic {
  /** Events in a request; 1 means POST /events/batch with one event. */
  readonly batch: number;
  readonly ratePerSecond: number;
  readonly seconds: number;
}

/** Billed operations of a measured run, per million events. */
export interface CostResult {
  readonly traffic: Traffic;
  readonly events: number;
  readonly perMillion: Quantities;
  /** Dollars per million events. */
  readonly dollars: Readonly<Record<Priced, number>>;
  readonly total: number;
  /** D1 and objects together, deletes, indexes and alarms included. */
  readonly rowsWrittenPerEvent: number;
  /** Calls by binding and method, in the run as it was. */
  readonly byMethod: unknown;
}

const OBJECT_GB = 0.128;
/** Objects that are awake while events flow: the tenant's aggregator and its rate controller. */
const AWAKE_OBJECTS = 2;
const SETTLE_LIMIT_MS = 150_000;

/** Runs the traffic on a counting platform, waits until all of it is sealed, and counts. */
export async function measureCost(traffic: Traffic): Promise<CostResult> {
  const platform = await startBenchPlatform({ counting: true });
  try {
    await addAggregations(platform);
    const before = await readCounts(platform);
    const cpuBefore = platform.cpuSeconds() ?? 0;
    const startedAt = performance.now();
    const events = Math.ceil((traffic.ratePerSecond * traffic.seconds) / traffic.batch) * traffic.batch;
    const order = { url: platform.url, key: platform.key, seed: "cost", batch: traffic.batch, concurrency: 8, events };
    await runLoad({ ...order, ratePerSecond: traffic.ratePerSecond });
    const polls = await settle(platform, events);
    const cpuMs = ((platform.cpuSeconds() ?? cpuBefore) - cpuBefore) * 1000;
    const after = await readCounts(platform);
    const seconds = Math.max(traffic.seconds, (performance.now() - startedAt) / 1000);
    const counted = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    const quantities: Quantities = {
      // The polls of this benchmark are no part of the traffic.
      workerRequests: counted("worker_requests") - polls.requests + counted("queue_batches"),
      workerCpuMs: cpuMs,
      queueOperations: counted("queue_operations"),
      objectRequests: counted("object_requests") - polls.objectRequests,
      objectGbSeconds: seconds * OBJECT_GB * AWAKE_OBJECTS,
      d1RowsWritten: counted("d1_rows_written"),
      d1RowsRead: counted("d1_rows_read"),
      objectRowsWritten: counted("object_rows_written") + counted("alarms_set"),
      objectRowsRead: counted("object_rows_read"),
    };
    return summarize(traffic, events, quantities, await byMethod(platform));
  } finally {
    await platform.stop();
  }
}

function summarize(traffic: Traffic, events: number, quantities: Quantities, byMethodCounts: unknown): CostResult {
  const scale = 1e6 / events;
  const entries = Object.entries(quantities).map(([item, count]) => [item, count * scale]);
  const perMillion: Quantities = { ...quantities, ...Object.fromEntries(entries) };
  const dollars = priceOf(perMillion);
  return {
    traffic,
    events,
    perMillion,
    dollars,
    total: Object.values(dollars).reduce((sum, price) => sum + price, 0),
    rowsWrittenPerEvent: (quantities.d1RowsWritten + quantities.objectRowsWritten) / events,
    byMethod: byMethodCounts,
  };
}

/** Waits until every event is stored and in a D1 segment; what the waiting itself cost. */
async function settle(platform: BenchPlatform, events: number): Promise<{ requests: number; objectRequests: number }> {
  const deadline = performance.now() + SETTLE_LIMIT_MS;
  let requests = 0;
  let objectRequests = 0;
  while (performance.now() < deadline) {
    const before = await readCounts(platform);
    const { stored, unsealed } = await readProgress(platform);
    const after = await readCounts(platform);
    requests += (after.get("worker_requests") ?? 0) - (before.get("worker_requests") ?? 0);
    objectRequests += (after.get("object_requests") ?? 0) - (before.get("object_requests") ?? 0);
    if (stored >= events && unsealed === 0) return { requests, objectRequests };
    await wait(1_000);
  }
  throw new Error(`the platform did not seal ${events} events in ${SETTLE_LIMIT_MS / 1000} s`);
}

async function readCounts(platform: BenchPlatform): Promise<Map<string, number>> {
  const counts = Object.entries(Object(await platform.json("GET", "/__bench/counts")));
  return new Map(counts.flatMap(([name, value]) => (typeof value === "number" ? [[name, value] as const] : [])));
}

async function byMethod(platform: BenchPlatform): Promise<unknown> {
  return field(await platform.json("GET", "/__bench/counts"), "by_method");
}
