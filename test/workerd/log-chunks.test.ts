import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { EventBatch } from "../../core/events/event-batch.ts";
import { ALL_EVENTS } from "../../core/events/query.ts";
import { ShardMachine } from "../../core/windows/shard-machine.ts";
import { ChunkLog } from "../../durable-objects/aggregator/chunk-log.ts";
import { event, events, T0 } from "./event-messages.ts";
import {
  hourlyCounts,
  message,
  newAggregator,
  sealedEvents,
  storeIsAway,
  takeClock,
} from "./window-aggregator-bench.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;

/** Events of five hours, one message each, none of them sealed. */
async function fiveHours() {
  const aggregator = newAggregator();
  for (let hour = 0; hour < 5; hour++)
    await aggregator.stub.apply([message(events(100, `hour-${hour}`, T0 + hour * HOUR))]);
  return aggregator;
}

async function segmentSpans(tenant: string): Promise<{ events: number; hours: number }[]> {
  const sql = "select events, max_ts - min_ts as span from segment_index where tenant = ? order by events";
  const { results } = await env.DB.prepare(sql).bind(tenant).all<{ events: number; span: number }>();
  return results.map((row) => ({ events: row.events, hours: row.span / HOUR }));
}

describe("the unsealed log", () => {
  test("is opened for a query only where its time can match", async () => {
    const { stub } = await fiveHours();
    const opened = vi.spyOn(ChunkLog.prototype, "batch");
    const third = { ...ALL_EVENTS, fromMs: T0 + 2 * HOUR, toMs: T0 + 3 * HOUR };
    expect((await stub.readTail(third, null, 1000)).events).toHaveLength(100);
    expect(opened).toHaveBeenCalledTimes(1);
  });

  test.each(["desc", "asc"] as const)("is opened from the near end on, until a page is full (%s)", async (order) => {
    const { stub } = await fiveHours();
    const opened = vi.spyOn(ChunkLog.prototype, "batch");
    const { events: page } = await stub.readTail({ ...ALL_EVENTS, order }, null, 50);
    expect(page.map(({ id }) => id).slice(0, 2)).toEqual(
      order === "desc" ? ["hour-4-99", "hour-4-98"] : ["hour-0-0", "hour-0-1"],
    );
    expect(opened).toHaveBeenCalledTimes(1);
    const after = { timestamp: T0 + 2 * HOUR, id: "hour-2-0" };
    const { events: rest } = await stub.readTail({ ...ALL_EVENTS, order }, after, 1000);
    expect(rest).toHaveLength(order === "desc" ? 200 : 299);
  });

  test("is opened for a late event only where a copy of it can be", async () => {
    const { stub, object } = await fiveHours();
    await stub.apply([message(events(1, "now", T0 + 24 * HOUR))]);
    await evictDurableObject(object);
    const opened = vi.spyOn(ChunkLog.prototype, "batch");
    await stub.apply([message([...events(2, "hour-1", T0 + HOUR), event("new", T0 + HOUR + 5)])]);
    await stub.flush();
    expect(await hourlyCounts(stub)).toEqual([100, 101, 100, 100, 100, 1]);
    const looked = opened.mock.calls.filter(([{ minTimestamp }]) => minTimestamp === T0 + 3 * HOUR);
    // Once, by the sealing at the end.
    expect(looked.length).toBeLessThanOrEqual(1);
  });

  test("replays at most 100,000 events at a start, though the store has been away for more", async () => {
    const { stub, object } = newAggregator();
    const away = storeIsAway();
    const total = 160_000;
    for (let from = 0; from < total; from += 2000) {
      const list = Array.from({ length: 2000 }, (_, k) => event(`e-${from + k}`, T0 + from + k));
      await stub.apply([message(list)]);
    }
    await evictDurableObject(object);
    const folded = vi.spyOn(ShardMachine.prototype, "fold");
    const decoded = vi.spyOn(EventBatch, "fromText");
    expect((await stub.stats()).total_events).toBe(total);
    expect((await stub.metrics())["unsealed_events"]).toBe(total);
    expect(folded.mock.calls.reduce((sum, [batch]) => sum + batch.length, 0)).toBeLessThanOrEqual(52_000);
    expect(decoded.mock.results.length * 2000).toBeLessThanOrEqual(102_000);
    away.mockRestore();
    await stub.flush();
    expect((await stub.metrics())["unsealed_events"]).toBe(0);
    expect(await stub.readTail(ALL_EVENTS, null, 10)).toMatchObject({ events: [], sealedThrough: total });
  });
});

