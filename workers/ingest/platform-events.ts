import { WorkerEntrypoint } from "cloudflare:workers";
import type { MatchEvent } from "../../core/patterns/match-event.ts";
import type { SentAnswer } from "../../durable-objects/patterns/match-sender.ts";
import { ApiError } from "../http.ts";
import { withCountedQueues } from "../queue-ledger.ts";
import { QUEUE_RETRY_AFTER_SECONDS } from "./accept.ts";
import { assertOpen, takeEvents } from "./door.ts";
import { randomIds } from "./event-ids.ts";

/** Events that the platform makes itself come in here: admitted, validated and queued as a producer's are. */
export class PlatformEvents extends WorkerEntrypoint<Env> {
  async take(tenant: string, events: readonly MatchEvent[]): Promise<SentAnswer> {
    const env = withCountedQueues(this.env);
    try {
      await assertOpen(env, tenant);
      const parsed = { values: events, indexes: null, unparsed: [] };
      const { rejected } = await takeEvents(env, tenant, parsed, randomIds(), JSON.stringify(events).length);
      const isUnqueued = rejected.some(({ reason }) => reason === "unavailable");
      const refused = rejected.filter(({ reason }) => reason !== "unavailable");
      return {
        retryAfterMs: isUnqueued ? QUEUE_RETRY_AFTER_SECONDS * 1000 : null,
        refused: refused.map(({ id, message }) => `${id ?? ""}: ${message}`),
      };
    } catch (error) {
      if (!(error instanceof ApiError) || error.retryAfterSeconds === undefined) throw error;
      return { retryAfterMs: error.retryAfterSeconds * 1000, refused: [] };
    }
  }
}
