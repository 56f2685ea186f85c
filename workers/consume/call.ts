import type { EventMessage } from "../../core/events/message.ts";
import type { windowAggregator } from "../../durable-objects/remote.ts";
import { isMarked } from "../object-errors.ts";
import type { ConsumerMemory } from "./memory.ts";

/** The object that takes a shard's events, as a consumer sees it. */
export type Target = Pick<ReturnType<typeof windowAggregator>, "apply" | "settle" | "ping" | "slotMap">;

/** What consuming needs of its surroundings. */
export interface ConsumeDeps {
  /** One of a tenant's objects; a new stub each time, because one that has thrown stays broken. */
  readonly target: (tenant: string, shard: number) => Target;
  readonly bury: (letter: unknown) => Promise<unknown>;
  /** Puts messages on the queue of events again, to be delivered no sooner than `delaySeconds` from now. */
  readonly requeue: (messages: readonly EventMessage[], delaySeconds: number) => Promise<unknown>;
  /** In [0, 1). */
  readonly random: () => number;
  readonly wait: (ms: number) => Promise<unknown>;
  readonly memory: ConsumerMemory;
  /** Calls an object when it is its turn. @throws NotCalledError when it is not, else what `ask` throws */
  readonly limited: <Result>(tenant: string, shard: number, ask: () => Promise<Result>) => Promise<Result>;
}

/**
 * Calls an object as the platform asks its callers to: an error marked `retryable` once more at once, by a new stub, for what is
 * asked may safely be asked twice; one marked `overloaded` never at once, since that would make it worse.
 * @throws what the last try threw
 */
export async function call<Result>(ask: () => Promise<Result>): Promise<Result> {
  try {
    return await ask();
  } catch (error) {
    if (!isMarked(error, "retryable") || isMarked(error, "overloaded")) throw error;
    return await ask();
  }
}
