import { WorkerEntrypoint } from "cloudflare:workers";
import type { MatchEvent } from "../../core/patterns/match-event.ts";
import type { SentAnswer } from "../../durable-objects/patterns/match-sender.ts";
import { ApiError } from "../http.ts";
import { withCountedQueues } from "../queue-ledger.ts";
import { QUEUE_RETRY_AFTER_SECONDS, type Receipt } from "./accept.ts";
import { assertOpen, hasLeft, takeEvents } from "./door.ts";
import { randomIds } from "./event-ids.ts";

/** Events that the platform makes itself come in here: admitted, validated and queued as a producer's are. */
export class PlatformEvents extends WorkerEntrypoint<Env> {
  async take(tenant: string, events: readonly MatchEvent[]): Promise<SentAnswer> {
    const env = withCountedQueues(this.env);
    const bytes = JSON.stringify(events).length;
    try {
      await assertOpen(env, tenant, bytes);
      const parsed = { values: events, indexes: null, unparsed: [] };
      const receipt = await takeEvents(env, tenant, parsed, randomIds(), bytes).finally(() => hasLeft(tenant));
      return answerTo(receipt);
    } catch (error) {
      if (!(error instanceof ApiError) || error.retryAfterSeconds === undefined) throw error;
      return { retryAfterMs: error.retryAfterSeconds * 1000, refused: [] };
    }
  }
}

/** Those the queue did not take are sent again with all others, by the same ids. */
function answerTo({ rejected }: Receipt): SentAnswer {
  const isUnqueued = rejected.some(({ reason }) => reason === "unavailable");
  const refused = rejected.filter(({ reason }) => reason !== "unavailable");
  return {
    retryAfterMs: isUnqueued ? QUEUE_RETRY_AFTER_SECONDS * 1000 : null,
    refused: refused.map(({ id, message }) => `${id ?? ""}: ${message}`),
  };
}
