import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { rateControllerName } from "../../core/events/names.ts";
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
