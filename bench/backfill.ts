// `npm run bench:backfill`: what a backfill of years-old events does to live numbers, on one platform and in one run for each order of them.
import { parseArgs } from "node:util";
import { setTimeout as wait } from "node:timers/promises";
import { field, list } from "../cli/api.ts";
import { follow } from "../cli/live.ts";
import { totalEvents } from "./aggregations.ts";
import { environment } from "./environment.ts";
import { type BenchPlatform, startBenchPlatform } from "./platform.ts";

const LIVE_BATCH = 50;
const LIVE_PER_SECOND = 500;
const OLD_BATCH = 500;
const OLD_CONCURRENCY = 2;
const YEARS_MS = 3 * 365 * 24 * 3_600_000;
const FILE_MS = 3 * 24 * 3_600_000;
const WINDOW_MS = 1000;
/** How far the backfill has come is looked at this often: looking costs the platform milliseconds. */
const LOOK_EVERY_MS = 1000;
const AGGREGATION = {
  name: "bench_seconds",
  filter: "event.source == 'live'",
  window: { type: "tumbling", size: "1s" },
  measures: { n: { fn: "count" } },
  out_of_orderness: "0s",
};

interface Latencies {
  readonly p50: number;
  readonly p99: number;
}

/** What a live reader sees: when each window's count was reached, and when each closed. */
class Reader {
  readonly #counts = new Map<number, { at: number; n: number }[]>();
  readonly #closed = new Map<number, number>();
  readonly #stop: () => void;

  constructor(platform: BenchPlatform) {
    const reader = follow(platform, [`aggregation:${AGGREGATION.name}`], {
      apply: (_kind, _topic, data) => {
        for (const window of list(data, "windows")) this.#note(window, Date.now());
      },
      onPhase: () => undefined,
    });
    this.#stop = () => reader.stop();
  }

  stop(): void {
    this.#stop();
  }

  /** From a POST until a frame counts its events. */
  shown(posts: readonly { at: number; start: number; n: number }[]): Latencies {
    return spread(
      posts.flatMap(({ at, start, n }) => {
        const seen = this.#counts.get(start)?.find((frame) => frame.n >= n);
        return seen === undefined ? [] : [seen.at - at];
      }),
    );
  }

  /** From the end of a window until a frame says that it is closed; of those that live events came after, as it is they that close it. */
  closed(from: number, to: number): Latencies {
    const ends = [...this.#closed].filter(([start]) => start >= from && start + 2 * WINDOW_MS <= to);
    return spread(ends.map(([start, at]) => at - start - WINDOW_MS));
  }

  #note(window: unknown, at: number): void {
    const start = Date.parse(String(field(window, "start")));
    const n = Number(field(field(window, "values"), "n"));
    const counts = this.#counts.get(start) ?? [];
    counts.push({ at, n });
    this.#counts.set(start, counts);
    if (field(window, "status") === "closed" && !this.#closed.has(start)) this.#closed.set(start, at);
  }
}

function spread(values: readonly number[]): Latencies {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (q: number): number => Math.round(sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN);
  return { p50: at(0.5), p99: at(0.99) };
}

/** What producers were told to wait, seconds, one entry per refusal: they obey, so it is part of what they see. */
const waits: number[] = [];

async function post({ url, key }: BenchPlatform, events: readonly unknown[]): Promise<void> {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const body = JSON.stringify({ events });
  for (;;) {
    const answer = await fetch(`${url}/events/batch`, { method: "POST", headers, body });
    await answer.arrayBuffer();
    if (answer.ok) return;
    if (answer.status !== 429 && answer.status !== 503) throw new Error(`the platform answered ${answer.status}`);
    const seconds = Number(answer.headers.get("Retry-After") ?? 1);
    waits.push(seconds);
    await wait(1000 * seconds);
  }
}

/** Live events for so long, or until `isOver`. @returns when each batch was sent and which count of its window it completes */
async function live(
  platform: BenchPlatform,
  seconds: number,
  isOver: () => boolean,
): Promise<{ at: number; start: number; n: number }[]> {
  const posts: { at: number; start: number; n: number }[] = [];
  const answers: Promise<void>[] = [];
  const begun = Date.now();
  for (let k = 0; Date.now() < begun + seconds * 1000 || !isOver(); k++) {
    const due = begun + (k * LIVE_BATCH * 1000) / LIVE_PER_SECOND;
    if (due > Date.now()) await wait(due - Date.now());
    const at = Date.now();
    const start = Math.floor(at / WINDOW_MS) * WINDOW_MS;
    const last = posts.at(-1);
    posts.push({ at, start, n: (last?.start === start ? last.n : 0) + LIVE_BATCH });
    const events = Array.from({ length: LIVE_BATCH }, (_, e) => ({
      id: `live-${begun}-${k}-${e}`,
      type: "live.tick",
      source: "live",
      timestamp: new Date(at).toISOString(),
    }));
    answers.push(post(platform, events));
  }
  await Promise.all(answers);
  return posts;
}

/** Of the last three years, neighbours years apart; or of three days three years ago, one after the other, as a log file is. */
const ORDERS = {
  // The factor is a prime, so each place comes once.
  shuffled: (k: number, count: number) => -86_400_000 - Math.floor((((k * 7_368_787) % count) / count) * YEARS_MS),
  file: (k: number, count: number) => -YEARS_MS + Math.floor((k / count) * FILE_MS),
};
type Order = keyof typeof ORDERS;
/** So many that it takes a quarter of a minute or more. */
const EVENTS: Readonly<Record<Order, number>> = { shuffled: 200_000, file: 1_000_000 };

/** Sends old events. @returns seconds until all are accepted */
async function backfill(platform: BenchPlatform, count: number, order: Order): Promise<number> {
  const begun = performance.now();
  const now = Date.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const from = next;
      next += OLD_BATCH;
      const events = Array.from({ length: Math.min(OLD_BATCH, count - from) }, (_, e) => {
        const k = from + e;
        const timestamp = new Date(now + ORDERS[order](k, count)).toISOString();
        return { id: `old-${k}`, type: "old.event", source: "archive", timestamp, data: { status: k % 7 } };
      });
      await post(platform, events);
    }
  };
  await Promise.all(Array.from({ length: OLD_CONCURRENCY }, worker));
  return (performance.now() - begun) / 1000;
}

