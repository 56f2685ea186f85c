import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { vi } from "vitest";
import type { StreamEvent } from "../../core/events/event.ts";
import { aggregatorName, rateControllerName } from "../../core/events/names.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { newTenant, packed } from "./event-messages.ts";

/** A tenant of its own, its windows' object as a bare stub and by its methods, and its rate controller. */
export function newAggregator() {
  const tenant = newTenant("aggregator");
  return {
    tenant,
    object: env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant, 0)),
    stub: windowAggregator(env, tenant),
    rate: env.RATE_CONTROLLER.getByName(rateControllerName(tenant)),
  };
}

type Aggregator = ReturnType<typeof newAggregator>["stub"];

export const message = (list: readonly StreamEvent[]) => ({ id: "m", body: packed(list) });

export const everyWindow = { from: null, to: null, status: "all", groups: {}, limit: 1000, after: null } as const;

export async function hourlyCounts(stub: Aggregator): Promise<unknown[]> {
  const page = await stub.windows("events_1h", everyWindow);
  return page?.windows.map(({ values }) => values["count"]) ?? [];
}

/** Restarts an object without its filter of all ids: as when that is full, every id it does not remember is looked up. */
export async function evictWithoutSeen(object: ReturnType<typeof newAggregator>["object"]): Promise<void> {
  await runInDurableObject(object, (_, state) => {
    if (state.storage.sql.exec("delete from seen").rowsWritten === 0) throw new Error("no filter was stored");
  });
  await evictDurableObject(object);
}

export async function sealedEvents(tenant: string): Promise<number> {
  const sql = "select coalesce(sum(events), 0) as events from segment_index where tenant = ?";
  return (await env.DB.prepare(sql).bind(tenant).first<{ events: number }>())?.events ?? 0;
}

/** From now on the clock is the test's; timers go on. Undone by `vi.useRealTimers()`. */
export function takeClock(): { pass(ms: number): void } {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  return { pass: (ms) => void vi.setSystemTime(Date.now() + ms) };
}

/** The event store does not answer until the spy is restored. */
export function storeIsAway() {
  return vi.spyOn(Object.getPrototypeOf(env.DB), "batch").mockRejectedValue(new Error("the store is away"));
}
