import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { event, newTenant, packed, T0 } from "./event-messages.ts";

type Shard = ReturnType<typeof windowAggregator>;

/** Rows billed so far: those of the object, deletes and alarms included, and those of D1 by its own count. */
async function rows(shard: Shard): Promise<number> {
  const metrics = await shard.metrics();
  return (metrics["object_rows_written"] ?? 0) + (metrics["d1_rows_written"] ?? 0);
}

async function sealed(shard: Shard): Promise<void> {
  await expect.poll(async () => (await shard.metrics())["unsealed_events"], { timeout: 10_000 }).toBe(0);
}

describe("rows written per event", () => {
  test("in order, 500 to a message: at most 0.02", async () => {
    const shard = windowAggregator(env, newTenant("rows"));
    const total = 60_000;
    for (let from = 0; from < total; from += 500) {
      // A thousand events a second, two messages a second.
      const list = Array.from({ length: 500 }, (_, k) =>
        event(`e-${from + k}`, T0 + from + k, { user_id: `u${k % 50}` }),
      );
      await shard.apply([{ id: "m", body: packed(list) }]);
    }
    await sealed(shard);
    await shard.flush();
    expect((await shard.stats()).total_events).toBe(total);
    expect((await rows(shard)) / total).toBeLessThanOrEqual(0.02);
  });

  test("one event to a message, one message to a call, sealed every minute: at most 2.5", async () => {
    const shard = windowAggregator(env, newTenant("rows"));
    const total = 600;
    for (let k = 0; k < total; k++) {
      await shard.apply([{ id: "m", body: packed([event(`e-${k}`, T0 + k * 1000)]) }]);
      // What the alarm does each minute, and a checkpoint with it, which is due only every ten.
      if (k % 60 === 59) await shard.flush();
    }
    expect((await shard.stats()).total_events).toBe(total);
    expect((await rows(shard)) / total).toBeLessThanOrEqual(2.5);
  });

  test("one event to a message at a thousand a second, as the queue hands them over: at most 2.5", async () => {
    const shard = windowAggregator(env, newTenant("rows"));
    const total = 2000;
    for (let from = 0; from < total; from += 4) {
      // Four messages a call is what a consumer gets that is called as soon as it is free; more only make it cheaper.
      const messages = Array.from({ length: 4 }, (_, k) => ({
        id: `m${k}`,
        body: packed([event(`e-${from + k}`, T0 + from + k)]),
      }));
      await shard.apply(messages);
    }
    await shard.flush();
    expect((await shard.stats()).total_events).toBe(total);
    expect((await rows(shard)) / total).toBeLessThanOrEqual(2.5);
  });
});
