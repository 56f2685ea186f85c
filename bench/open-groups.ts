// What 200,000 open groups cost an object: its heap by V8's inspector, and how soon it answers after a start.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { field, list } from "../cli/api.ts";
import type { Definition } from "../core/windows/definition.ts";
import { readProgress } from "./aggregations.ts";
import type { Inspector } from "./inspector.ts";
import { type BenchPlatform, startBenchPlatform } from "./platform.ts";

export const OPEN_GROUPS = 200_000;
const BATCH = 500;
/** Events between two looks at the heap. */
const LOOK_EVERY = 10_000;
const POLL_MS = 100;
const NAME = "bench_open_groups";

/** Heaps are of the isolate: the Worker, all its objects and their code. Bytes, buffers outside V8's own heap included. */
export interface OpenGroupsResult {
  readonly groups: number;
  /** Before any event. */
  readonly heapWithout: number;
  /** The largest of those seen after a collection while groups came. */
  readonly heapMost: number;
  /** What the windows' state and the remembered ids take, by the object's own estimate. */
  readonly bytes: number;
  readonly idBytes: number;
  /** With all groups open, after a collection. */
  readonly heapWith: number;
  /** After a restart and the first answer, after a collection. */
  readonly heapWoken: number;
  /** From the request to the answer: the first 100 groups of the open window, the first request to a platform just started. */
  readonly wakeMs: number;
  /** The same request once more. */
  readonly againMs: number;
}

/** Fills the open windows of one aggregation with groups, and starts the platform again. */
export async function measureOpenGroups(measures: Definition["measures"]): Promise<OpenGroupsResult> {
  const state = mkdtempSync(join(tmpdir(), "streamflow-groups-"));
  try {
    const filled = await withPlatform(state, (platform, inspector) => fill(platform, inspector, measures));
    const woken = await withPlatform(state, wake);
    return { groups: OPEN_GROUPS, ...filled, ...woken };
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
}

async function withPlatform<T>(
  state: string,
  use: (platform: BenchPlatform, inspector: Inspector) => Promise<T>,
): Promise<T> {
  const platform = await startBenchPlatform({ inspector: true, state });
  const inspector = await platform.inspect();
  try {
    return await use(platform, inspector);
  } finally {
    inspector.close();
    await platform.stop();
  }
}

async function fill(platform: BenchPlatform, inspector: Inspector, measures: Definition["measures"]) {
  await platform.json("POST", "/api/v1/aggregations", {
    name: NAME,
    window: { type: "tumbling", size: "1d" },
    group_by: ["data.customer"],
    measures,
    max_groups: OPEN_GROUPS,
  });
  const heapWithout = await collectedHeap(platform, inspector);
  let heapMost = 0;
  for (let from = 0; from < OPEN_GROUPS; from += BATCH) {
    const events = Array.from({ length: BATCH }, (_, e) => eventOf(from + e));
    await platform.json("POST", "/events/batch", { events });
    if (from % LOOK_EVERY === 0) heapMost = Math.max(heapMost, await collectedHeap(platform, inspector));
  }
  while ((await readProgress(platform)).stored < OPEN_GROUPS) await wait(POLL_MS);
  const standing = await introspect(platform);
  return { heapWithout, heapMost, heapWith: await collectedHeap(platform, inspector), ...standing };
}

/** @throws Error unless all groups are open */
async function introspect(platform: BenchPlatform): Promise<{ bytes: number; idBytes: number }> {
  const [shard] = list(field(await platform.json("GET", "/api/v1/introspection"), "data"), "shards");
  const aggregation = list(shard, "aggregations").find((one) => field(one, "name") === NAME);
  const open = field(aggregation, "open_groups");
  if (open !== OPEN_GROUPS) throw new Error(`${String(open)} groups are open`);
  return { bytes: Number(field(aggregation, "bytes")), idBytes: Number(field(field(shard, "ids"), "bytes")) };
}

async function wake(platform: BenchPlatform, inspector: Inspector) {
  const wakeMs = await timeOfFirstGroups(platform);
  const againMs = await timeOfFirstGroups(platform);
  return { wakeMs, againMs, heapWoken: await collectedHeap(platform, inspector) };
}

/** @throws Error unless a hundred groups of an open window come */
async function timeOfFirstGroups(platform: BenchPlatform): Promise<number> {
  const begun = performance.now();
  const answer = await platform.json("GET", `/api/v1/aggregations/${NAME}/windows?status=open&limit=100`);
  const ms = performance.now() - begun;
  const windows = list(field(answer, "data"), "windows");
  if (windows.length !== 100 || field(windows[0], "status") !== "open")
    throw new Error(`${windows.length} groups were answered`);
  return ms;
}

async function collectedHeap(platform: BenchPlatform, inspector: Inspector): Promise<number> {
  // The collection is a task of the isolate, which looks at its tasks when it is called.
  const state = { isCollected: false };
  const collected = inspector.collectGarbage().then(() => (state.isCollected = true));
  while (!state.isCollected) await Promise.all([platform.text("/health"), wait(POLL_MS)]);
  await collected;
  return inspector.heapBytes();
}

function eventOf(k: number) {
  return {
    id: `group-${k}`,
    type: "order",
    source: `shop-${k % 4}`,
    user_id: `u${k % 5000}`,
    data: { customer: `customer-${k}`, bytes: (k * 37) % 20_000 },
  };
}
