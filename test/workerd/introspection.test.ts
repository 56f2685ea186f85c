import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { event, packed } from "./event-messages.ts";
import { call, makeKey, makeTenant } from "./http-client.ts";
import { newShards } from "./shards-bench.ts";

const MINUTE = 60_000;
const T0 = Math.floor(Date.now() / MINUTE) * MINUTE - 30 * MINUTE;

interface Standing {
  readonly log: Record<string, number>;
  readonly ids: Record<string, number>;
  readonly checkpoint: { at: string; age_seconds: number };
  readonly state_bytes: Record<string, number>;
  readonly aggregations: readonly Record<string, unknown>[];
  readonly [figure: string]: unknown;
}

let key: string;
let tenant: string;

async function standing(): Promise<Standing> {
  const { data } = await call("GET", "/api/v1/introspection", { key });
  const [shard] = data["shards"] as Standing[];
  if (shard === undefined) throw new Error("no shard");
  return shard;
}

async function aggregationOf(name: string): Promise<Record<string, unknown> | undefined> {
  return (await standing()).aggregations.find((one) => one["name"] === name);
}

/** Two sources, of which the slow one is ten minutes behind; one event too late and one twice. */
beforeAll(async () => {
  const made = await makeTenant();
  tenant = made.id;
  key = (await makeKey(made.adminKey, "viewer")).key;
  const shard = windowAggregator(env, tenant);
  const now = Date.now();
  const at = (id: string, source: string, minute: number) =>
    event(id, T0 + minute * MINUTE, { source, receivedAt: now, data: {} });
  await shard.apply([{ id: "m1", body: packed([at("a", "fast", 20), at("b", "slow", 10)]) }]);
  await shard.apply([{ id: "m2", body: packed([at("late", "fast", 1), at("a", "fast", 20)]) }]);
});

describe("introspection", () => {
  test("says how far each watermark is and which source holds it", async () => {
    const minutes = await aggregationOf("events_1m");
    expect(minutes).toMatchObject({ held_by: "slow", late_events: 1, duplicate_events: 1, version: 1 });
    const watermark = Date.parse(String(minutes?.["watermark"]));
    expect(watermark).toBeLessThanOrEqual(T0 + 10 * MINUTE);
    expect(Number(minutes?.["lag_seconds"]) * 1000).toBeGreaterThanOrEqual(20 * MINUTE);
  });

  test("names the next holder once the slow source has caught up", async () => {
    const last = event("c", T0 + 25 * MINUTE, { source: "slow", receivedAt: Date.now() });
    await windowAggregator(env, tenant).apply([{ id: "m3", body: packed([last]) }]);
    expect(await aggregationOf("events_1m")).toMatchObject({ held_by: "fast" });
  });

  test("counts open windows, their groups and what they take", async () => {
    const hours = await aggregationOf("events_1h");
    expect(hours?.["open_windows"]).toBeGreaterThan(0);
    expect(hours?.["open_groups"]).toBeGreaterThanOrEqual(Number(hours?.["open_windows"]));
    expect(hours?.["bytes"]).toBeGreaterThan(100);
  });

  test("counts the log until it is sealed and checkpointed, and the ids that are remembered", async () => {
    const before = await standing();
    expect(before).toMatchObject({ stored_events: 4, duplicate_events: 1, sources: 2, late_inbox: 0 });
    expect(before.log).toMatchObject({ unsealed_events: 4, entries: 3 });
    expect(before.log["unsealed_bytes"]).toBeGreaterThan(0);
    expect(before.ids).toMatchObject({ remembered: 4, bytes_per_id: Number(before.ids["bytes"]) / 4 });
    const shard = windowAggregator(env, tenant);
    await shard.flush();
    await shard.flush();
    const after = await standing();
    expect(after.log).toEqual({ unsealed_events: 0, unsealed_bytes: 0, entries: 0 });
    expect(Date.parse(after.checkpoint.at)).toBeGreaterThanOrEqual(Date.parse(before.checkpoint.at));
    expect(after.checkpoint.age_seconds).toBeGreaterThanOrEqual(0);
    expect(after.state_bytes).toMatchObject({ ids: after.ids["bytes"], log: 0 });
  });

  test("is on the metrics page, one family per figure", async () => {
    const { text } = await call("GET", "/metrics", { key });
    for (const sample of [
      /^streamflow_log_entries\{shard="0"\} \d+$/m,
      /^streamflow_checkpoint_age_seconds\{shard="0"\} [\d.]+$/m,
      /^streamflow_bytes_per_remembered_id\{shard="0"\} [\d.]+$/m,
      /^streamflow_state_bytes\{shard="0",part="windows"\} \d+$/m,
      /^streamflow_aggregation_watermark_lag_seconds\{aggregation="events_1m"\} [\d.]+$/m,
      /^streamflow_aggregation_watermark_held\{aggregation="events_1m",source="fast"\} 1$/m,
      /^streamflow_aggregation_late_events_total\{aggregation="events_5m"\} \d+$/m,
      /^streamflow_aggregation_duplicate_events_total\{aggregation="events_1h"\} 1$/m,
      /^streamflow_aggregation_open_groups\{aggregation="events_1h"\} \d+$/m,
    ])
      expect(text).toMatch(sample);
    const types = text.match(/^# TYPE (\S+)/gm) ?? [];
    expect(new Set(types).size).toBe(types.length);
  });
});

test("an aggregation that has seen nothing has no watermark and nobody who holds it", async () => {
  const made = await makeTenant();
  const { data } = await call("GET", "/api/v1/introspection", { key: made.adminKey });
  expect(data).toMatchObject({
    shards: [
      {
        ids: { remembered: 0, bytes_per_id: null },
        aggregations: [{ watermark: null, held_by: null, lag_seconds: null }, {}, {}],
      },
    ],
  });
});

test("every shard of a tenant answers for itself, home first", async () => {
  const made = await makeTenant();
  await windowAggregator(env, made.id).setShards(2);
  await expect
    .poll(async () => (await windowAggregator(env, made.id).shards()).moving, { timeout: 20_000 })
    .toBe(false);
  const { data } = await call("GET", "/api/v1/introspection", { key: made.adminKey });
  expect((data["shards"] as { shard: number }[]).map(({ shard }) => shard)).toEqual([0, 1, 2]);
});

test("home's duplicates are the tenant's, wherever they were found, and an aggregation's those since it was made", async () => {
  const { home, send } = await newShards(2);
  const list = Array.from({ length: 40 }, (_, k) => event(`d-${k}`, T0 + k, { receivedAt: Date.now() }));
  const duplicates = async (name: string): Promise<unknown> => {
    const standing = await home.introspect();
    const one = standing.aggregations.find((aggregation) => aggregation.name === name);
    const listed = await home.getAggregation(name);
    return [standing.duplicateEvents, one?.duplicateEvents, listed?.duplicateEvents];
  };
  const another = event("another", T0, { receivedAt: Date.now() });
  await send(list);
  await send(list);
  await send([another]);
  await expect.poll(() => duplicates("events_1m"), { timeout: 10_000 }).toEqual([40, 40, 40]);
  await home.putAggregation(
    { name: "made_later", window: { type: "tumbling", size: "1h" }, measures: { n: { fn: "count" } } },
    { mode: "create" },
  );
  expect(await duplicates("made_later")).toEqual([40, 0, 0]);
});
