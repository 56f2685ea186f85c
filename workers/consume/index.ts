import { type EventMessage, isEventMessage } from "../../core/events/message.ts";
import { rateControllerName, TENANT_ID } from "../../core/events/names.ts";
import { ATTEMPTS_TOGETHER, retryDelaySeconds } from "../../core/events/poison.ts";
import type { IncomingMessage } from "../../durable-objects/aggregator/messages.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { log, logError } from "../log.ts";
import type { ConsumeDeps } from "./call.ts";
import { deliver, type Trouble, type Verdict } from "./deliver.ts";
import { CallLimiter, type LimiterDeps } from "./limiter.ts";
import { ConsumerMemory } from "./memory.ts";
import { buryPoison, PostponedError, takeAlone } from "./poison.ts";

export type { ConsumeDeps } from "./call.ts";

/** Events whose slots are in transit have waited here for seconds already, and mostly the rest of the way is short. */
const LEAST_IN_TRANSIT_SECONDS = 2;
/** An overloaded object is left alone for as long as a message that has failed so many times. */
const OVERLOADED_TRIES = 5;

interface Delivery {
  readonly message: Message;
  readonly body: EventMessage;
}

const memory = new ConsumerMemory();
const limiter = new CallLimiter();

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The queue handler of event messages. */
export async function consumeEvents(batch: MessageBatch, env: Env, ctx: ExecutionContext): Promise<void> {
  const limits: LimiterDeps = {
    random: Math.random,
    now: Date.now,
    wait,
    report: (tenant, report) => {
      const told = env.RATE_CONTROLLER.getByName(rateControllerName(tenant)).downstream(report);
      ctx.waitUntil(told.catch((error: unknown) => logError("downstream not told", error, { tenant })));
    },
    log: (fields) => log({ level: "warn", event: "circuit", ...fields }),
  };
  await consume(batch, {
    target: (tenant, shard) => windowAggregator(env, tenant, shard),
    bury: (letter) => env.DEAD_LETTERS.send(letter, { contentType: "v8" }),
    requeue: (messages, delaySeconds) =>
      env.EVENTS.sendBatch(
        messages.map((body) => ({ body, contentType: "v8" as const })),
        { delaySeconds },
      ),
    random: Math.random,
    wait,
    memory,
    limited: (tenant, shard, ask) => limiter.run(tenant, shard, ask, limits),
  });
}

/**
 * Takes event messages from the queue: one call per tenant and object, and an answer to the queue per message, so that neither
 * one tenant's nor one message's failure makes another's come again. Redelivery is harmless: events are counted by id.
 */
export async function consume(batch: MessageBatch, deps: ConsumeDeps): Promise<void> {
  const byTenant = new Map<string, Delivery[]>();
  const strays: Message[] = [];
  for (const message of batch.messages) {
    const { body } = message;
    if (isProbe(body)) message.ack();
    else if (!isEventMessage(body) || !TENANT_ID.test(body.tenant)) strays.push(message);
    else byTenant.set(body.tenant, [...(byTenant.get(body.tenant) ?? []), { message, body }]);
  }
  await Promise.all([
    ...strays.map((message) => answer(message, deps, () => deps.bury(message.body))),
    ...[...byTenant].map(([tenant, deliveries]) => consumeTenant(tenant, deliveries, deps)),
  ]);
}

async function consumeTenant(tenant: string, deliveries: readonly Delivery[], deps: ConsumeDeps): Promise<void> {
  const isSuspect = ({ message }: Delivery): boolean => deps.memory.triesOf(message) > ATTEMPTS_TOGETHER;
  const together = deliveries.filter((delivery) => !isSuspect(delivery));
  if (together.length > 0) {
    const incoming = together.map(({ message, body }) => ({
      id: message.id,
      body: body.body,
      events: body.n,
      acceptedAt: body.acceptedAt,
    }));
    const verdicts = await deliver(tenant, incoming, false, deps);
    for (const delivery of together) await settleOne(delivery, verdicts.get(delivery.message.id), deps);
  }
  for (const { message, body } of deliveries.filter(isSuspect))
    await answer(message, deps, () => takeAlone(body, deps.memory.triesOf(message), deps));
}

/** Tells the queue what became of a message. */
async function settleOne({ message, body }: Delivery, verdict: Verdict | undefined, deps: ConsumeDeps): Promise<void> {
  switch (verdict?.kind) {
    case undefined:
    case "committed":
      done(message, deps);
      return;
    case "unreadable":
      await answer(message, deps, () => buryPoison(body, "cannot be read", deps));
      return;
    case "postponed":
      if (verdict.rest === null) later(message, verdict.why, deps);
      else
        await answer(message, deps, () =>
          requeue(body, verdict.rest ?? [], laterSeconds(message, verdict.why, deps), deps),
        );
      return;
    case "failed":
      again(message, deps);
  }
}

/** Acknowledges when `take` succeeds; otherwise the message comes again. */
async function answer(message: Message, deps: ConsumeDeps, take: () => Promise<unknown>): Promise<void> {
  try {
    await take();
    done(message, deps);
  } catch (error) {
    if (error instanceof PostponedError) {
      later(message, error.why, deps);
      return;
    }
    logError("consume alone", error, { attempts: message.attempts });
    again(message, deps);
  }
}

function done(message: Message, deps: ConsumeDeps): void {
  deps.memory.forget(message.id);
  message.ack();
}

/** It comes again, later each time. */
function again(message: Message, deps: ConsumeDeps): void {
  message.retry({ delaySeconds: retryDelaySeconds(deps.memory.triesOf(message), deps.random()) });
}

/** It comes again, and this delivery is not held against it. */
function later(message: Message, why: Trouble, deps: ConsumeDeps): void {
  deps.memory.excuse(message.id);
  message.retry({ delaySeconds: laterSeconds(message, why, deps) });
}

/** Pause before a message comes again that is not to blame. */
function laterSeconds({ attempts }: Message, why: Trouble, deps: ConsumeDeps): number {
  if (why !== "overloaded") return Math.max(LEAST_IN_TRANSIT_SECONDS, retryDelaySeconds(attempts, deps.random()));
  return retryDelaySeconds(Math.max(OVERLOADED_TRIES, attempts), deps.random());
}

/** What is left of a message, as messages of their own: were it to come again as a whole, what was taken would count as duplicates. */
async function requeue(
  body: EventMessage,
  rest: readonly IncomingMessage[],
  delaySeconds: number,
  deps: ConsumeDeps,
): Promise<void> {
  const messages = rest.map((part) => ({
    ...body,
    batch: crypto.randomUUID(),
    n: part.events ?? body.n,
    body: part.body,
  }));
  await deps.requeue(messages, delaySeconds);
}

function isProbe(body: unknown): boolean {
  return typeof body === "object" && body !== null && "kind" in body && body.kind === "probe";
}
