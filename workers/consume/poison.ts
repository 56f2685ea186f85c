import { EventBatch } from "../../core/events/event-batch.ts";
import type { EventMessage, PoisonMessage } from "../../core/events/message.ts";
import { ATTEMPTS_BEFORE_SPLIT, halves } from "../../core/events/poison.ts";
import { HOME } from "../../core/windows/slot-map.ts";
import { packChunk, unpackChunk } from "../../storage/chunk.ts";
import type { ConsumeDeps } from "./call.ts";
import { deliver, type Trouble } from "./deliver.ts";

/** The message has to come again, and is not to blame. */
export class PostponedError extends Error {
  readonly why: Trouble;
  constructor(why: Trouble) {
    super(`postponed: ${why}`);
    this.why = why;
  }
}

/**
 * Takes one message by itself; after a number of tries all its events but those that fail alone, which become dead letters.
 * @param tries deliveries so far, this one included
 * @throws when it has to come again
 */
export async function takeAlone(body: EventMessage, tries: number, deps: ConsumeDeps): Promise<void> {
  const reason = await tryApply(body, deps);
  if (reason === null) return;
  if (tries < ATTEMPTS_BEFORE_SPLIT) throw new Error(reason);
  await splitAndTry(body, reason, deps);
}

/** Makes a dead letter of a message. Its events are no longer on their way, and home is who waits for them. */
export async function buryPoison(body: EventMessage, reason: string, deps: ConsumeDeps): Promise<void> {
  const letter: PoisonMessage = { v: 1, kind: "poison", message: body, reason };
  await deps.bury(letter);
  await deps.target(body.tenant, HOME).settle(body.n);
}

/** @throws when a target went away */
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
 * @throws PostponedError when they are not to blame, and what the object throws that answers nothing at all: it is in trouble itself
 */
async function tryApply(body: EventMessage, deps: ConsumeDeps): Promise<string | null> {
  const verdicts = await deliver(
    body.tenant,
    [{ id: body.batch, body: body.body, events: body.n, acceptedAt: body.acceptedAt }],
    true,
    deps,
  );
  const verdict = verdicts.get(body.batch);
  switch (verdict?.kind) {
    case undefined:
    case "committed":
      return null;
    case "unreadable":
      return "cannot be read";
    case "postponed":
      throw new PostponedError(verdict.why);
    case "failed":
      if (verdict.shard !== null) await deps.target(body.tenant, verdict.shard).ping();
      return verdict.error instanceof Error ? verdict.error.message : String(verdict.error);
  }
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
