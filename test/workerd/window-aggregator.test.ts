import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { describe, expect, test, vi } from "vitest";
import { ALL_EVENTS } from "../../core/events/query.ts";
import { LiveHub } from "../../durable-objects/live-hub.ts";
import { event, events, packed, T0 } from "./event-messages.ts";
import {
  everyWindow,
  evictWithoutSeen,
  hourlyCounts,
  message,
  newAggregator,
  sealedEvents,
} from "./window-aggregator-bench.ts";

describe("WindowAggregator", () => {
  test("counts each event id once, however often it comes", async () => {
    const { stub } = newAggregator();
    const list = events(100);
    expect(await stub.apply([message(list)])).toEqual({
      fresh: 100,
      duplicates: 0,
      late: 0,
      unreadable: [],
      refused: [],
    });
    expect(await stub.apply([message(list), message(list.slice(0, 50))])).toEqual({
      fresh: 0,
      duplicates: 150,
      late: 0,
      unreadable: [],
      refused: [],
    });
    expect(await hourlyCounts(stub)).toEqual([100]);
  });

  test("has the same numbers and the same tail after an eviction between any two calls", async () => {
    const { stub, object } = newAggregator();
    for (let k = 0; k < 10; k++) {
      await stub.apply([message(events(20, `call-${k}`, T0 + k * 60_000))]);
      await evictDurableObject(object);
      expect(await stub.apply([message(events(20, `call-${k}`, T0 + k * 60_000))])).toMatchObject({ fresh: 0 });
    }
    expect(await hourlyCounts(stub)).toEqual([200]);
    const { events: tail } = await stub.readTail(ALL_EVENTS, null, 1000);
    expect(new Set(tail.map(({ id }) => id)).size).toBe(200);
  });

  test("seals full segments at once and the remainder once a burst is over, each event once", async () => {
    const { stub, tenant } = newAggregator();
    const list = events(2500, "e", T0);
    for (let k = 0; k < 5; k++) await stub.apply([message(list.slice(k * 500, (k + 1) * 500))]);
    await expect.poll(async () => (await stub.metrics())["unsealed_events"]).toBe(0);
    expect(await sealedEvents(tenant)).toBe(2500);
    expect((await stub.readTail(ALL_EVENTS, null, 5000)).events).toEqual([]);
  });

  test("an eviction while a segment is being written neither loses nor doubles an event", async () => {
    const { stub, object, tenant } = newAggregator();
    for (let k = 0; k < 6; k++) {
      await stub.apply([message(events(1000, `part-${k}`, T0 + k * 1_000_000))]);
      await evictDurableObject(object);
    }
    await stub.apply([message(events(2000, "last", T0 + 6_000_000))]);
    await expect.poll(async () => (await stub.metrics())["unsealed_events"], { timeout: 10_000 }).toBe(0);
    expect(await sealedEvents(tenant)).toBe(8000);
    expect((await stub.stats()).total_events).toBe(8000);
  });

  test("the alarm seals what has waited and leaves nothing behind", async () => {
    const { stub, object, tenant } = newAggregator();
    await stub.apply([message(events(10))]);
    expect(await sealedEvents(tenant)).toBe(0);
    await stub.flush();
    expect(await sealedEvents(tenant)).toBe(10);
    await runDurableObjectAlarm(object);
    expect((await stub.metrics())["unsealed_events"]).toBe(0);
  });

  test("an event older than the remembered ids is looked up in the store: a copy is dropped, a new one revises its window", async () => {
    const { stub, object } = newAggregator();
    const old = events(300, "old", T0);
    await stub.apply([message(old)]);
    await stub.apply([message(events(300, "newer", T0 + 3 * 3_600_000))]);
    await stub.flush();
    // Checkpointed ids of the old hour are past the horizon: after this the object does not know them.
    await evictWithoutSeen(object);
    const outcome = await stub.apply([message([...old, event("really-new", T0 + 5)])]);
    expect(outcome).toEqual({ fresh: 0, duplicates: 0, late: 301, unreadable: [], refused: [] });
    await expect.poll(async () => (await stub.metrics())["events_late_pending"]).toBe(0);
    const page = await stub.windows("events_1h", everyWindow);
    // Whether the newer window has closed depends on whether an idle check came: these events are years old.
    expect(page?.windows.map(({ values, revision }) => [values["count"], revision])).toEqual([
      [301, 1],
      [300, 0],
    ]);
    expect(page?.windows[0]?.status).toBe("closed");
    expect((await stub.metrics())["events_duplicate"]).toBe(300);
  });

  test("of events older than the remembered ids only those are looked up that the filter of all ids may hold, over evictions", async () => {
    const { stub, object } = newAggregator();
    const old = events(300, "old", T0);
    await stub.apply([message(old)]);
    await stub.apply([message(events(300, "newer", T0 + 3 * 3_600_000))]);
    await stub.flush();
    await evictDurableObject(object);
    expect(await stub.apply([message([event("first", T0 + 5), ...old])])).toMatchObject({ fresh: 1, late: 300 });
    // Neither checkpointed nor remembered: the log brings it back into the filter.
    await evictDurableObject(object);
    expect(await stub.apply([message([event("first", T0 + 5), event("second", T0 + 6)])])).toMatchObject({
      fresh: 1,
      late: 1,
    });
    await stub.flush();
    await expect.poll(async () => (await stub.metrics())["events_late_pending"]).toBe(0);
    expect(await hourlyCounts(stub)).toEqual([302, 300]);
    expect((await stub.metrics())["events_duplicate"]).toBe(301);
  });

  test("an eviction while ids are being looked up ends in the same numbers", async () => {
    const { stub, object } = newAggregator();
    const old = events(300, "old", T0);
    await stub.apply([message(old)]);
    await stub.apply([message(events(10, "newer", T0 + 3 * 3_600_000))]);
    await stub.flush();
    await evictDurableObject(object);
    for (let k = 0; k < 3; k++) {
      await stub.apply([message([...old.slice(k * 100), event(`late-${k}`, T0 + k)])]);
      await evictDurableObject(object);
    }
    await stub.flush();
    expect(await hourlyCounts(stub)).toEqual([303, 10]);
  });

  test("an aggregation made after the first events marks the windows it came too late for as partial", async () => {
    const { stub } = newAggregator();
    await stub.apply([message(events(10, "before", T0))]);
    const made = await stub.putAggregation(
      { name: "mine", window: { type: "tumbling", size: "1h" }, measures: { n: { fn: "count" } } },
      { mode: "create" },
    );
    expect(made).toMatchObject({ ok: true, created: true });
    await stub.apply([message([event("same-hour", T0 + 60_000), event("next-hour", T0 + 3_600_000)])]);
    const page = await stub.windows("mine", everyWindow);
    expect(page?.windows.map(({ partial, values }) => [partial, values["n"]])).toEqual([
      [true, 1],
      [false, 1],
    ]);
  });

  test("an aggregation deleted and made again shares nothing with the old one", async () => {
    const { stub, object } = newAggregator();
    const definition = {
      name: "mine",
      window: { type: "tumbling" as const, size: "1h" },
      measures: { n: { fn: "count" as const } },
    };
    await stub.putAggregation(definition, { mode: "create" });
    await stub.apply([message(events(10))]);
    expect(await stub.deleteAggregation("mine")).toBe("deleted");
    expect(await stub.windows("mine", everyWindow)).toBeNull();
    await stub.putAggregation(definition, { mode: "create" });
    // It counts the events that are stored, once, from its own beginning.
    await expect.poll(async () => (await stub.getAggregation("mine"))?.filling).toBe(false);
    await evictDurableObject(object);
    const page = await stub.windows("mine", everyWindow);
    expect(page?.windows.map(({ values, revision }) => [values["n"], revision])).toEqual([[10, 0]]);
    expect(await stub.getAggregation("mine")).toMatchObject({ version: 1, pastVersions: [] });
  });

  test("a message that cannot be read is named, and its neighbours are counted", async () => {
    const { stub } = newAggregator();
    const broken = { id: "broken", body: packed(events(5, "x")).slice(0, 40) };
    expect(await stub.apply([message(events(5, "a")), broken, message(events(5, "b"))])).toEqual({
      fresh: 10,
      duplicates: 0,
      late: 0,
      unreadable: ["broken"],
      refused: [],
    });
    expect(await hourlyCounts(stub)).toEqual([10]);
  });

  test("one object holds one tenant's events only", async () => {
    const [a, b] = [newAggregator(), newAggregator()];
    await a.stub.apply([message(events(3))]);
    expect(await hourlyCounts(b.stub)).toEqual([]);
  });
});

describe("live, over evictions", () => {
  test("an object that was evicted still knows who waits, and tells the hub of the next event", async () => {
    const { stub, object } = newAggregator();
    await stub.apply([message(events(3))]);
    await stub.watch({ topics: ["events", "dashboard:overview"], untilMs: Date.now() + 60_000 });
    await evictDurableObject(object);
    const publish = vi.spyOn(LiveHub.prototype, "publish");
    await stub.apply([message([event("after", T0 + 10_000)])]);
    const frame = { topic: "events", data: { events: [expect.objectContaining({ id: "after" })], skipped: 0 } };
    await expect.poll(() => publish.mock.calls.flatMap(([frames]) => frames)).toContainEqual(frame);
    publish.mockRestore();
  });

  test("the latest events are still there when everything is sealed, checkpointed and evicted", async () => {
    const { stub, object } = newAggregator();
    await stub.apply([message(events(3))]);
    for (let k = 0; k < 3; k++) await stub.flush();
    await evictDurableObject(object);
    expect(await stub.snapshot("events")).toMatchObject({ events: [{ id: "e-2" }, { id: "e-1" }, { id: "e-0" }] });
  });
});
