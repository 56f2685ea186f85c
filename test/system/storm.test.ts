import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { seededRandom } from "../sim/random.ts";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import { WEBHOOK_SECRET, WebhookReceiver } from "./webhook-receiver.ts";

const ALERTS = 500;
const KILLS = 5;
const MINUTE = 60_000;
const START = Date.UTC(2026, 0, 1, 12);
const SEED = Number(process.env["STORM_SEED"] ?? 20_261_122);

let platform: Platform;
const receiver = new WebhookReceiver();

beforeAll(async () => {
  platform = await startPlatform();
});

afterAll(async () => {
  await platform.dispose();
  await receiver.close();
});

async function post(path: string, json: unknown): Promise<Record<string, unknown>> {
  const headers = { "Content-Type": "application/json" };
  const response = await platform.fetch(path, { method: "POST", headers, body: JSON.stringify(json) });
  const { data, message } = JSON.parse(await response.text());
  if (!response.ok) throw new Error(`${path}: ${message}`);
  return data;
}

/** The same events with the same ids each time: a killed local platform forgets its queue, and repeats count once. */
async function sendStorm(): Promise<void> {
  const events = Array.from({ length: ALERTS }, (_, k) => ({
    id: `storm-${k}`,
    type: "storm",
    source: "test",
    timestamp: START + k,
    data: { host: `host-${k}` },
  }));
  const end = { id: "storm-end", type: "storm", source: "test", timestamp: START + 5 * MINUTE, data: { host: "end" } };
  await post("/events/batch", { events: [...events, end] });
}

function delivered(): Set<string> {
  return new Set(receiver.received.filter(({ type }) => type === "alert.firing").map(({ id }) => id));
}

async function firing(): Promise<{ id: string; group: Record<string, unknown> }[]> {
  const { data } = JSON.parse(await (await platform.fetch("/api/v1/alerts?limit=1000")).text());
  return data.alerts;
}

test(`however often the platform is killed while ${ALERTS} alerts fire, each is told, under one id (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  const url = await receiver.listen();
  const config = { url, secret: WEBHOOK_SECRET, allow_private_targets: true };
  const channel = await post("/api/v1/channels", { name: "ops", type: "webhook", config });
  await post("/api/v1/aggregations", {
    name: "hosts",
    window: { type: "tumbling", size: "1m" },
    group_by: ["data.host"],
    measures: { events: { fn: "count" } },
    out_of_orderness: "0s",
    // Nothing may end because a slow machine was taken for silence.
    idle_timeout: "1d",
  });
  const rule = {
    name: "storm",
    aggregation: "hosts",
    condition: "events > 0 && group['data.host'] != 'end'",
    level: "error",
    keep_firing_for: "1d",
  };
  await post("/api/v1/rules", { ...rule, channels: [channel["id"]] });
  for (let kill = 0; kill < KILLS; kill++) {
    // The first kill comes at any moment after the events were sent, the others after some of what is left was told.
    const goal = kill === 0 ? 0 : delivered().size + Math.floor((random() * (ALERTS - delivered().size)) / 3);
    await sendStorm();
    await vi.waitFor(() => expect(delivered().size).toBeGreaterThanOrEqual(goal), { timeout: 60_000, interval: 2 });
    await wait(random() * (kill === 0 ? 400 : 50));
    await platform.kill9();
    await platform.restart();
  }
  await sendStorm();
  await vi.waitFor(() => expect(delivered().size).toBe(ALERTS), { timeout: 90_000, interval: 50 });
  const alerts = await firing();
  expect(alerts).toHaveLength(ALERTS);
  expect(new Set(alerts.map(({ group }) => group["data.host"])).size).toBe(ALERTS);
  // One id per alert: whatever came twice, a receiver can tell by it.
  expect(delivered()).toEqual(new Set(alerts.map(({ id }) => `msg_${id}_firing`)));
  expect(receiver.bad).toEqual([]);
  const twice = receiver.received.length - new Set(receiver.received.map(({ id }) => id)).size;
  process.stdout.write(`storm: ${receiver.received.length} posts for ${ALERTS} alerts, ${twice} of them repeats\n`);
}, 300_000);