/** Text that does not compress. */
function noise(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array((length * 3) / 4));
  return btoa(String.fromCharCode(...bytes));
}

describe("the unsealed log of large events", () => {
  test("is replayed for at most 16 MB at a start, though the store has been away for more", async () => {
    const { stub, object } = newAggregator();
    storeIsAway();
    const calls = 30;
    for (let call = 0; call < calls; call++) {
      const list = Array.from({ length: 40 }, (_, k) =>
        event(`e-${call}-${k}`, T0 + call * 1000 + k, { data: { text: noise(24_000) } }),
      );
      await stub.apply(Array.from({ length: 10 }, (_, k) => message(list.slice(4 * k, 4 * k + 4))));
    }
    const [{ logged } = { logged: 0 }] = await runInDurableObject(object, (_, { storage }) =>
      storage.sql.exec<{ logged: number }>("select sum(length(body)) as logged from log").toArray(),
    );
    expect(logged).toBeGreaterThan(20_000_000);
    await evictDurableObject(object);
    const folded = vi.spyOn(ShardMachine.prototype, "fold");
    const decoded = vi.spyOn(EventBatch, "fromText");
    expect((await stub.stats()).total_events).toBe(40 * calls);
    const perEvent = logged / (40 * calls);
    expect(folded.mock.calls.reduce((sum, [batch]) => sum + batch.length, 0) * perEvent).toBeLessThanOrEqual(9_000_000);
    expect(decoded.mock.results.length * 4 * perEvent).toBeLessThanOrEqual(18_000_000);
  });
});

describe("sealing", () => {
  test("puts a backfill's events into segments apart from the live ones it came between", async () => {
    const { stub, tenant } = newAggregator();
    for (let k = 0; k < 6; k++) {
      await stub.apply([message(events(20, `live-${k}`, T0 + k * 60_000))]);
      await stub.apply([message(events(100, `old-${k}`, T0 - YEAR + k * 120_000))]);
    }
    await stub.flush();
    const spans = await segmentSpans(tenant);
    expect(spans.map(({ events: count }) => count)).toEqual([120, 600]);
    expect(Math.max(...spans.map(({ hours }) => hours))).toBeLessThan(1);
    expect((await stub.stats()).total_events).toBe(720);
  });

  test("keeps events together that are minutes apart, however many gaps there are", async () => {
    const { stub, tenant } = newAggregator();
    for (let k = 0; k < 10; k++) await stub.apply([message(events(5, `e-${k}`, T0 + k * 20 * 60_000))]);
    await stub.flush();
    expect(await segmentSpans(tenant)).toHaveLength(1);
  });

  test("writes at most eight stretches of time apart, so that scattered events do not become a segment each", async () => {
    const { stub, tenant } = newAggregator();
    for (let k = 0; k < 30; k++) await stub.apply([message([event(`e-${k}`, T0 - k * 24 * HOUR)])]);
    await stub.flush();
    expect(await segmentSpans(tenant)).toHaveLength(8);
  });

  test("a write that failed half way is repeated with the same segments after a restart", async () => {
    const { stub, object, tenant } = newAggregator();
    const apply = async (name: string): Promise<void> => {
      await stub.apply([message(events(20, `live-${name}`, T0))]);
      await stub.apply([message(events(30, `old-${name}`, T0 - YEAR))]);
    };
    const clock = takeClock();
    const away = storeIsAway();
    await apply("a");
    await apply("b");
    clock.pass(61_000);
    await runDurableObjectAlarm(object);
    expect((await stub.metrics())["seal_failures"]).toBe(1);
    await evictDurableObject(object);
    away.mockRestore();
    await apply("c");
    await stub.flush();
    expect((await segmentSpans(tenant)).map(({ events: count }) => count)).toEqual([20, 30, 40, 60]);
    expect(await sealedEvents(tenant)).toBe(150);
    const { events: tail, sealedThrough } = await stub.readTail(ALL_EVENTS, null, 10);
    expect([tail.length, sealedThrough]).toEqual([0, 150]);
  });
});
