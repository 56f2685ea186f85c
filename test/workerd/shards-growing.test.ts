import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { aggregatorName } from "../../core/events/names.ts";
import { BUSY_EVENTS_PER_SECOND, QUIET_FOR_MS, READ_EVERY_MS } from "../../core/windows/scaling.ts";
import { Tally } from "../../durable-objects/aggregator/tally.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { events, newTenant, T0 } from "./event-messages.ts";
import { message, takeClock } from "./window-aggregator-bench.ts";

const SETTLE = { timeout: 20_000 };

afterEach(() => vi.useRealTimers());

async function slotsOf(tenant: string): Promise<number[]> {
  return await vi.waitFor(async () => {
    const { moving, objects } = await windowAggregator(env, tenant).shards();
    expect(moving).toBe(false);
    return objects.map(({ slots }) => slots);
  }, SETTLE);
}

/** A call now and then, each telling of overloads. */
async function callNowAndThen(tenant: string, shard: number, overloads: number, clock: ReturnType<typeof takeClock>) {
  for (let k = 0; k < 5; k++) {
    clock.pass(READ_EVERY_MS);
    await windowAggregator(env, tenant, shard).apply([], { overloads });
    await windowAggregator(env, tenant).apply([]);
  }
}

describe("a tenant in auto mode", () => {
  test("spreads over two objects when callers find its one overloaded, and then over four when a shard is", async () => {
    const clock = takeClock();
    const tenant = newTenant("growing");
    await windowAggregator(env, tenant).setShards("auto");
    await windowAggregator(env, tenant).apply([message(events(40))]);
    await callNowAndThen(tenant, 0, 1, clock);
    expect(await slotsOf(tenant)).toEqual([0, 128, 128]);
    await callNowAndThen(tenant, 2, 3, clock);
    expect(await slotsOf(tenant)).toEqual([0, 64, 64, 64, 64]);
    const { objects, mode } = await windowAggregator(env, tenant).shards();
    expect(mode).toBe("auto");
    expect(objects[2]?.overloads).toBeGreaterThanOrEqual(12);
  });

  test("spreads over two objects when its one takes more than it should for a minute", async () => {
    const clock = takeClock();
    const tenant = newTenant("growing");
    const stub = windowAggregator(env, tenant);
    await stub.setShards("auto");
    let taken = 0;
    const applied = vi.spyOn(Tally.prototype, "applied", "get").mockImplementation(() => taken);
    for (let reading = 0; reading < 6; reading++) {
      clock.pass(READ_EVERY_MS);
      taken += (2 * BUSY_EVENTS_PER_SECOND * READ_EVERY_MS) / 1000;
      await stub.apply([]);
    }
    applied.mockRestore();
    expect(await slotsOf(tenant)).toEqual([0, 128, 128]);
  });

  test("stays as it is when callers are let in", async () => {
    const clock = takeClock();
    const tenant = newTenant("growing");
    await windowAggregator(env, tenant).setShards("auto");
    await callNowAndThen(tenant, 0, 0, clock);
    expect(await slotsOf(tenant)).toEqual([256]);
  });

  test("comes back to one object by its alarm alone, after half an hour in which nothing came", async () => {
    const clock = takeClock();
    const tenant = newTenant("growing");
    const home = env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant, 0));
    await windowAggregator(env, tenant).setShards(2);
    expect(await slotsOf(tenant)).toEqual([0, 128, 128]);
    await windowAggregator(env, tenant, 1).apply([]);
    await windowAggregator(env, tenant).setShards("auto");
    for (let passed = 0; passed <= QUIET_FOR_MS + 600_000; passed += 300_000) {
      await evictDurableObject(home);
      clock.pass(300_000);
      expect(await runDurableObjectAlarm(home)).toBe(true);
    }
    expect(await slotsOf(tenant)).toEqual([256, 0, 0]);
    await windowAggregator(env, tenant).apply([message(events(10, "after", T0))]);
    expect((await windowAggregator(env, tenant).stats()).total_events).toBe(10);
  });
});
