import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { DeltaOutbox } from "../../core/windows/delta-outbox.ts";
import type { ClosedWindow } from "../../core/windows/window-json.ts";
import { AlertManager } from "../../durable-objects/alert-manager.ts";
import { LiveHub } from "../../durable-objects/live-hub.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { WindowAggregator } from "../../durable-objects/window-aggregator.ts";
import { event, events, T0 } from "./event-messages.ts";
import { newShards } from "./shards-bench.ts";
import { hourlyCounts, takeClock } from "./window-aggregator-bench.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const MINUTE = 60_000;
const topics = ["aggregation:events_1h", "events", "dashboard:overview"];

describe("what shards count, told at home", () => {
  test("reaches live readers: windows, the newest events and the overview", async () => {
    const { home, send } = await newShards(2);
    await home.watch({ topics, untilMs: Date.now() + 60_000 });
    const publish = vi.spyOn(LiveHub.prototype, "publish");
    const now = Date.now();
    await send(Array.from({ length: 40 }, (_, k) => event(`e-${k}`, now + k)));
    const frames = () => publish.mock.calls.flatMap(([list]) => list);
    await expect
      .poll(() => frames().findLast(({ topic }) => topic === "aggregation:events_1h"))
      .toMatchObject({ data: { windows: [{ values: { count: 40 } }] } });
    await expect
      .poll(() => frames().findLast(({ topic }) => topic === "dashboard:overview"))
      .toMatchObject({ data: { totals: { events: 40 }, facets: { type: [["web.request", 40]] } } });
    const told = frames().flatMap(({ topic, data }) => (topic === "events" && "events" in data ? data.events : []));
    expect(told.length).toBeGreaterThan(0);
    expect(new Set(told.map(({ id }) => id)).size).toBe(told.length);
  });

  test("is what a new reader finds, also after home was evicted", async () => {
    const { home, send, shards, object } = await newShards(2);
    const now = Date.now();
    await send(Array.from({ length: 30 }, (_, k) => event(`e-${k}`, now + k)));
    for (const shard of shards) await shard.drain();
    const before = await home.snapshot("dashboard:overview");
    expect(before).toMatchObject({ totals: { events: 30 } });
    await evictDurableObject(object(0));
    expect(await home.snapshot("dashboard:overview")).toMatchObject({
      totals: { events: 30 },
      facets: { type: [["web.request", 30]] },
    });
    expect(await home.snapshot("events")).toMatchObject({ events: expect.objectContaining({ length: 30 }) as unknown });
  });

  test("closes windows for the rules, and late events of any shard revise them", async () => {
    const { home, send, shards, object } = await newShards(2);
    const told: ClosedWindow[] = [];
    vi.spyOn(AlertManager.prototype, "windowsClosed").mockImplementation(async (batch) => {
      told.push(...batch);
      return { open: [] };
    });
    await home.watchRules([{ aggregation: "events_1m", early: [], lookBacks: [] }]);
    await send(events(50));
    await send([event("much later", T0 + 60 * MINUTE)]);
    for (const shard of shards) await shard.drain();
    await send([event("late", T0 + 1)]);
    for (const shard of shards) await shard.drain();
    await runDurableObjectAlarm(object(0));
    const first = () =>
      told.filter(({ start }) => start === T0).map(({ revision, groups }) => [revision, groups[0]?.values["count"]]);
    await expect.poll(first).toContainEqual([1, 51]);
  });
});

describe("while home does not merge", () => {
  test("a shard tries again by itself, after pauses that grow, and no event is needed for it", async () => {
    const { home, send, shards } = await newShards(1);
    const merge = vi.spyOn(WindowAggregator.prototype, "merge").mockRejectedValue(new Error("away"));
    await send(events(10));
    expect((await shards[0]?.metrics())?.["unmerged_events"]).toBe(10);
    await expect.poll(() => merge.mock.calls.length, { timeout: 5000 }).toBeGreaterThanOrEqual(3);
    merge.mockRestore();
    await expect.poll(() => hourlyCounts(home), { timeout: 10_000 }).toEqual([10]);
    await expect.poll(async () => (await shards[0]?.metrics())?.["unmerged_events"]).toBe(0);
  });

  test("the alarm sends what a crash kept from being sent", async () => {
    const { home, send, object } = await newShards(1);
    const merge = vi.spyOn(WindowAggregator.prototype, "merge").mockRejectedValue(new Error("away"));
    await send(events(10));
    await runInDurableObject(object(1), (_, state) => state.abort("ended by the test")).catch(() => undefined);
    merge.mockRestore();
    const clock = takeClock();
    clock.pass(61_000);
    expect(await runDurableObjectAlarm(object(1))).toBe(true);
    expect(await hourlyCounts(home)).toEqual([10]);
  });

  test("the alarm for that is set within seconds, and no restart and no call puts it off", async () => {
    const { tenant, send, object } = await newShards(1);
    const clock = takeClock();
    const away = vi.spyOn(WindowAggregator.prototype, "merge").mockRejectedValue(new Error("away"));
    const alarmAt = async (): Promise<number | null> =>
      await runInDurableObject(object(1), (_, { storage }) => storage.getAlarm());
    await send(events(10));
    const first = await alarmAt();
    expect(first).toBeLessThanOrEqual(Date.now() + 10_000);
    clock.pass(5000);
    await evictDurableObject(object(1));
    await windowAggregator(env, tenant, 1).apply([]);
    expect(await alarmAt()).toBe(first);
    away.mockRestore();
  });

  test("a shard that wakes to be asked knows what is merged, without asking home", async () => {
    const { send, shards, object } = await newShards(1);
    const clock = takeClock();
    await send(events(10));
    for (const shard of shards) await shard.drain();
    clock.pass(11_000);
    expect(await runDurableObjectAlarm(object(1))).toBe(true);
    await evictDurableObject(object(1));
    expect((await shards[0]?.metrics())?.["unmerged_events"]).toBe(0);
  });

  test("ingest is stopped before the log outgrows the disk, and goes on when home has caught up", async () => {
    const { send, shards, rate } = await newShards(1);
    const askForNothing = { isolate: "a", used: { events: 0, bytes: 0 }, want: 0 };
    const waiting = vi.spyOn(DeltaOutbox.prototype, "waiting", "get").mockReturnValue(20_000_000);
    await send(events(2000));
    await expect.poll(async () => await rate.lease(askForNothing)).toMatchObject({ reason: "stopped" });
    waiting.mockRestore();
    for (const shard of shards) await shard.flush();
    expect(await rate.lease(askForNothing)).toMatchObject({ refused: false });
  });
});
