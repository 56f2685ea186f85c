import { EventBatch } from "../../core/events/event-batch.ts";
import { type EventMessage, isEventMessage, type PoisonMessage } from "../../core/events/message.ts";
import { TENANT_ID } from "../../core/events/names.ts";
import { ATTEMPTS_BEFORE_SPLIT, ATTEMPTS_TOGETHER, halves, retryDelaySeconds } from "../../core/events/poison.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { packChunk, unpackChunk } from "../../storage/chunk.ts";
import { logError } from "../log.ts";

type Target = Pick<ReturnType<typeof windowAggregator>, "apply" | "settle" | "ping">;

/** What consuming needs of its surroundings. */
export interface ConsumeDeps {
  /** The object that takes a tenant's events; a new stub each time, because one that has thrown stays broken. */
  readonly target: (tenant: string) => Target;
  readonly bury: (letter: unknown) => Promise<unknown>;
  /** In [0, 1). */
  readonly random: () => number;
}

interface Delivery {
  readonly message: Message;
  readonly body: EventMessage;
}

/** The queue handler of event messages. */
export async function consumeEvents(batch: MessageBatch, env: Env, _ctx: ExecutionContext): Promise<void> {
  await consume(batch, {
    target: (tenant) => windowAggregator(env, tenant),
    bury: (letter) => env.DEAD_LETTERS.send(letter, { contentType: "v8" }),
    random: Math.random,
  });
}

/**
 * Takes event messages from the queue: one call per tenant, and an answer to the queue per message, so that neither one tenant's
 * nor one message's failure makes another's come again. Redelivery is harmless: events are counted by id.
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
  const together = deliveries.filter(({ message }) => message.attempts <= ATTEMPTS_TOGETHER);
  const alone = deliveries.filter(({ message }) => message.attempts > ATTEMPTS_TOGETHER);
  if (together.length > 0) {
    try {
      const incoming = together.map(({ message, body }) => ({ id: message.id, body: body.body }));
      const { unreadable } = await deps.target(tenant).apply(incoming, false);
      for (const { message, body } of together) {
        if (unreadable.includes(message.id))
          await answer(message, deps, () => buryPoison(body, "cannot be read", deps));
        else message.ack();
      }
    } catch (error) {
      logError("consume", error, { tenant, messages: together.length });
      for (const { message } of together) again(message, deps);
    }
  }
  for (const { message, body } of alone) await answer(message, deps, () => takeAlone(body, message.attempts, deps));
}

/** Acknowledges when `take` succeeds; otherwise the message comes again, later each time. */
async function answer(message: Message, deps: ConsumeDeps, take: () => Promise<unknown>): Promise<void> {
  try {
    await take();
    message.ack();
  } catch (error) {
    logError("consume alone", error, { attempts: message.attempts });
    again(message, deps);
  }
}

/** Applies one message by itself. @throws when it has to come again */
async function takeAlone(body: EventMessage, attempts: number, deps: ConsumeDeps): Promise<void> {
  const reason = await tryApply(body, deps);
  if (reason === null) return;
  if (attempts < ATTEMPTS_BEFORE_SPLIT) throw new Error(reason);
  await splitAndTry(body, reason, deps);
}

/** Applies all events of a message but those that fail by themselves, which become dead letters. @throws when the target went away */
async function splitAndTry(body: EventMessage, reason: string, deps: ConsumeDeps): Promise<void> {
  const parts = split(body);
  if (parts === undefined) {
    await buryPoison(body, reason, deps);
    return;
  }
  for (const part of parts) {
    const failure = await tryApply(part, deps);
    if (failure !== null) await splitAndTry(part, failure, deps);
  }
}

/**
 * @returns null when the events were applied, else why not
 * @throws when the target answers nothing at all: then it is in trouble itself and no event is to blame
 */
async function tryApply(body: EventMessage, deps: ConsumeDeps): Promise<string | null> {
  try {
    const { unreadable } = await deps.target(body.tenant).apply([{ id: body.batch, body: body.body }], true);
    return unreadable.length === 0 ? null : "cannot be read";
  } catch (error) {
    await deps.target(body.tenant).ping();
    return error instanceof Error ? error.message : String(error);
  }
}

async function buryPoison(body: EventMessage, reason: string, deps: ConsumeDeps): Promise<void> {
  const letter: PoisonMessage = { v: 1, kind: "poison", message: body, reason };
  await deps.bury(letter);
  await deps.target(body.tenant).settle(body.n);
}

/** The message in two, or undefined when it is one event or cannot be read. */
function split(body: EventMessage): readonly EventMessage[] | undefined {
  if (body.n <= 1) return undefined;
  try {
    return halves(EventBatch.fromText(unpackChunk(body.body))).map(({ text, events }) => ({
      ...body,
      batch: crypto.randomUUID(),
      n: events,
      body: packChunk(text),
    }));
  } catch {
    return undefined;
  }
}

function again(message: Message, deps: ConsumeDeps): void {
  message.retry({ delaySeconds: retryDelaySeconds(message.attempts, deps.random()) });
}

function isProbe(body: unknown): boolean {
  return typeof body === "object" && body !== null && "kind" in body && body.kind === "probe";
}
