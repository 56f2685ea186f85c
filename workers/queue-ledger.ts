/**
 * Counts what went into and came out of the queues, for a local platform that wants to stop.
 *
 * The local queue lives in memory and its own backlog figure leaves out messages that are being handled, delayed or
 * waiting for a retry, so "the queue is empty" can only be told by counting both ends. One workerd runs one isolate of the
 * Worker, and queue and counters die together, so plain variables are exact. In production none of this runs.
 */

const EVENTS_QUEUE = "streamflow-events";
const DEAD_LETTERS_QUEUE = "streamflow-dead-letters";

/** Messages that one isolate sent and finished; `outstanding` is what a stop would lose. */
export interface QueueLedger {
  readonly sent: number;
  readonly done: number;
  readonly outstanding: number;
}

let sent = 0;
let done = 0;
const countedEnvs = new WeakMap<Env, Env>();

/** Both queues that carry accepted events. Notifications are not counted: their objects' outboxes keep them. */
export function queueLedger(): QueueLedger {
  return { sent, done, outstanding: Math.max(0, sent - done) };
}

/** The environment with producers that count, in local mode; otherwise the environment itself. */
export function withCountedQueues(env: Env): Env {
  if (env.STREAMFLOW_MODE !== "local") return env;
  const known = countedEnvs.get(env);
  if (known !== undefined) return known;
  const counted = { ...env, EVENTS: countedQueue(env.EVENTS), DEAD_LETTERS: countedQueue(env.DEAD_LETTERS) };
  countedEnvs.set(env, counted);
  return counted;
}

/** Runs a consumer and counts the messages it finished. @throws what `handle` throws */
export async function countHandled(
  batch: MessageBatch,
  env: Env,
  handle: (batch: MessageBatch) => Promise<void>,
): Promise<void> {
  const isCounted = batch.queue === EVENTS_QUEUE || batch.queue === DEAD_LETTERS_QUEUE;
  if (env.STREAMFLOW_MODE !== "local" || !isCounted) {
    await handle(batch);
    return;
  }
  const retried = new Set<string>();
  const acked = new Set<string>();
  let isAllRetried = false;
  const watched: MessageBatch = {
    queue: batch.queue,
    metadata: batch.metadata,
    messages: batch.messages.map((message) => watchedMessage(message, acked, retried)),
    ackAll: () => {
      for (const { id } of batch.messages) if (!retried.has(id)) acked.add(id);
      batch.ackAll();
    },
    retryAll: (options) => {
      isAllRetried = true;
      batch.retryAll(options);
    },
  };
  try {
    await handle(watched);
  } catch (error) {
    isAllRetried = true;
    throw error;
  } finally {
    // What the platform moves to the dead letters was retried, and is done when it is handled there: sent once, done once.
    done += batch.messages.filter(({ id }) => !retried.has(id) && (!isAllRetried || acked.has(id))).length;
  }
}

function watchedMessage(message: Message, acked: Set<string>, retried: Set<string>): Message {
  return {
    id: message.id,
    timestamp: message.timestamp,
    body: message.body,
    attempts: message.attempts,
    ack: () => {
      acked.add(message.id);
      message.ack();
    },
    retry: (options) => {
      if (!acked.has(message.id)) retried.add(message.id);
      message.retry(options);
    },
  };
}

function countedQueue(queue: Queue): Queue {
  return {
    metrics: () => queue.metrics(),
    send: (message, options) => counting(1, () => queue.send(message, options)),
    sendBatch: (messages, options) => {
      const list = [...messages];
      return counting(list.length, () => queue.sendBatch(list, options));
    },
  };
}

/** Counted before it is sent, so that a message is never handled before it was counted. */
async function counting<Result>(count: number, send: () => Promise<Result>): Promise<Result> {
  sent += count;
  try {
    return await send();
  } catch (error) {
    sent -= count;
    throw error;
  }
}
