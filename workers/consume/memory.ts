import { FIRST_MAP, type SlotMap, soleOwner } from "../../core/windows/slot-map.ts";

/** Tenants, messages and objects remembered at most, each; the oldest go first. */
const MAX_REMEMBERED = 10_000;

/**
 * What an isolate remembers between batches. Nothing depends on it: what it forgot, or another isolate knows, is asked again,
 * or found out by being refused.
 */
export class ConsumerMemory {
  readonly #maps = new Map<string, SlotMap>();
  readonly #excused = new Map<string, number>();
  readonly #overloads = new Map<string, number>();

  /** The newest map of a tenant's slots seen so far; before any was, everything is at home, which asks nobody anything. */
  mapOf(tenant: string): SlotMap {
    return this.#maps.get(tenant) ?? FIRST_MAP;
  }

  keepMap(tenant: string, map: SlotMap): void {
    if (map.epoch < this.mapOf(tenant).epoch) return;
    // Most tenants never have another map than the first: they take no place.
    if (map.epoch === FIRST_MAP.epoch && soleOwner(map) !== null) this.#maps.delete(tenant);
    else keep(this.#maps, tenant, map);
  }

  /** Deliveries of a message that failed by its own fault or an unknown one: those excused do not count. ≥ 1. */
  triesOf({ id, attempts }: { readonly id: string; readonly attempts: number }): number {
    return Math.max(1, attempts - (this.#excused.get(id) ?? 0));
  }

  /** A delivery came to nothing by no fault of the message. */
  excuse(messageId: string): void {
    keep(this.#excused, messageId, (this.#excused.get(messageId) ?? 0) + 1);
  }

  forget(messageId: string): void {
    this.#excused.delete(messageId);
  }

  /** An object said that it is overloaded. */
  noteOverloads(tenant: string, shard: number, times: number): void {
    const object = `${tenant} ${shard}`;
    keep(this.#overloads, object, (this.#overloads.get(object) ?? 0) + times);
  }

  /** How often an object said so since the last time it was told. */
  takeOverloads(tenant: string, shard: number): number {
    const object = `${tenant} ${shard}`;
    const noted = this.#overloads.get(object) ?? 0;
    this.#overloads.delete(object);
    return noted;
  }
}

function keep<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next();
  if (map.size > MAX_REMEMBERED && oldest.done !== true) map.delete(oldest.value);
}