/** Events whose ids wait for a look-up in the store. */
async function waiting({ text }: BenchPlatform): Promise<number> {
  const figure = /^streamflow_events_late_pending(?:\{[^}]*\})? (\d+)$/m.exec(await text("/metrics"))?.[1];
  return Number(figure ?? Number.NaN);
}

async function oldEvents(platform: BenchPlatform): Promise<number> {
  const stats = field(await platform.json("GET", "/api/v1/stats"), "data");
  return Number(field(field(stats, "events_by_type"), "old.event") ?? 0);
}

async function untilStored(platform: BenchPlatform, events: number): Promise<void> {
  while ((await totalEvents(platform)) < events) await wait(200);
}

/** Notes now and then how many events wait for a look-up, until told to stop. */
async function mostWaiting(platform: BenchPlatform, isOver: () => boolean): Promise<number> {
  let most = 0;
  while (!isOver()) {
    most = Math.max(most, await waiting(platform));
    await wait(LOOK_EVERY_MS);
  }
  return most;
}

/** One backfill beside live events, on a platform of its own. */
async function measure(count: number, seconds: number, order: Order): Promise<Record<string, unknown>> {
  const platform = await startBenchPlatform();
  try {
    await platform.json("POST", "/api/v1/aggregations", AGGREGATION);
    const reader = new Reader(platform);
    await live(platform, 3, () => true);
    const quietFrom = Date.now();
    const quiet = await live(platform, seconds, () => true);
    const quietTo = Date.now();
    await wait(2000);
    const before = await totalEvents(platform);
    const busyFrom = Date.now();
    const begun = performance.now();
    waits.length = 0;
    const state = { isOver: false, accepted: 0, counted: 0 };
    const fillUp = async (): Promise<void> => {
      state.accepted = await backfill(platform, count, order);
      while ((await oldEvents(platform)) < count) await wait(LOOK_EVERY_MS);
      state.counted = (performance.now() - begun) / 1000;
      state.isOver = true;
    };
    const archive = fillUp();
    const looked = mostWaiting(platform, () => state.isOver);
    const busy = await live(platform, 0, () => state.isOver);
    const busyTo = Date.now();
    await archive;
    await untilStored(platform, before + count + busy.length * LIVE_BATCH);
    await wait(2000);
    reader.stop();
    const [shown, shownBusy] = [reader.shown(quiet), reader.shown(busy)];
    const [closed, closedBusy] = [reader.closed(quietFrom, quietTo), reader.closed(busyFrom, busyTo)];
    return {
      events: count,
      accepted_seconds: Math.round(state.accepted),
      counted_seconds: Math.round(state.counted),
      events_per_second: Math.round(count / state.counted),
      most_waiting_for_a_look_up: await looked,
      refusals: waits.length,
      longest_retry_after_seconds: Math.max(0, ...waits),
      stored_exactly: (await totalEvents(platform)) === before + count + busy.length * LIVE_BATCH,
      post_to_live_frame_ms: { without: shown, with: shownBusy, ratio_p99: shownBusy.p99 / shown.p99 },
      window_end_to_closed_ms: { without: closed, with: closedBusy, ratio_p99: closedBusy.p99 / closed.p99 },
    };
  } finally {
    await platform.stop();
  }
}

const { values } = parseArgs({
  options: { events: { type: "string" }, seconds: { type: "string" }, order: { type: "string" } },
});
const names = (Object.keys(ORDERS) as Order[]).filter((name) => values.order === undefined || name === values.order);
if (names.length === 0) throw new Error("--order is shuffled or file; without it, both are measured");
const figures: Record<string, unknown> = { environment: environment("bench:backfill"), goal: "ratios ≤ 1.5" };
for (const order of names)
  figures[order] = await measure(Number(values.events ?? EVENTS[order]), Number(values.seconds ?? 60), order);
process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
