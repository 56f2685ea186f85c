import { evictDurableObject } from "cloudflare:test";
import { describe, expect, test, vi } from "vitest";
import { LateInbox } from "../../durable-objects/aggregator/late-resolver.ts";
import { event, events, T0 } from "./event-messages.ts";
import { evictWithoutSeen, message, newAggregator } from "./window-aggregator-bench.ts";

const HOUR = 3_600_000;

describe("what was counted, over a restart", () => {
  test("duplicates and dead letters are not forgotten, though the log does not hold them", async () => {
    const { stub, object } = newAggregator();
    const list = events(100);
    await stub.apply([message(list)]);
    await stub.apply([message(list)]);
    await evictDurableObject(object);
    await stub.settle(5);
    expect(await stub.metrics()).toMatchObject({ events_applied: 205, events_duplicate: 100 });
    await evictDurableObject(object);
    expect(await stub.metrics()).toMatchObject({ events_applied: 205, events_duplicate: 100 });
    await stub.apply([message(events(10, "more", T0 + HOUR))]);
    await stub.apply([message(events(10, "most", T0 + 2 * HOUR))]);
    await evictDurableObject(object);
    expect(await stub.metrics()).toMatchObject({ events_applied: 225, events_duplicate: 100 });
  });

  test("an event that came late counts as applied once: when it came, not when it was looked up", async () => {
    const { stub, object } = newAggregator();
    await stub.apply([message(events(10, "old", T0))]);
    await stub.apply([message(events(10, "newer", T0 + 3 * HOUR))]);
    await stub.flush();
    await evictWithoutSeen(object);
    const away = vi.spyOn(LateInbox.prototype, "resolve").mockRejectedValue(new Error("the store is away"));
    expect(await stub.apply([message([event("late", T0 + 5)])])).toMatchObject({ late: 1 });
    // Writes a checkpoint while the event waits.
    await stub.putAggregation(
      { name: "mine", window: { type: "tumbling", size: "1h" }, measures: { n: { fn: "count" } } },
      { mode: "create" },
    );
    away.mockRestore();
    await expect.poll(async () => (await stub.metrics())["events_late_pending"], { timeout: 5000 }).toBe(0);
    expect(await stub.metrics()).toMatchObject({ events_applied: 21, events_stored: 21 });
    await evictDurableObject(object);
    expect(await stub.metrics()).toMatchObject({ events_applied: 21, events_stored: 21 });
  });
});
