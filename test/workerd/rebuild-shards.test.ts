import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { StoredEvents } from "../../durable-objects/aggregator/stored-events.ts";
import { WindowAggregator } from "../../durable-objects/window-aggregator.ts";
import { event, events, T0 } from "./event-messages.ts";
import { newShards } from "./shards-bench.ts";
import { everyWindow } from "./window-aggregator-bench.ts";

afterEach(() => vi.restoreAllMocks());

const HOUR = 3_600_000;
const mine = {
  name: "mine",
  window: { type: "tumbling" as const, size: "1h" },
  measures: { n: { fn: "count" as const }, ids: { fn: "distinct" as const, field: "id" } },
};

type Shards = Awaited<ReturnType<typeof newShards>>;

async function counts(home: Shards["home"]): Promise<unknown[]> {
  const page = await home.windows("mine", everyWindow);
  return (page?.windows ?? []).map(({ values, partial }) => {
    expect(values["ids"]).toBe(values["n"]);
    return [values["n"], partial];
  });
}

async function isOver(home: Shards["home"]): Promise<void> {
  await expect
    .poll(async () => (await home.listRebuilds()).map(({ state }) => state), { timeout: 10_000 })
    .not.toContainEqual(expect.stringMatching(/waiting|running/));
}

describe("a backfill over two shards", () => {
  test("counts each event once, whether it is sealed, merged, both or neither", async () => {
    const { home, send, shards, object } = await newShards(2);
    await send(events(100, "sealed-and-merged"));
    for (const shard of shards) await shard.drain();
    await send(events(100, "merged", T0 + HOUR));
    await expect.poll(async () => (await home.stats()).total_events).toBe(200);
    // From here on home hears nothing, but the store does.
    const away = vi.spyOn(WindowAggregator.prototype, "merge").mockRejectedValue(new Error("away"));
    await send(events(100, "sealed", T0 + 2 * HOUR));
    await Promise.allSettled(shards.map(async (shard) => await shard.drain()));
    await send(events(100, "neither", T0 + 3 * HOUR));
    await home.putAggregation(mine, { mode: "create", backfill: true });
    await isOver(home);
    expect(await counts(home)).toEqual([
      [100, false],
      [100, false],
    ]);
    away.mockRestore();
    for (const shard of shards) await shard.drain();
    expect(await counts(home)).toEqual(Array.from({ length: 4 }, () => [100, false]));
    await evictDurableObject(object(0));
    expect(await counts(home)).toEqual(Array.from({ length: 4 }, () => [100, false]));
  });

  test("takes in deltas that are merged while the store is read", async () => {
    const { home, send, shards, object } = await newShards(2);
    await send(events(300, "before"));
    for (const shard of shards) await shard.drain();
    const gate = { reached: 0, isOpen: false };
    const { next } = StoredEvents.prototype;
    vi.spyOn(StoredEvents.prototype, "next").mockImplementation(async function (this: StoredEvents) {
      gate.reached++;
      while (!gate.isOpen) await scheduler.wait(5);
      return await next.call(this);
    });
    await home.putAggregation(mine, { mode: "create", backfill: true });
    await expect.poll(() => gate.reached).toBe(1);
    await send([...events(20, "live", T0 + HOUR), event("late", T0 + 1)]);
    for (const shard of shards) await shard.drain();
    expect((await home.stats()).total_events).toBe(321);
    gate.isOpen = true;
    await isOver(home);
    expect(await counts(home)).toEqual([
      [301, false],
      [20, false],
    ]);
    await runInDurableObject(object(0), (instance: WindowAggregator) => instance.alarm());
    await home.requestRebuild({ from: T0, to: T0 + 5 * HOUR }, "mine");
    await isOver(home);
    expect((await home.listRebuilds())[0]).toMatchObject({ kind: "rebuild", state: "done" });
    expect(await counts(home)).toEqual([
      [301, false],
      [20, false],
    ]);
  });
});
