// `npm run bench:backfill`: what a shuffled backfill of years-old events does to live numbers, on one platform in one run.
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
const WINDOW_MS = 1000;
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

  /** From the end of a window until a frame says that it is closed. */
  closed(from: number, to: number): Latencies {
    const ends = [...this.#closed].filter(([start]) => start >= from && start < to);
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

async function post({ url, key }: BenchPlatform, events: readonly unknown[]): Promise<void> {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const body = JSON.stringify({ events });
  for (;;) {
    const answer = await fetch(`${url}/events/batch`, { method: "POST", headers, body });
    await answer.arrayBuffer();
    if (answer.ok) return;
    if (answer.status !== 429 && answer.status !== 503) throw new Error(`the platform answered ${answer.status}`);
    await wait(1000 * Number(answer.headers.get("Retry-After") ?? 1));
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

/** Events of the last years, in no order. @returns seconds until all are accepted */
async function backfill(platform: BenchPlatform, count: number): Promise<number> {
  const begun = performance.now();
  const now = Date.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const from = next;
      next += OLD_BATCH;
      const events = Array.from({ length: Math.min(OLD_BATCH, count - from) }, (_, e) => {
        const k = from + e;
        // A permutation of the whole stretch: neighbours are years apart.
        const place = ((k * 7_368_787) % count) / count;
        const timestamp = new Date(now - 86_400_000 - Math.floor(place * YEARS_MS)).toISOString();
        return { id: `old-${k}`, type: "old.event", source: "archive", timestamp, data: { status: k % 7 } };
      });
      await post(platform, events);
    }
  };
  await Promise.all(Array.from({ length: OLD_CONCURRENCY }, worker));
  return (performance.now() - begun) / 1000;
}

async function oldEvents(platform: BenchPlatform): Promise<number> {
  const stats = field(await platform.json("GET", "/api/v1/stats"), "data");
  return Number(field(field(stats, "events_by_type"), "old.event") ?? 0);
}

async function untilStored(platform: BenchPlatform, events: number): Promise<void> {
  while ((await totalEvents(platform)) < events) await wait(200);
}

const { values } = parseArgs({ options: { events: { type: "string" }, seconds: { type: "string" } } });
const count = Number(values.events ?? 1_000_000);
const seconds = Number(values.seconds ?? 20);
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
  const state = { isOver: false, accepted: 0, counted: 0 };
  const fillUp = async (): Promise<void> => {
    state.accepted = await backfill(platform, count);
    while ((await oldEvents(platform)) < count) await wait(200);
    state.counted = (performance.now() - begun) / 1000;
    state.isOver = true;
  };
  const archive = fillUp();
  const busy = await live(platform, seconds, () => state.isOver);
  const busyTo = Date.now();
  await archive;
  await untilStored(platform, before + count + busy.length * LIVE_BATCH);
  await wait(2000);
  reader.stop();
  const [shown, shownBusy] = [reader.shown(quiet), reader.shown(busy)];
  const [closed, closedBusy] = [reader.closed(quietFrom, quietTo), reader.closed(busyFrom, busyTo)];
  const types = await platform.json("GET", "/api/v1/analytics/event-types?hours=8784");
  const figures = {
    environment: environment("bench:backfill"),
    backfill: {
      events: count,
      accepted_seconds: Math.round(state.accepted),
      counted_seconds: Math.round(state.counted),
      events_per_second: Math.round(count / state.counted),
      stored_exactly: (await totalEvents(platform)) === before + count + busy.length * LIVE_BATCH,
    },
    post_to_live_frame_ms: { without: shown, with: shownBusy, ratio_p99: shownBusy.p99 / shown.p99 },
    window_end_to_closed_ms: { without: closed, with: closedBusy, ratio_p99: closedBusy.p99 / closed.p99 },
    goal: "ratios ≤ 1.5",
    last_year_by_type: field(field(types, "data"), "event_types"),
  };
  process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
} finally {
  await platform.stop();
}
