import type { DurableObject } from "cloudflare:workers";
import { aggregatorName } from "../core/events/names.ts";
import type { WindowAggregator } from "./window-aggregator.ts";

/** An object's public methods as its callers see them. */
export type Remote<T> = {
  readonly [Method in Exclude<keyof T, keyof DurableObject>]: T[Method] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
};

/**
 * The object that holds a tenant's windows. The platform's own stub type walks every result, and gives up on JSON's recursive type.
 * @param shard 0 is home
 */
export function windowAggregator(env: Env, tenant: string, shard = 0): Remote<WindowAggregator> {
  return env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant, shard)) as unknown as Remote<WindowAggregator>;
}
