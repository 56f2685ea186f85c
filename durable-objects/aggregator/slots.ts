import type { EventBatch } from "../../core/events/event-batch.ts";
import { adopted, fenced, firstOwnership, type Ownership, ownsAll } from "../../core/windows/ownership.ts";
import type { MetaTable } from "./tables.ts";

/** The slots this object takes events of: what it was told last, on disk before it acts on it. */
export class Slots {
  readonly #tables: MetaTable;
  #ownership: Ownership;
  #owned: ReadonlySet<number>;

  /** @param shard the object's number */
  constructor(tables: MetaTable, shard: number) {
    this.#tables = tables;
    this.#ownership = (tables.readMeta("slots") as Ownership | undefined) ?? firstOwnership(shard);
    this.#owned = new Set(this.#ownership.slots);
  }

  get count(): number {
    return this.#owned.size;
  }

  /** True when every event of the batch is this object's to take. */
  owns(batch: EventBatch): boolean {
    return ownsAll(this.#owned, batch);
  }

  /** Gives slots up. @returns false when a newer order was followed already */
  fence(epoch: number, slots: readonly number[]): boolean {
    return this.#follow(fenced(this.#ownership, epoch, slots));
  }

  /** Takes slots over; their ids must be on disk. @returns false when a newer order was followed already */
  adopt(epoch: number, slots: readonly number[]): boolean {
    return this.#follow(adopted(this.#ownership, epoch, slots));
  }

  /** True unless a newer order was followed already. */
  heeds(epoch: number): boolean {
    return epoch >= this.#ownership.epoch;
  }

  #follow(next: Ownership | null): boolean {
    if (next === null) return false;
    if (next.epoch !== this.#ownership.epoch || next.slots.length !== this.#owned.size) {
      this.#tables.writeMeta("slots", next);
      this.#ownership = next;
      this.#owned = new Set(next.slots);
    }
    return true;
  }
}
