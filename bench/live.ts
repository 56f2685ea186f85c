import { setTimeout as wait } from "node:timers/promises";
import { field, list } from "../cli/api.ts";
import { follow } from "../cli/live.ts";
import { BodyMaker } from "./bodies.ts";
import { startBenchPlatform } from "./platform.ts";

/** Time from a POST to the first live frame whose count holds its events, in ms. */
export interface LiveResult {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly events: number;
  readonly frames: number;
}

const RATE_PER_SECOND = 1_000;
const BATCH = 50;
const NAME = "bench_live";
const SETTLE_MS = 3_000;

/**
 * Sends 1,000 events/s, 50 at a time, while one reader follows an aggregation that counts them.
 *
 * Every event gets a latency: the count in a frame says which of the events, in the order they were sent, it holds.
 */
export async function measureLive(seconds: number): Promise<LiveResult> {
  const platform = await startBenchPlatform();
  const counts = new Map<string, number>();
  const frames: { at: number; total: number }[] = [];
  try {
    const measures = { n: { fn: "count" } };
    await platform.json("POST", "/api/v1/aggregations", {
      name: NAME,
      window: { type: "tumbling", size: "1h" },
      measures,
    });
    const reader = follow(platform, [`aggregation:${NAME}`], {
      apply(_kind, _topic, data) {
        for (const window of list(data, "windows"))
          counts.set(String(field(window, "start")), Number(field(field(window, "values"), "n")));
        frames.push({ at: performance.now(), total: [...counts.values()].reduce((sum, n) => sum + n, 0) });
      },
      onPhase: () => undefined,
    });
    await until(() => frames.length > 0);
    const posts = await send(platform, seconds);
    await until(() => (frames.at(-1)?.total ?? 0) >= posts.length * BATCH);
    reader.stop();
    return summarize(posts, frames);
  } finally {
    await platform.stop();
  }
}

/** Posts at a steady rate; the moment each POST was sent. Answers are not waited for, so a slow one delays no other. */
async function send(platform: { readonly url: string; readonly key: string }, seconds: number): Promise<number[]> {
  const bodies = new BodyMaker("live", BATCH);
  const posts: number[] = [];
  const answers: Promise<void>[] = [];
  const startedAt = performance.now();
  for (let i = 0; i < (seconds * RATE_PER_SECOND) / BATCH; i++) {
    const early = startedAt + (i * BATCH * 1000) / RATE_PER_SECOND - performance.now();
    if (early > 0) await wait(early);
    posts.push(performance.now());
    answers.push(postBody(platform, bodies.next(Date.now())));
  }
  await Promise.all(answers);
  return posts;
}

async function postBody(
  { url, key }: { readonly url: string; readonly key: string },
  body: Buffer<ArrayBuffer>,
): Promise<void> {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const response = await fetch(`${url}/events/batch`, { method: "POST", headers, body });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`the platform answered ${response.status}`);
}

function summarize(posts: readonly number[], frames: readonly { at: number; total: number }[]): LiveResult {
  const latencies = posts
    .map((sentAt, i) => {
      const seen = frames.find(({ total }) => total >= (i + 1) * BATCH);
      return (seen?.at ?? Infinity) - sentAt;
    })
    .toSorted((a, b) => a - b);
  const at = (q: number): number => latencies[Math.max(0, Math.ceil(q * latencies.length) - 1)] ?? NaN;
  return { p50: at(0.5), p99: at(0.99), max: at(1), events: posts.length * BATCH, frames: frames.length };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + SETTLE_MS + 30_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("the live frames did not come");
    await wait(20);
  }
}
