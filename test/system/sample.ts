// What the system tests share: the sample log with its independently counted numbers, the command, and readers of the API.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { createRandom } from "../../cli/load/generator.ts";
import type { Platform } from "./platform.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const DATA = resolve(ROOT, "../shared/data");

/** The sample access log; it lies beside the project, not in it. */
export const SAMPLE_LOG = join(DATA, "apache_logs.gz");
export const hasSample = existsSync(SAMPLE_LOG);
if (!hasSample) process.stderr.write(`Skipped: the sample log is not at ${SAMPLE_LOG}\n`);

const expectedSchema = z.object({
  parsed: z.number(),
  unparsed_lines: z.array(z.number()),
  distinct_client_ip: z.number(),
  bytes_sum: z.number(),
  bytes_quantiles_nearest_rank: z.record(z.string(), z.number()),
  by_status: z.record(z.string(), z.number()),
  by_hour: z.record(
    z.string(),
    z.object({ count: z.number(), distinct_client_ip: z.number(), by_status: z.record(z.string(), z.number()) }),
  ),
});

/** Counted from the log by an independent script. */
export function readExpected(): z.infer<typeof expectedSchema> {
  return expectedSchema.parse(JSON.parse(readFileSync(join(DATA, "apache_logs.expected.json"), "utf8")));
}

/** Hourly counts by status, as the first example of a user would have them. */
export const BY_STATUS = {
  name: "requests_by_status",
  filter: "event.type == 'web.request'",
  window: { type: "tumbling", size: "1h" },
  group_by: ["data.status"],
  measures: { requests: { fn: "count" } },
  out_of_orderness: "60s",
  idle_timeout: "10m",
};

/** Everything per hour, without groups. */
export const HOURLY = {
  name: "hourly",
  window: { type: "tumbling", size: "1h" },
  measures: {
    requests: { fn: "count" },
    clients: { fn: "distinct", field: "data.client_ip" },
    bytes: { fn: "sum", field: "data.bytes" },
    p50: { fn: "quantile", field: "data.bytes", q: 0.5 },
    p95: { fn: "quantile", field: "data.bytes", q: 0.95 },
    p99: { fn: "quantile", field: "data.bytes", q: 0.99 },
    max: { fn: "max", field: "data.bytes" },
  },
  out_of_orderness: "60s",
  idle_timeout: "10m",
};

/** Closes its windows a second after the last event. */
export const QUICK = { ...BY_STATUS, name: "quick", idle_timeout: "1s" };

/** What `byHourAndStatus` must give for the log, by the count that was made independently. */
export function expectedByHourAndStatus(): Record<string, Record<string, number>> {
  return Object.fromEntries(Object.entries(readExpected().by_hour).map(([hour, { by_status }]) => [hour, by_status]));
}

/** Creates aggregations; throws unless the platform takes them. */
export async function createAggregations(platform: Platform, definitions: readonly object[]): Promise<void> {
  for (const definition of definitions) await post(platform, "/api/v1/aggregations", definition);
}

/** Posts JSON; the text of a successful answer. */
export async function post(platform: Platform, path: string, body: unknown): Promise<string> {
  const headers = { "content-type": "application/json" };
  const response = await platform.fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`POST ${path} was answered ${response.status}: ${text}`);
  return text;
}

async function get<T>(platform: Platform, path: string, data: z.ZodType<T>): Promise<T> {
  const response = await platform.fetch(path);
  const text = await response.text();
  if (!response.ok) throw new Error(`GET ${path} was answered ${response.status}: ${text}`);
  return z.object({ data }).parse(JSON.parse(text)).data;
}

const windowSchema = z.object({
  start: z.string(),
  end: z.string(),
  status: z.enum(["open", "closed"]),
  revision: z.number(),
  partial: z.boolean(),
  group: z.record(z.string(), z.json()),
  values: z.record(z.string(), z.json()),
});
const windowsSchema = z.object({
  watermark: z.string().nullable(),
  windows: z.array(windowSchema),
  late_events: z.number(),
  duplicate_events: z.number(),
  filter_errors: z.number(),
  next_cursor: z.string().nullable(),
});

export type Window = z.infer<typeof windowSchema>;
/** All windows of an aggregation, every page, with its counters. */
export type Windows = Omit<z.infer<typeof windowsSchema>, "next_cursor">;

