import { EventBatch } from "../../core/events/event-batch.ts";
import { type EventMessage, isEventMessage, type PoisonMessage } from "../../core/events/message.ts";
import { TENANT_ID } from "../../core/events/names.ts";
import { ATTEMPTS_BEFORE_SPLIT, ATTEMPTS_TOGETHER, halves, retryDelaySeconds } from "../../core/events/poison.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { packChunk, unpackChunk } from "../../storage/chunk.ts";
import { logError } from "../log.ts";

type Target = ReturnType<typeof windowAggregator>;
type QueueMessage = Message<unknown>;

/**
 * Takes event messages from the queue: one call per tenant, and an answer to the queue per message, so that one tenant's or one
 * message's failure never makes another's come again. Redelivery is harmless: events are counted by id.
 */
export async function consumeEvents(batch: MessageBatch, env: Env, _ctx: ExecutionContext): Promise<void> {
  const byTenant = new Map<string, { message: QueueMessage; body: EventMessage }[]>();
  for (const message of batch.messages) {
    const { body } = message;
    if (isProbe(body)) message.ack();
    else if (!isEventMessage(body) || !TENANT_ID.test(body.tenant)) await bury(message, body, env);
    else {
      const group = byTenant.get(body.tenant) ?? [];
      group.push({ message, body });
      byTenant.set(body.tenant, group);
    }
  }
  await Promise.all([...byTenant].map(([tenant, group]) => consumeTenant(tenant, group, env)));
}

async function consumeTenant(
  tenant: string,
  group: readonly { message: QueueMessage; body: EventMessage }[],
  env: Env,
): Promise<void> {
  // A new stub each time: one that has thrown stays broken.
  const target = (): Target => windowAggregator(env, tenant);
  const together = group.filter(({ message }) => message.attempts <= ATTEMPTS_TOGETHER);
  const alone = group.filter(({ message }) => message.attempts > ATTEMPTS_TOGETHER);
  if (together.length > 0) {
    try {
      await target().apply(
        together.map(({ message, body }) => ({ id: message.id, body: body.body })),
        false,
      );
      for (const { message } of together) settled(message);
    } catch (error) {
      logError("consume", error, { tenant, messages: together.length });
      for (const { message } of together) again(message);
    }
  }
  for (const { message, body } of alone) await consumeAlone(message, body, target, env);
}

async function consumeAlone(message: QueueMessage, body: EventMessage, target: () => Target, env: Env): Promise<void> {
  try {
    await target().apply([{ id: message.id, body: body.body }], true);
    settled(message);
  } catch (error) {
    logError("consume alone", error, { tenant: body.tenant, attempts: message.attempts });
    // A target that answers nothing at all is in trouble itself: no event is to blame yet.
    if (message.attempts < ATTEMPTS_BEFORE_SPLIT || !(await isUp(target))) return again(message);
    const isSolved = await splitAndTry(body, String(error), target, env);
    if (isSolved) settled(message);
    else again(message);
  }
}

/**
 * Applies all events of a message but those that fail by themselves, which become dead letters.
 * @returns false when the target went away meanwhile: nothing is lost, the message comes again
 */
async function splitAndTry(body: EventMessage, reason: string, target: () => Target, env: Env): Promise<boolean> {
  const parts = split(body);
  if (parts === undefined) {
    const letter: PoisonMessage = { v: 1, kind: "poison", message: body, reason };
    await env.DEAD_LETTERS.send(letter, { contentType: "v8" });
    await target().settle(body.n);
    return true;
  }
  for (const part of parts) {
    try {
      await target().apply([{ id: part.batch, body: part.body }], true);
    } catch (error) {
      if (!(await isUp(target)) || !(await splitAndTry(part, String(error), target, env))) return false;
    }
  }
  return true;
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

/** Sends what is no event message to the dead letters as it is. */
async function bury(message: QueueMessage, body: unknown, env: Env): Promise<void> {
  try {
    await env.DEAD_LETTERS.send(body, { contentType: "v8" });
    settled(message);
  } catch (error) {
    logError("bury", error, {});
    again(message);
  }
}

async function isUp(target: () => Target): Promise<boolean> {
  try {
    return (await target().ping()) === true;
  } catch {
    return false;
  }
}

function settled(message: QueueMessage): void {
  message.ack();
}

function again(message: QueueMessage): void {
  message.retry({ delaySeconds: retryDelaySeconds(message.attempts, Math.random()) });
}

function isProbe(body: unknown): boolean {
  return typeof body === "object" && body !== null && "kind" in body && body.kind === "probe";
}
