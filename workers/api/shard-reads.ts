import { HOME } from "../../core/windows/slot-map.ts";
import type { ShardsInfo } from "../../durable-objects/aggregator/sharding.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";

type Aggregator = ReturnType<typeof windowAggregator>;

/** What home knows of the tenant's shards, and what each object in use answers, home first. One that gave all its slots away sleeps on. */
export async function askEveryShard<Answer>(
  env: Env,
  tenant: string,
  ask: (object: Aggregator) => Promise<Answer>,
): Promise<{ readonly info: ShardsInfo; readonly answers: readonly Answer[] }> {
  const info = await windowAggregator(env, tenant, HOME).shards();
  const answers = await Promise.all(info.inUse.map((object) => ask(windowAggregator(env, tenant, object))));
  return { info, answers };
}
