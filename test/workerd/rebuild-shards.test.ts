import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { StreamEvent } from "../../core/events/event.ts";
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

/** A hundred events over four hours. */
const spread = (kind: string): StreamEvent[] =>
  [0, 1, 2, 3].flatMap((hour) => events(25, `${kind}-${hour}`, T0 + hour * HOUR));

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

/** Sent to shards that home does not hear. */
async function unheard({ send }: Shards, kind: string): Promise<{ restore(): void }> {
  const away = vi.spyOn(WindowAggregator.prototype, "merge").mockRejectedValue(new Error("away"));
  await send(spread(kind));
  return { restore: () => away.mockRestore() };
}

describe("a backfill over two shards", () => {
  test.each([
    {
      what: "sealed and not merged",
      prepare: async (tenant: Shards) => {
        const away = await unheard(tenant, "sealed");
        await Promise.allSettled(tenant.shards.map(async (shard) => await shard.drain()));
        await tenant.send(spread("neither"));
        return { counted: 25, away };
      },
      state: { unsealed_events: 100, unmerged_events: 200 },
    },
    {
      what: "merged and not sealed",
      prepare: async (tenant: Shards) => {
        await tenant.send(spread("merged"));
        await expect.poll(async () => (await tenant.home.stats()).total_events).toBe(200);
        return { counted: 50, away: await unheard(tenant, "neither") };
      },
      state: { unsealed_events: 200, unmerged_events: 100 },
    },
  ])("counts each event once where some are $what, at whatever time", async ({ prepare, state }) => {
    const tenant = await newShards(2);
    const { home, shards, object } = tenant;
    await tenant.send(spread("sealed-and-merged"));
    for (const shard of shards) await shard.drain();
    const { counted, away } = await prepare(tenant);
    const [one, other] = await Promise.all(shards.map(async (shard) => await shard.metrics()));
    for (const [figure, events] of Object.entries(state))
      expect([figure, (one?.[figure] ?? 0) + (other?.[figure] ?? 0)]).toEqual([figure, events]);
    await home.putAggregation(mine, { mode: "create", backfill: true });
    await isOver(home);
    expect(await counts(home)).toEqual(Array.from({ length: 4 }, () => [counted, false]));
    away.restore();
    for (const shard of shards) await shard.drain();
    expect(await counts(home)).toEqual(Array.from({ length: 4 }, () => [75, false]));
    await evictDurableObject(object(0));
    expect(await counts(home)).toEqual(Array.from({ length: 4 }, () => [75, false]));
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
