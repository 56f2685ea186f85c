import { app } from "./app.ts";
import { consumeEvents } from "./consume/index.ts";
import { consumeDeadLetters } from "./dead-letters.ts";
import { consumeNotifications } from "./notify/index.ts";
import { countHandled, withCountedQueues } from "./queue-ledger.ts";

export { AlertManager } from "../durable-objects/alert-manager.ts";
export { CapacityController } from "../durable-objects/capacity-controller.ts";
export { LiveHub } from "../durable-objects/live-hub.ts";
export { PatternKeeper } from "../durable-objects/pattern-keeper.ts";
export { RateController } from "../durable-objects/rate-controller.ts";
export { WindowAggregator } from "../durable-objects/window-aggregator.ts";
export { PlatformEvents } from "./ingest/platform-events.ts";

/** The queues are named as in wrangler.toml. */
async function consume(batch: MessageBatch, env: Env, ctx: ExecutionContext): Promise<void> {
  switch (batch.queue) {
    case "streamflow-events":
      return await consumeEvents(batch, env, ctx);
    case "streamflow-dead-letters":
      return await consumeDeadLetters(batch, env);
    case "streamflow-notifications":
      return await consumeNotifications(batch, env, ctx);
    default:
      throw new Error(`no consumer for queue ${batch.queue}`);
  }
}

export default {
  fetch: (request: Request, env: Env, ctx: ExecutionContext) => app.fetch(request, withCountedQueues(env), ctx),
  queue: (batch, env, ctx) => countHandled(batch, env, (counted) => consume(counted, withCountedQueues(env), ctx)),
} satisfies ExportedHandler<Env>;
