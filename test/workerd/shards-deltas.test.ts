import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { WindowAggregator } from "../../durable-objects/window-aggregator.ts";
import { event, events, T0 } from "./event-messages.ts";
import { newShards } from "./shards-bench.ts";
import { everyWindow, hourlyCounts, message, takeClock } from "./window-aggregator-bench.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const HOUR = 3_600_000;

/** Text that does not compress: a delta of it is as large as it looks. */
function noise(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array((length * 3) / 4));
  return btoa(String.fromCharCode(...bytes));
}

describe("two shards and home", () => {
  test("what shards take is counted at home, each event once, with what an operator sees of them", async () => {
    const { home, send, shards } = await newShards(2);
    const list = events(200);
    await send(list);
    await send(list.slice(0, 50));
    for (const shard of shards) await shard.drain();
    expect(await hourlyCounts(home)).toEqual([200]);
    expect(await home.stats()).toMatchObject({ total_events: 200, events_by_type: { "web.request": 200 } });
    expect(await home.metrics()).toMatchObject({ events_stored: 200, events_duplicate: 50 });
    expect((await home.stats()).storage_size_bytes).toBeGreaterThan(0);
  });

  test("deltas go home by themselves a moment after the events", async () => {
    const { home, send } = await newShards(2);
    await send(events(100));
    await expect.poll(() => hourlyCounts(home)).toEqual([100]);
  });

  test("evictions of any of them between any two calls change no number", async () => {
    const { home, send, shards, object } = await newShards(2);
    for (let k = 0; k < 6; k++) {
      const list = events(20, `call-${k}`, T0 + k * 60_000);
      await send(list);
      await evictDurableObject(object(k % 3));
      await send(list);
    }
    for (const shard of shards) await shard.drain();
    expect(await hourlyCounts(home)).toEqual([120]);
    await evictDurableObject(object(0));
    expect(await hourlyCounts(home)).toEqual([120]);
    expect(await home.metrics()).toMatchObject({ events_stored: 120, events_duplicate: 120 });
  });

  test("a delta whose answer was lost is merged once", async () => {
    const { home, send, shards } = await newShards(2);
    const merge = WindowAggregator.prototype.merge;
    let lost = 0;
    vi.spyOn(WindowAggregator.prototype, "merge").mockImplementation(async function (this: WindowAggregator, delta) {
      const answer = await merge.call(this, delta);
      if (lost++ < 6) throw new Error("the answer is lost");
      return answer;
    });
    await send(events(100));
    await expect
      .poll(async () => await Promise.allSettled(shards.map(async (shard) => await shard.drain())))
      .toMatchObject([{ status: "fulfilled" }, { status: "fulfilled" }]);
    expect(await hourlyCounts(home)).toEqual([100]);
  });

  test("while home is away shards go on taking events, and count them again from their log after an eviction", async () => {
    const { home, send, shards, object } = await newShards(2);
    const away = vi.spyOn(WindowAggregator.prototype, "merge").mockRejectedValue(new Error("away"));
    for (let k = 0; k < 5; k++) await send(events(300, `part-${k}`, T0 + k * HOUR));
    const outcomes = await Promise.allSettled(shards.map(async (shard) => await shard.flush()));
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    for (const k of [1, 2]) await evictDurableObject(object(k));
    away.mockRestore();
    for (const shard of shards) await shard.flush();
    expect(await hourlyCounts(home)).toEqual([300, 300, 300, 300, 300]);
  });

  test("an aggregation made meanwhile counts every event merged after it, and is filled in with what came before", async () => {
    const { home, send, shards, object } = await newShards(2);
    await send(events(50, "before", T0));
    for (const shard of shards) await shard.drain();
    const away = vi.spyOn(WindowAggregator.prototype, "merge").mockRejectedValue(new Error("away"));
    await send(events(30, "between", T0 + HOUR));
    const definition = {
      name: "mine",
      window: { type: "tumbling" as const, size: "1h" },
      measures: { n: { fn: "count" as const } },
    };
    await home.putAggregation(definition, { mode: "create" });
    away.mockRestore();
    await send(events(20, "after", T0 + 2 * HOUR));
    await evictDurableObject(object(1));
    for (const shard of shards) await shard.drain();
    await expect.poll(async () => (await home.getAggregation("mine"))?.filling).toBe(false);
    const page = await home.windows("mine", everyWindow);
    expect(page?.windows.map(({ values, partial }) => [values["n"], partial])).toEqual([
      [50, false],
      [30, false],
      [20, false],
    ]);
  });

  test("a late event of a shard is looked up in what another object stored, and revises its window at home", async () => {
    const old = events(100, "old", T0);
    const { home, send, shards, of } = await newShards(2, [...old, ...events(100, "newer", T0 + 3 * HOUR)]);
    await send([...old, event("really-new", T0 + 5)]);
    for (const shard of shards) await shard.drain();
    expect(await hourlyCounts(home)).toEqual([101, 100]);
    expect(of(0, old).length).toBeGreaterThan(20);
    expect(await home.metrics()).toMatchObject({ events_duplicate: 100 });
  });

  test("silence closes no window while an event has been accepted, taken by a shard, and not merged", async () => {
    const { home, send, shards, object, rate } = await newShards(2);
    const clock = takeClock();
    await rate.lease({ isolate: "a", used: { events: 2, bytes: 0 }, want: 0 });
    await send([event("first", Date.now())]);
    for (const shard of shards) await shard.drain();
    const away = vi.spyOn(WindowAggregator.prototype, "merge").mockRejectedValue(new Error("away"));
    await send([event("second", Date.now() + 1)]);
    clock.pass(2 * HOUR);
    await runDurableObjectAlarm(object(0));
    expect((await home.windows("events_1h", everyWindow))?.windows[0]).toMatchObject({ status: "open" });
    away.mockRestore();
    for (const shard of shards) await shard.drain();
    clock.pass(2000);
    await runDurableObjectAlarm(object(0));
    expect((await home.windows("events_1h", everyWindow))?.windows[0]).toMatchObject({ status: "closed" });
    expect(await hourlyCounts(home)).toEqual([2]);
  });

  test("home wakes though its log holds deltas of an aggregation that is no more", async () => {
    const { home, send, shards, object } = await newShards(2);
    const definition = {
      name: "mine",
      window: { type: "tumbling" as const, size: "1h" },
      measures: { n: { fn: "count" as const } },
    };
    await home.putAggregation(definition, { mode: "create" });
    await send(events(60));
    for (const shard of shards) await shard.drain();
    await home.deleteAggregation("mine");
    await evictDurableObject(object(0));
    expect(await hourlyCounts(home)).toEqual([60]);
    await send(events(60, "more", T0 + HOUR));
    for (const shard of shards) await shard.drain();
    expect(await hourlyCounts(home)).toEqual([60, 60]);
  });

  test("a delta of several rows of home's log is read back whole after an eviction", async () => {
    const { home, shards, object } = await newShards(1);
    await home.putAggregation(
      {
        name: "texts",
        window: { type: "tumbling", size: "1h" },
        group_by: ["data.k"],
        measures: { text: { fn: "last", field: "data.text" } },
      },
      { mode: "create" },
    );
    const list = Array.from({ length: 100 }, (_, k) =>
      event(`e-${k}`, T0 + k, { data: { k, text: `${k} ${noise(25_000)}` } }),
    );
    // In one call and so in one delta, though in messages as small as ingest makes them.
    await shards[0]?.apply(Array.from({ length: 50 }, (_, k) => message(list.slice(2 * k, 2 * k + 2))));
    for (const shard of shards) await shard.drain();
    const rows = await runInDurableObject(object(0), (_, { storage }) =>
      storage.sql.exec("select kind from log order by entry").toArray(),
    );
    expect(rows.map(({ kind }) => kind)).toEqual(["delta_part", "delta"]);
    await evictDurableObject(object(0));
    const page = await home.windows("texts", everyWindow);
    const texts = page?.windows.map(({ group, values }) => String(values["text"]).startsWith(`${group["data.k"]} `));
    expect(texts).toEqual(Array.from({ length: 100 }, () => true));
    expect(await hourlyCounts(home)).toEqual([100]);
  });

  test("totals that no event goes with reach home as well", async () => {
    const { home, shards, of } = await newShards(2);
    const list = of(0, events(50));
    await shards[0]?.apply([message(list)]);
    await shards[0]?.drain();
    await shards[0]?.apply([message(list)]);
    await expect.poll(async () => (await home.metrics())["events_duplicate"]).toBe(list.length);
  });
});
