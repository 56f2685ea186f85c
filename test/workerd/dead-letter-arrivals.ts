import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { consumeDeadLetters } from "../../workers/dead-letters.ts";
import { eventMessage, events } from "./event-messages.ts";
import { type Answer, call } from "./http-client.ts";

const QUEUE = "streamflow-dead-letters";
export const T0 = Date.UTC(2026, 10, 22);

export interface Arrival {
  readonly id: string;
  readonly body: unknown;
  readonly at?: number;
  readonly attempts?: number;
}

export const newId = (): string => crypto.randomUUID().replaceAll("-", "");

function batchOf(arrivals: readonly Arrival[]): MessageBatch {
  return createMessageBatch(
    QUEUE,
    arrivals.map(({ id, body, at = T0, attempts = 1 }) => ({ id, body, attempts, timestamp: new Date(at) })),
  );
}

/** Hands letters to the consumer and tells what it answered the queue. */
export async function arrive(
  arrivals: readonly Arrival[],
  to: Env = env,
): Promise<{ acked: boolean; retried: number }> {
  const batch = batchOf(arrivals);
  await consumeDeadLetters(batch, to);
  const result = await getQueueResult(batch, createExecutionContext());
  return { acked: result.ackAll, retried: result.retryMessages.length };
}

export const exhausted = (tenant: string, count = 3, prefix = newId()): Arrival => ({
  id: newId(),
  body: eventMessage(tenant, events(count, prefix)),
});
export const poison = (tenant: string, reason: string): Arrival => ({
  id: newId(),
  body: { v: 1, kind: "poison", message: eventMessage(tenant, events(1, newId())), reason },
});
export const list = (key: string, query = ""): Promise<Answer> => call("GET", `/api/v1/dead-letters${query}`, { key });
export const replay = (key: string, json?: unknown): Promise<Answer> =>
  call("POST", "/api/v1/dead-letters/replay", { key, ...(json === undefined ? {} : { json }) });

export function lettersOf(answer: Answer): Record<string, unknown>[] {
  const { dead_letters } = answer.data;
  return Array.isArray(dead_letters) ? dead_letters : [];
}
