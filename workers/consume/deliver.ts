import { HOME, type SlotMap } from "../../core/windows/slot-map.ts";
import type { IncomingMessage } from "../../durable-objects/aggregator/messages.ts";
import { logError } from "../log.ts";
import { isMarked } from "../object-errors.ts";
import { call, type ConsumeDeps } from "./call.ts";
import { NotCalledError } from "./limiter.ts";
import { portions } from "./portions.ts";
import { partsOf } from "./split.ts";

/** What became of a message. */
export type Verdict =
  /** All of it is on disk. */
  | { readonly kind: "committed" }
  | { readonly kind: "unreadable" }
  /** It has to come again, and is not to blame: all of it, or what `rest` holds when the other parts of it are on disk. */
  | { readonly kind: "postponed"; readonly why: Trouble; readonly rest: readonly IncomingMessage[] | null }
  /** Something threw, perhaps because of it. `shard` is the object that did, null when none was asked. */
  | { readonly kind: "failed"; readonly error: unknown; readonly shard: number | null };

/** Why a message has to come again that is not to blame. */
export type Trouble = "in transit" | "overloaded" | "no map" | NotCalledError["why"];

/** Pauses before the map is asked for once more; together some 6 s, and a wave of slots mostly takes less than one. */
const PAUSES_MS: readonly number[] = [0, 50, 100, 200, 400, 800, 1000, 1000, 1000, 1000];

/**
 * Takes messages to the objects that own their events, one call per object. What an object refuses, because its slots have been
 * moved, is taken apart anew by the map of now; while slots are in transit their events wait here, a bounded time.
 * @param careful let a bad message fail before anything of it has changed
 * @returns what became of each message, by id
 */
export async function deliver(
  tenant: string,
  messages: readonly IncomingMessage[],
  careful: boolean,
  deps: ConsumeDeps,
): Promise<ReadonlyMap<string, Verdict>> {
  const round = new Round(tenant, careful, deps);
  let pending = await round.send(messages, deps.memory.mapOf(tenant));
  for (const pauseMs of PAUSES_MS) {
    if (pending.length === 0) break;
    if (pauseMs > 0) await deps.wait(pauseMs);
    const map = await newestMap(tenant, deps);
    if (map === null) round.postpone(pending, "no map");
    pending = map === null ? [] : await round.send(pending, map);
  }
  round.postpone(pending, "in transit");
  return new Map(messages.map(({ id }) => [id, round.verdictOf(id)]));
}

/** The tenant's map as home has it, or null when home cannot be asked. */
async function newestMap(tenant: string, deps: ConsumeDeps): Promise<SlotMap | null> {
  try {
    const map = await call(() => deps.target(tenant, HOME).slotMap());
    deps.memory.keepMap(tenant, map);
    return map;
  } catch (error) {
    logError("no slot map", error, { tenant });
    return null;
  }
}

/** The calls that one set of messages takes, and what is known to be wrong with each of them. */
class Round {
  readonly #failures = new Map<string, Exclude<Verdict, { kind: "committed" | "postponed" }>>();
  /** Parts that have to come again. */
  readonly #postponed = new Map<string, { readonly why: Trouble; readonly rest: IncomingMessage[] }>();
  /** Messages with a part on disk. */
  readonly #begun = new Set<string>();
  readonly #tenant: string;
  readonly #careful: boolean;
  readonly #deps: ConsumeDeps;

  constructor(tenant: string, careful: boolean, deps: ConsumeDeps) {
    this.#tenant = tenant;
    this.#careful = careful;
    this.#deps = deps;
  }

  /** Calls each owner once, all at the same time. @returns the parts that found nobody to take them */
  async send(messages: readonly IncomingMessage[], map: SlotMap): Promise<readonly IncomingMessage[]> {
    const { byOwner, inTransit, unreadable, broken } = partsOf(messages, map);
    this.#unreadable(unreadable);
    for (const { id, error } of broken) this.#failures.set(id, { kind: "failed", error, shard: null });
    const refused = await Promise.all([...byOwner].map(([shard, parts]) => this.#sendTo(shard, parts)));
    return [...inTransit, ...refused.flat()];
  }

  postpone(parts: readonly IncomingMessage[], why: Trouble): void {
    for (const part of parts) {
      const known = this.#postponed.get(part.id);
      if (known === undefined) this.#postponed.set(part.id, { why, rest: [part] });
      else known.rest.push(part);
    }
  }

  /** A failure weighs more than a postponement: the whole message comes again, to find out what is wrong with it. */
  verdictOf(id: string): Verdict {
    const postponed = this.#postponed.get(id);
    const failure = this.#failures.get(id);
    if (failure !== undefined) return failure;
    if (postponed === undefined) return { kind: "committed" };
    return { kind: "postponed", why: postponed.why, rest: this.#begun.has(id) ? postponed.rest : null };
  }

  /** Portion by portion, so that others get their turn at the object. @returns the parts that are not the object's to take */
  async #sendTo(shard: number, parts: readonly IncomingMessage[]): Promise<readonly IncomingMessage[]> {
    const refused: IncomingMessage[] = [];
    for (const portion of portions(parts)) refused.push(...(await this.#sendPortion(shard, portion)));
    return refused;
  }

  async #sendPortion(shard: number, parts: readonly IncomingMessage[]): Promise<readonly IncomingMessage[]> {
    const { target, memory, limited } = this.#deps;
    const overloads = memory.takeOverloads(this.#tenant, shard);
    try {
      const options = { careful: this.#careful, overloads };
      const ask = () => call(() => target(this.#tenant, shard).apply(parts, options));
      const { unreadable, refused } = await limited(this.#tenant, shard, ask);
      this.#unreadable(unreadable);
      const notTaken = new Set([...unreadable, ...refused]);
      for (const { id } of parts) if (!notTaken.has(id)) this.#begun.add(id);
      return parts.filter(({ id }) => refused.includes(id));
    } catch (error) {
      if (error instanceof NotCalledError) {
        memory.noteOverloads(this.#tenant, shard, overloads);
        this.postpone(parts, error.why);
        return [];
      }
      logError("consume", error, { tenant: this.#tenant, shard, messages: parts.length });
      if (isMarked(error, "overloaded")) {
        memory.noteOverloads(this.#tenant, shard, overloads + 1);
        this.postpone(parts, "overloaded");
      } else for (const { id } of parts) this.#failures.set(id, { kind: "failed", error, shard });
      return [];
    }
  }

  #unreadable(ids: readonly string[]): void {
    for (const id of ids) this.#failures.set(id, { kind: "unreadable" });
  }
}
