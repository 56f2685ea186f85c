import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ChunkLog } from "../../durable-objects/aggregator/chunk-log.ts";
import { LateInbox } from "../../durable-objects/aggregator/late-resolver.ts";
import { Sealer } from "../../durable-objects/aggregator/sealer.ts";
import { RateController } from "../../durable-objects/rate-controller.ts";
import type { WindowAggregator } from "../../durable-objects/window-aggregator.ts";
import { events, T0 } from "./event-messages.ts";
import { message, newAggregator, sealedEvents, storeIsAway, takeClock } from "./window-aggregator-bench.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const askForNothing = { isolate: "a", used: { events: 0, bytes: 0 }, want: 0 };

describe("sealing", () => {
  test("events that come while everything is being sealed are sealed in their turn", async () => {
    const { object, tenant } = newAggregator();
    const clock = takeClock();
    await runInDurableObject(object, async (instance: WindowAggregator) => {
      await instance.apply([message(events(10, "first"))]);
      const seal = Sealer.prototype.seal;
      vi.spyOn(Sealer.prototype, "seal").mockImplementationOnce(async function (this: Sealer, all, nowMs) {
        await seal.call(this, all, nowMs);
        await instance.apply([message(events(10, "meanwhile", T0 + 60_000))]);
      });
      await instance.flush();
    });
    expect(await sealedEvents(tenant)).toBe(10);
    clock.pass(61_000);
    await runDurableObjectAlarm(object);
    expect(await sealedEvents(tenant)).toBe(20);
  });

  test("goes on while the rate controller does not answer", async () => {
    const { stub, object, tenant } = newAggregator();
    const clock = takeClock();
    await stub.apply([message(events(10))]);
    vi.spyOn(RateController.prototype, "acceptedEvents").mockImplementation(() => {
      throw new Error("away");
    });
    clock.pass(61_000);
    await runDurableObjectAlarm(object);
    expect(await sealedEvents(tenant)).toBe(10);
  });

  test("a failure to read the log back pauses it like one to write to the store", async () => {
    const { stub, object } = newAggregator();
    const clock = takeClock();
    await stub.apply([message(events(10))]);
    const body = vi.spyOn(ChunkLog.prototype, "body").mockImplementation(() => {
      throw new Error("lost");
    });
    clock.pass(61_000);
    await runDurableObjectAlarm(object);
    const tries = body.mock.calls.length;
    await stub.apply([message(events(10, "more", T0 + 60_000))]);
    await runDurableObjectAlarm(object);
    expect(body.mock.calls.length).toBe(tries);
    expect((await stub.metrics())["seal_failures"]).toBe(1);
  });
});

describe("a log that cannot be drained", () => {
  test("stops ingest, and lets it go on when the store is back, though the object restarted in between", async () => {
    const { stub, object, rate } = newAggregator();
    const away = storeIsAway();
    const full = vi.spyOn(ChunkLog.prototype, "unsealedBytes", "get").mockReturnValue(2_000_000_000);
    await stub.apply([message(events(2000))]);
    await expect.poll(async () => await rate.lease(askForNothing)).toMatchObject({ reason: "stopped" });
    await evictDurableObject(object);
    away.mockRestore();
    full.mockRestore();
    await stub.flush();
    expect(await rate.lease(askForNothing)).toMatchObject({ refused: false });
  });

  test("ingest is told again to go on when that did not arrive, even if nothing is left to seal", async () => {
    const { stub, object, rate } = newAggregator();
    const away = storeIsAway();
    const full = vi.spyOn(ChunkLog.prototype, "unsealedBytes", "get").mockReturnValue(2_000_000_000);
    await stub.apply([message(events(2000))]);
    await expect.poll(async () => await rate.lease(askForNothing)).toMatchObject({ reason: "stopped" });
    away.mockRestore();
    full.mockRestore();
    const deaf = vi.spyOn(RateController.prototype, "setStopped").mockImplementation(() => {
      throw new Error("away");
    });
    await runInDurableObject(object, async (instance: WindowAggregator) => {
      await expect(instance.flush()).rejects.toThrow("away");
    });
    deaf.mockRestore();
    await runDurableObjectAlarm(object);
    expect(await rate.lease(askForNothing)).toMatchObject({ refused: false });
  });
});

describe("late events that cannot be looked up", () => {
  test("when no more fit, the object takes nothing and says that no event is to blame", async () => {
    const { object } = newAggregator();
    vi.spyOn(LateInbox.prototype, "size", "get").mockReturnValue(60_000);
    const resolve = vi.spyOn(LateInbox.prototype, "resolve").mockRejectedValue(new Error("the store is away"));
    await runInDurableObject(object, async (instance: WindowAggregator) => {
      expect(instance.ping()).toBe(true);
      await expect(instance.apply([message(events(1))])).rejects.toThrow("the store is away");
      expect(() => instance.ping()).toThrow("wait for the event store");
      // No second try right away: each reads the whole unsealed log.
      await expect(instance.apply([message(events(1))])).rejects.toThrow("wait for the event store");
    });
    expect(resolve).toHaveBeenCalledTimes(1);
  });
});