/** Reads all windows of an aggregation, page by page. */
export async function readWindows(platform: Platform, name: string, query = ""): Promise<Windows> {
  const windows: Window[] = [];
  for (let cursor = ""; ;) {
    const page = await get(platform, `/api/v1/aggregations/${name}/windows?limit=200${query}${cursor}`, windowsSchema);
    windows.push(...page.windows);
    if (page.next_cursor === null) return { ...page, windows };
    cursor = `&cursor=${encodeURIComponent(page.next_cursor)}`;
  }
}

/** Requests by hour (RFC 3339 without fraction) and status, as the expected numbers are written. */
export function byHourAndStatus(windows: readonly Window[]): Record<string, Record<string, number>> {
  const hours: Record<string, Record<string, number>> = {};
  for (const { start, group, values } of windows) {
    const hour = start.replace(".000Z", "Z");
    (hours[hour] ??= {})[JSON.stringify(group["data.status"])] = Number(values["requests"]);
  }
  return hours;
}

const rowsSchema = z.object({
  rows: z.array(z.object({ group: z.record(z.string(), z.json()), values: z.record(z.string(), z.json()) })),
});

/** The merged values of an aggregation over all time. */
export async function readTotal(platform: Platform, name: string): Promise<Record<string, unknown>> {
  const range = "from=2015-05-01T00:00:00Z&to=2015-06-01T00:00:00Z&step=total";
  const { rows } = await get(platform, `/api/v1/aggregations/${name}/query?${range}`, rowsSchema);
  return rows[0]?.values ?? {};
}

const statsSchema = z.object({ total_events: z.number(), events_by_type: z.record(z.string(), z.number()) });

/** Events that the platform has stored. */
export async function readStored(platform: Platform): Promise<number> {
  return (await get(platform, "/api/v1/stats", statsSchema)).total_events;
}

const eventsSchema = z.object({
  events: z.array(z.object({ id: z.string(), timestamp: z.string() })),
  next_cursor: z.string().nullable(),
});

/** Every event's id, read page by page with the cursor, in the order they came. */
export async function readEventIds(platform: Platform, order: "asc" | "desc", limit: number): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor = ""; ;) {
    const page = await get(platform, `/api/v1/events?order=${order}&limit=${limit}${cursor}`, eventsSchema);
    ids.push(...page.events.map(({ id }) => id));
    if (page.next_cursor === null) return ids;
    cursor = `&cursor=${encodeURIComponent(page.next_cursor)}`;
  }
}

/** A run of the `streamflow` command. */
export interface CommandRun {
  readonly child: ChildProcess;
  readonly done: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
}

/** Runs `streamflow` against a platform, with its admin key unless the arguments give another. */
export function streamflow(platform: Platform, args: readonly string[], input?: NodeJS.ReadableStream): CommandRun {
  const [command = "", ...rest] = args;
  const child = spawn(
    process.execPath,
    [join(ROOT, "cli/streamflow.js"), command, "--url", platform.url, "--key", platform.adminKey, ...rest],
    { stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"] },
  );
  if (child.stdin !== null) input?.pipe(child.stdin);
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (chunk: Buffer) => void (stdout += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => void (stderr += chunk.toString()));
  const done = new Promise<{ code: number | null; stdout: string; stderr: string }>((ended) => {
    child.once("close", (code) => ended({ code, stdout, stderr }));
  });
  return { child, done };
}

const summarySchema = z.object({
  read: z.number(),
  accepted: z.number(),
  rejected: z.number(),
  unparsed: z.array(z.number()),
  seconds: z.number(),
});

/** Ships a file as the user of the sample log would; its JSON summary. */
export async function ship(
  platform: Platform,
  file: string,
  ...more: string[]
): Promise<z.infer<typeof summarySchema>> {
  const run = streamflow(platform, [
    "ship",
    file,
    "--format",
    "combined",
    "--source",
    "semicomplete",
    "--json",
    ...more,
  ]);
  const { code, stdout, stderr } = await run.done;
  if (code !== 0) throw new Error(`ship ended with ${code}: ${stderr}${stdout}`);
  return summarySchema.parse(JSON.parse(stdout));
}

/** Fisher–Yates. */
export function shuffle<T>(list: readonly T[], seed: string): T[] {
  const random = createRandom(seed);
  const shuffled: T[] = [];
  for (const [i, item] of list.entries()) {
    const at = random.below(i + 1);
    const moved = shuffled[at];
    if (moved === undefined) shuffled.push(item);
    else {
      shuffled.push(moved);
      shuffled[at] = item;
    }
  }
  return shuffled;
}
