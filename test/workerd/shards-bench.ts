import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { StreamEvent } from "../../core/events/event.ts";
import { aggregatorName, rateControllerName } from "../../core/events/names.ts";
import { FINGERPRINT_WORDS, fingerprint, slotOf } from "../../core/windows/fingerprint.ts";
import { SLOTS } from "../../core/windows/slot-map.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { newTenant } from "./event-messages.ts";
import { message } from "./window-aggregator-bench.ts";

const slot = (id: string): number => {
  const words = new Uint32Array(FINGERPRINT_WORDS);
  fingerprint(id, words, 0);
  return slotOf(words, 0);
};

/**
 * A tenant with home and `count` shards, each owning the slots whose number is its own modulo `count`.
 * @param before what home stores while it is alone; it has restarted since
 */
export async function newShards(count: number, before: readonly StreamEvent[] = []) {
  const tenant = newTenant("shards");
  const home = windowAggregator(env, tenant, 0);
  if (before.length > 0) {
    await home.apply([message(before)]);
    await home.flush();
    await evictDurableObject(env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant, 0)));
  }
  const shards = Array.from({ length: count }, (_, k) => windowAggregator(env, tenant, k + 1));
  const ownedBy = (k: number): number[] => Array.from({ length: SLOTS }, (_, s) => s).filter((s) => s % count === k);
  for (const [k, shard] of shards.entries()) await shard.adopt(1, ownedBy(k), await home.exportIds(ownedBy(k)));
  return {
    tenant,
    home,
    shards,
    rate: env.RATE_CONTROLLER.getByName(rateControllerName(tenant)),
    object: (number: number) => env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant, number)),
    /** The events of one shard. */
    of: (k: number, list: readonly StreamEvent[]) => list.filter(({ id }) => slot(id) % count === k),
    /** Sends each event to the shard that owns it. */
    send: async (list: readonly StreamEvent[]): Promise<void> => {
      for (const [k, shard] of shards.entries()) {
        const own = list.filter(({ id }) => slot(id) % count === k);
        if (own.length > 0) await shard.apply([message(own)]);
      }
    },
  };
}
