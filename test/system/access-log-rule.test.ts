import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import { createAggregations, hasSample, post, readExpected, SAMPLE_LOG, ship, streamflow } from "./sample.ts";
import { WEBHOOK_SECRET, WebhookReceiver } from "./webhook-receiver.ts";

const SHARE = 0.05;
const HOUR = 3_600_000;
const RANGE = ["--from", "2015-05-17T00:00:00Z", "--to", "2015-05-21T00:00:00Z"] as const;
const REQUESTS = {
  name: "requests_1h",
  filter: "event.type == 'web.request'",
  window: { type: "tumbling", size: "1h" },
  measures: { requests: { fn: "count" }, not_found: { fn: "count", filter: "event.data.status == 404" } },
  out_of_orderness: "60s",
  idle_timeout: "10m",
};
const RULE = {
  name: "404s over 5 %",
  aggregation: "requests_1h",
  condition: "not_found / requests > threshold",
  threshold: SHARE,
  level: "warning",
};

let platform: Platform;
const receiver = new WebhookReceiver();
const folder = mkdtempSync(join(tmpdir(), "streamflow-rule-"));

beforeAll(async () => {
  if (hasSample) platform = await startPlatform();
});

afterAll(async () => {
  if (hasSample) await platform.dispose();
  if (hasSample) await receiver.close();
  rmSync(folder, { recursive: true });
});

/** The hours in which it holds, by the independent count; as windows write them. */
function expectedHours(): string[] {
  const hours = Object.entries(readExpected().by_hour);
  const hot = hours.filter(([, { count, by_status: statuses }]) => (statuses["404"] ?? 0) / count > SHARE);
  return hot.map(([hour]) => new Date(hour).toISOString()).sort();
}

/** Hours from the one in which an alert fired up to the one in which it ended. */
function hoursBetween(from: string, to: string): string[] {
  const hours: string[] = [];
  for (let at = Date.parse(from); at < Date.parse(to); at += HOUR) hours.push(new Date(at).toISOString());
  return hours;
}

/** The hours in which alerts were firing, as the receiver was told; different alerts are told in any order. */
function toldHours(): string[] {
  const ends = new Map(receiver.received.filter(isOf("alert.resolved")).map(({ alert, window }) => [alert.id, window]));
  return receiver.received
    .filter(isOf("alert.firing"))
    .flatMap(({ alert, window }) => hoursBetween(window.start, ends.get(alert.id)?.start ?? window.start))
    .sort();
}

function isOf(wanted: string): (message: { readonly type: string }) => boolean {
  return ({ type }) => type === wanted;
}

interface Tested {
  readonly alerts: readonly { readonly intervals: readonly { state: string; from: string; to: string | null }[] }[];
  readonly fired: number;
}

/** The hours in which alerts would have been firing; an interval is told by the ends of windows. */
async function backtested(...args: readonly string[]): Promise<string[]> {
  const { code, stdout, stderr } = await streamflow(platform, ["backtest", ...args, ...RANGE, "--json"]).done;
  expect([code, stderr]).toEqual([0, ""]);
  const { alerts, fired }: Tested = JSON.parse(stdout);
  expect(fired).toBe(alerts.length);
  return alerts.flatMap(({ intervals }) =>
    intervals.flatMap(({ from, to }) =>
      hoursBetween(from, to ?? from).map((end) => new Date(Date.parse(end) - HOUR).toISOString()),
    ),
  );
}

test.skipIf(!hasSample)(
  "a rule on the share of 404s fires for exactly the hours that have it, once each, live and in a backtest",
  async () => {
    const expected = expectedHours();
    expect(expected.length).toBeGreaterThan(0);
    const config = { url: await receiver.listen(), secret: WEBHOOK_SECRET, allow_private_targets: true };
    const channel = JSON.parse(await post(platform, "/api/v1/channels", { name: "ops", type: "webhook", config }));
    await createAggregations(platform, [REQUESTS]);
    const rule = JSON.parse(await post(platform, "/api/v1/rules", { ...RULE, channels: [channel.data.id] }));

    await ship(platform, SAMPLE_LOG);
    await vi.waitFor(() => expect(toldHours()).toEqual(expected), { timeout: 60_000, interval: 100 });
    // The same lines again are the same events: nothing is told again.
    await ship(platform, SAMPLE_LOG);
    const { data } = JSON.parse(await (await platform.fetch("/api/v1/alerts")).text());
    expect(data.alerts.map(({ status }: { status: string }) => status)).toEqual(expected.map(() => "resolved"));
    expect(receiver.received).toHaveLength(2 * expected.length);
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(2 * expected.length);
    expect(receiver.bad).toEqual([]);

    expect(await backtested(String(rule.data.id))).toEqual(expected);
    const file = join(folder, "rules.yaml");
    writeFileSync(file, JSON.stringify({ rules: [RULE, { ...RULE, name: "other", threshold: 0.9 }] }));
    expect(await backtested(file, "--rule", RULE.name)).toEqual(expected);
    expect(await backtested(file, "--rule", "other")).toEqual([]);
    const table = await streamflow(platform, ["backtest", String(rule.data.id), ...RANGE]).done;
    // Of the log's 84 hours the last one is open.
    expect(table.stdout).toContain(`${expected.length} of ${expected.length} alerts fire in 83 windows.`);
  },
);
