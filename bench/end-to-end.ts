import { setTimeout as wait } from "node:timers/promises";
import { USER_AGGREGATIONS, addAggregations, countInWindows, readProgress, totalEvents } from "./aggregations.ts";
import { prepareLoad } from "./load.ts";
import { startBenchPlatform } from "./platform.ts";
import type { BenchPlatform } from "./platform.ts";

/** How long a number of distinct events takes to be stored, deduplicated and aggregated. */
export interface EndToEndResult {
  readonly events: number;
  /** Events per second from the first request until everything below is true. */
  readonly eventsPerSecond: number;
  /** Seconds from the first request until … */
  readonly accepted: number;
  /** … every user aggregation's windows count all of them, */
  readonly aggregated: number;
  /** … all are stored, by the platform's own count of distinct events, */
  readonly stored: number;
  /** … and as many are in D1 segments. */
  readonly sealed: number;
  /** Events that /api/v1/stats counts in the end, those that followed included. */
  readonly total: number;
  readonly bytesPerEvent: number;
  readonly refused: number;
  /** Of the load process, in cores. */
  readonly loadCpu: number;
  /** CPU seconds of workerd per million events. */
  readonly workerdCpuPerMillion: number | null;
  /** Bytes; null where the system does not tell. */
  readonly peakMemory: number | null;
}

const BATCH = 500;
const CONCURRENCY = 8;
const POLL_MS = 250;
const GIVE_UP_AFTER_SECONDS = 300;
const SETTLE_SECONDS = 30;
/**
 * Sent behind the events that are counted. The last events of any run lie in an unfinished segment, which is sealed after
 * a minute; with these behind them, the counted ones are sealed as they are in a stream that goes on.
 */
const FOLLOWING_EVENTS = 25_000;

/** Runs it on a fresh platform: one tenant, the built-in aggregations and two of a user. @param prepare makes what else the platform has to do */
export async function measureEndToEnd(
  events: number,
  prepare: (platform: BenchPlatform) => Promise<void> = async () => undefined,
): Promise<EndToEndResult> {
  const platform = await startBenchPlatform();
  try {
    await addAggregations(platform);
    await prepare(platform);
    const order = { url: platform.url, key: platform.key, batch: BATCH, concurrency: CONCURRENCY };
    const load = await prepareLoad({ ...order, seed: "end to end", events });
    const following = await prepareLoad({ ...order, seed: "following", events: FOLLOWING_EVENTS });
    // Far enough back for the start of every window: the events are some seconds old, and windows are a minute long.
    const sinceMs = Date.now() - 3_600_000;
    const cpuBefore = platform.cpuSeconds() ?? 0;
    const startedAt = performance.now();
    const result = await load.run();
    const [reached] = await Promise.all([watch(platform, events, sinceMs, startedAt), following.run()]);
    const last = Math.max(reached.aggregated, reached.stored, reached.sealed);
    const cpu = platform.cpuSeconds();
    const total = await settledTotal(platform, events + FOLLOWING_EVENTS);
    return {
      events,
      eventsPerSecond: events / last,
      accepted: result.seconds,
      ...reached,
      total,
      bytesPerEvent: result.bytesPerEvent,
      refused: result.refused,
      loadCpu: result.cpu,
      workerdCpuPerMillion: cpu === null ? null : ((cpu - cpuBefore) / (events + FOLLOWING_EVENTS)) * 1e6,
      peakMemory: platform.peakMemory(),
    };
  } finally {
    await platform.stop();
  }
}

/** Polls until every count has reached `events`; the seconds at which each one was first seen there. */
async function watch(platform: BenchPlatform, events: number, sinceMs: number, startedAt: number) {
  const seconds = (): number => (performance.now() - startedAt) / 1000;
  let [aggregated, stored, sealed]: (number | undefined)[] = [];
  while (aggregated === undefined || stored === undefined || sealed === undefined) {
    if (seconds() > GIVE_UP_AFTER_SECONDS) throw new Error(await explain(platform, events, sinceMs));
    const progress = await readProgress(platform);
    if (progress.stored >= events) stored ??= seconds();
    if (progress.stored - progress.unsealed >= events) sealed ??= seconds();
    // Reading windows is no small query, so it waits until it can succeed.
    if (stored !== undefined && aggregated === undefined && (await fewest(platform, sinceMs)) >= events)
      aggregated = seconds();
    await wait(POLL_MS);
  }
  return { aggregated, stored, sealed };
}

/** The events that followed may still be on their way. @throws Error when not exactly as many as were sent are counted in the end */
async function settledTotal(platform: BenchPlatform, sent: number): Promise<number> {
  const giveUpAt = performance.now() + SETTLE_SECONDS * 1000;
  for (;;) {
    const total = await totalEvents(platform);
    if (total === sent) return total;
    if (total > sent || performance.now() > giveUpAt) throw new Error(`${sent} events were sent, ${total} are counted`);
    await wait(POLL_MS);
  }
}

async function fewest(platform: BenchPlatform, sinceMs: number): Promise<number> {
  const counts = USER_AGGREGATIONS.map(({ name }) => countInWindows(platform, name, "requests", sinceMs));
  return Math.min(...(await Promise.all(counts)));
}

async function explain(platform: BenchPlatform, events: number, sinceMs: number): Promise<string> {
  const [{ stored, unsealed }, windows] = [await readProgress(platform), await fewest(platform, sinceMs)];
  return `of ${events} events, ${stored} are stored, ${windows} are in windows and ${unsealed} are unsealed after ${GIVE_UP_AFTER_SECONDS} s`;
}
