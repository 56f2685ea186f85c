import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { rateControllerName } from "../../core/events/names.ts";
import { CapacityController } from "../../durable-objects/capacity-controller.ts";
import { RateController } from "../../durable-objects/rate-controller.ts";

/** The controller of a tenant no other test has. */
function freshController(): DurableObjectStub<RateController> {
  return env.RATE_CONTROLLER.getByName(rateControllerName(`t-${crypto.randomUUID().slice(0, 8)}`));
}

function report(events: number): { isolate: string; used: { events: number; bytes: number }; want: number } {
  return { isolate: "a", used: { events, bytes: events * 300 }, want: 0 };
}

describe("a tenant's rate controller", () => {
  test("grants leases with the figures for the headers", async () => {
    const answer = await freshController().lease({ ...report(0), want: 5_000 });
    expect(answer).toMatchObject({ refused: false, granted: 5_000, limit: 2_000_000, remaining: 1_995_000 });
  });

  test("remembers over an eviction what was accepted and that it is stopped", async () => {
    const controller = freshController();
    await controller.lease(report(40));
    await controller.setStopped("the event store is full");
    await evictDurableObject(controller);
    expect(await controller.acceptedEvents()).toBe(40);
    expect(await controller.lease(report(0))).toMatchObject({ refused: true, reason: "stopped" });
  });

  test("refuses more while three million events wait, and lets in again when they were applied", async () => {
    const controller = freshController();
    for (let n = 0; n < 4; n++) await controller.lease(report(800_000));
    expect(await controller.lease(report(0))).toMatchObject({ refused: true, reason: "backlog" });
    await controller.applied(3_200_000);
    expect(await controller.lease(report(0))).not.toMatchObject({ reason: "backlog" });
  });

  test("writes its row at most once in ten seconds", async () => {
    const controller = freshController();
    const saved = await runInDurableObject(controller, (instance, { storage }) => {
      for (let n = 0; n < 100; n++) instance.lease(report(1));
      return storage.kv.get<{ ledger: { accepted: number } }>("state");
    });
    expect(saved?.ledger.accepted).toBe(1);
  });

  test("shows the circuits as shards and consumers last told of them, and counts refusals", async () => {
    const controller = freshController();
    const closed = {
      oldestAgeMs: 5,
      windowsWritten: 0,
      storeMs: 12,
      storeFailures: 0,
      storeCircuit: "closed",
    } as const;
    await controller.applied(0, 1, closed);
    expect((await controller.state()).state).toMatchObject({
      store_ms: 12,
      circuits: { objects: "closed", store: "closed" },
    });
    await controller.applied(0, 2, { ...closed, storeFailures: 3, storeCircuit: "open" });
    await controller.downstream({ refusals: 10, applyMs: 40, circuit: "half_open", opened: 1, window: 4 });
    expect((await controller.state()).state).toMatchObject({
      refusals: 10,
      apply_ms: 40,
      call_window: 4,
      circuits: { objects: "half_open", store: "open" },
    });
  });

  test("asks for the tenant's part of what all share when there is a queue, and not before", async () => {
    const asked = vi.spyOn(CapacityController.prototype, "report");
    const controller = freshController();
    const signs = {
      oldestAgeMs: 5,
      windowsWritten: 0,
      storeMs: null,
      storeFailures: 0,
      storeCircuit: "closed",
    } as const;
    await controller.lease(report(4_000));
    await controller.applied(1_000, 0, signs);
    expect(asked).not.toHaveBeenCalled();
    await controller.applied(2_000, 0, { ...signs, oldestAgeMs: 800 });
    await vi.waitFor(async () => expect((await controller.state()).state.share).not.toBeNull());
    expect((await controller.state()).state).toMatchObject({ pressed: true, oldest_message_ms: 800 });
    expect(asked).toHaveBeenCalledTimes(1);
  });

  test("goes on after an eviction from the capacity it had measured", async () => {
    const controller = freshController();
    const measured = await runInDurableObject(controller, async (instance, ctx) => {
      const clock = vi.spyOn(Date, "now");
      const startMs = 1_900_000_000_000;
      for (let tick = 0; tick <= 200; tick++) {
        clock.mockReturnValue(startMs + tick * 100);
        instance.lease(report(200));
        const signs = { windowsWritten: 0, storeMs: null, storeFailures: 0, storeCircuit: "closed" } as const;
        instance.applied(1 + tick * 200, 0, { ...signs, oldestAgeMs: tick === 0 ? 0 : 600 });
      }
      const before = instance.state().state.capacity_per_second;
      const after = new RateController(ctx, env).state().state.capacity_per_second;
      clock.mockRestore();
      return { before, after };
    });
    expect(measured.before).toBeCloseTo(2_000, -2);
    expect(measured.after).toBeCloseTo(measured.before, -2);
  });

  test("forgets a local queue's events when the queue is a new one, and only then", async () => {
    const controller = freshController();
    const counted = await runInDurableObject(controller, (_, ctx) => {
      const started = (epoch: string): RateController => {
        const environment = { ...env, QUEUE_EPOCH: epoch };
        return new RateController(ctx, environment);
      };
      const first = started("one");
      first.lease(report(40));
      first.applied(10);
      first.setStopped(null);
      return { same: started("one").acceptedEvents(), other: started("two").acceptedEvents() };
    });
    expect(counted).toEqual({ same: 40, other: 10 });
  });
});
