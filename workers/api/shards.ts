import { Hono } from "hono";
import { z } from "zod";
import { HOME, MAX_SHARDS } from "../../core/windows/slot-map.ts";
import type { ShardsInfo } from "../../durable-objects/aggregator/sharding.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { requireRole } from "../auth/index.ts";
import { type AppEnv, ok, readJson } from "../http.ts";
import { badParameter } from "./window-parameters.ts";

/** Powers of two, so that doubling and halving leave every object with as many slots as the others. */
const COUNTS = Array.from({ length: Math.log2(MAX_SHARDS) + 1 }, (_, k) => 2 ** k);
const bodySchema = z.strictObject({ count: z.union([z.literal(COUNTS), z.literal("auto")]) });

/** How a tenant's events are spread over objects, and the switch for it. */
export const shardRoutes = new Hono<AppEnv>()
  .get("/api/v1/shards", requireRole("viewer"), async (c) => {
    return ok(c, shardsJson(await windowAggregator(c.env, c.get("principal").tenant, HOME).shards()));
  })
  .put("/api/v1/shards", requireRole("admin"), async (c) => {
    const parsed = bodySchema.safeParse(await readJson(c));
    if (!parsed.success) throw badParameter("count", `must be ${COUNTS.join(", ")} or "auto", and the only field`);
    const info = await windowAggregator(c.env, c.get("principal").tenant, HOME).setShards(parsed.data.count);
    return ok(c, shardsJson(info), info.moving ? "Slots move in the background." : "ok");
  });

function shardsJson({ count, mode, moving, map, inTransit, objects }: ShardsInfo): unknown {
  return {
    count,
    mode,
    moving,
    epoch: map.epoch,
    slots_in_transit: inTransit,
    owners: map.owners,
    objects: objects.map(({ object, slots, applied, eventsPerSecond, overloads }) => ({
      object,
      slots,
      events_applied: applied,
      events_per_second: Math.round(eventsPerSecond * 10) / 10,
      overloads,
    })),
  };
}
