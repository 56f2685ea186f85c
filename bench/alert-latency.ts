import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { field } from "../cli/api.ts";
import { startBenchPlatform } from "./platform.ts";
import type { BenchPlatform } from "./platform.ts";

/** Times from a POST to a webhook, in ms. */
export interface LatencyResult {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Notifications measured. */
  readonly alerts: number;
  /** Events sent meanwhile. */
  readonly events: number;
}

const RATE_PER_SECOND = 1_000;
const BATCH = 50;
const BATCHES_PER_SECOND = RATE_PER_SECOND / BATCH;
/** Every second batch of the early measurement has one event that makes an alert: ten alerts a second. */
const BATCHES_PER_PROBE = 2;
const WARM_UP_SECONDS = 3;
const SETTLE_MS = 30_000;

/** Notifications by the group's value, with the time (`performance.now()`) at which each first came. */
class Receiver {
  readonly heard = new Map<string, number>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      let text = "";
      request.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      request.on("end", () => {
        this.#hear(JSON.parse(text), performance.now());
        response.end();
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return `http://127.0.0.1:${address.port}/hook`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #hear(message: unknown, at: number): void {
    if (field(message, "type") !== "alert.firing") return;
    const name = String(field(field(field(message, "data"), "group"), "data.probe"));
    if (!this.heard.has(name)) this.heard.set(name, at);
  }
}

/** What one measurement sends and what its alerts are called. */
interface Plan {
  readonly aggregation: object;
  readonly condition: string;
  /** The group of an event of the nth batch; null for none. @param nowMs epoch ms of the batch */
  readonly probe: (batch: number, nowMs: number) => string | null;
  /** The alert that the nth batch makes known, or null. */
  readonly makes: (batch: number, nowMs: number) => string | null;
}

/** An early rule on an open window of one minute: from the POST of the event that makes it true. */
export async function measureEarly(seconds: number): Promise<LatencyResult> {
  return await measure(seconds, {
    aggregation: { name: "bench_alerts", window: { type: "tumbling", size: "1m" }, ...PROBES },
    condition: "n > 0",
    probe: probeOf,
    makes: probeOf,
  });
}

function probeOf(batch: number): string | null {
  return batch % BATCHES_PER_PROBE === 0 ? `p${batch}` : null;
}

const CLOSED_WINDOW_MS = 100;

/** A rule on closed windows of 100 ms: from the POST of the first event at or after a window's end, which moves W there. */
export async function measureClosed(seconds: number): Promise<LatencyResult> {
  const windowOf = (nowMs: number): number => Math.floor(nowMs / CLOSED_WINDOW_MS);
  let newest: number | null = null;
  return await measure(seconds, {
    aggregation: { name: "bench_alerts", window: { type: "tumbling", size: `${CLOSED_WINDOW_MS}ms` }, ...PROBES },
    // May become false again in an open window, so that only the close decides.
    condition: "n > 0 && n < 1000000",
    probe: (_, nowMs) => `w${windowOf(nowMs)}`,
    makes: (_, nowMs) => {
      const [before, now] = [newest, windowOf(nowMs)];
      newest = now;
      return before === null || before === now ? null : `w${before}`;
    },
  });
}

const PROBES = {
  filter: "has(event.data.probe)",
  group_by: ["data.probe"],
  measures: { n: { fn: "count" } },
  out_of_orderness: "0s",
};

async function measure(seconds: number, plan: Plan): Promise<LatencyResult> {
  const platform = await startBenchPlatform();
  const receiver = new Receiver();
  try {
    await prepare(platform, plan, await receiver.listen());
    const sent = await send(platform, seconds + WARM_UP_SECONDS, plan);
    const until = performance.now() + SETTLE_MS;
    while (sent.some(({ name }) => !receiver.heard.has(name)) && performance.now() < until) await wait(50);
    return summarize(sent, receiver.heard, seconds);
  } finally {
    receiver.close();
    await platform.stop();
  }
}

async function prepare(platform: BenchPlatform, { aggregation, condition }: Plan, url: string): Promise<void> {
  const config = { url, allow_private_targets: true };
  const channel = await platform.json("POST", "/api/v1/channels", { name: "bench", type: "webhook", config });
  await platform.json("POST", "/api/v1/aggregations", aggregation);
  const rule = { name: "bench", aggregation: "bench_alerts", condition, level: "error" };
  await platform.json("POST", "/api/v1/rules", { ...rule, channels: [field(field(channel, "data"), "id")] });
}

interface Sent {
  readonly name: string;
  readonly at: number;
  readonly batch: number;
}

/** Posts at a steady rate. Answers are not waited for, so a slow one delays no other. @returns the alerts that must follow */
async function send(platform: BenchPlatform, seconds: number, plan: Plan): Promise<Sent[]> {
  const sent: Sent[] = [];
  const answers: Promise<void>[] = [];
  const startedAt = performance.now();
  for (let batch = 0; batch < seconds * BATCHES_PER_SECOND; batch++) {
    const early = startedAt + (batch * 1000) / BATCHES_PER_SECOND - performance.now();
    if (early > 0) await wait(early);
    const nowMs = Date.now();
    const probe = plan.probe(batch, nowMs);
    const name = plan.makes(batch, nowMs);
    const body = JSON.stringify({ events: Array.from({ length: BATCH }, (_, k) => eventOf(k, nowMs, probe)) });
    if (name !== null) sent.push({ name, at: performance.now(), batch });
    answers.push(post(platform, body));
  }
  await Promise.all(answers);
  return sent;
}

function eventOf(nth: number, nowMs: number, probe: string | null): object {
  const data = { path: `/page/${nth}`, status: 200, bytes: 1_000 + nth };
  const common = { id: randomUUID(), type: "web.request", source: "bench", timestamp: nowMs };
  return { ...common, data: nth === 0 && probe !== null ? { ...data, probe } : data };
}

/** Posts until it is taken: what is refused for load is sent again, as a producer would, and its time goes on. */
async function post(platform: BenchPlatform, body: string): Promise<void> {
  const headers = { authorization: `Bearer ${platform.key}`, "content-type": "application/json" };
  const response = await fetch(`${platform.url}/events/batch`, { method: "POST", headers, body });
  await response.arrayBuffer();
  if (response.ok) return;
  if (response.status !== 429 && response.status !== 503) throw new Error(`the platform answered ${response.status}`);
  await wait(Number(response.headers.get("retry-after") ?? 1) * 1000);
  await post(platform, body);
}

/** @throws Error when an alert was never told: then a quantile would lie */
function summarize(sent: readonly Sent[], heard: ReadonlyMap<string, number>, seconds: number): LatencyResult {
  const measured = sent.filter(({ batch }) => batch >= WARM_UP_SECONDS * BATCHES_PER_SECOND);
  const missing = measured.filter(({ name }) => !heard.has(name)).length;
  if (missing > 0) throw new Error(`${missing} of ${measured.length} alerts were not told`);
  const latencies = measured.map(({ name, at }) => (heard.get(name) ?? Infinity) - at).toSorted((a, b) => a - b);
  const at = (q: number): number => latencies[Math.max(0, Math.ceil(q * latencies.length) - 1)] ?? NaN;
  return { p50: at(0.5), p99: at(0.99), max: at(1), alerts: latencies.length, events: seconds * RATE_PER_SECOND };
}
