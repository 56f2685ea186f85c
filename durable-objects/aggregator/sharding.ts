import type { SlotMap } from "../../core/windows/slot-map.ts";
import { HOME, IN_TRANSIT } from "../../core/windows/slot-map.ts";
import type { ScalingMode } from "../../core/windows/scaling.ts";
import { HandOvers, type Peer } from "./hand-over.ts";
import { Scaler } from "./scaler.ts";
import type { MetaTable } from "./tables.ts";

/** How a tenant's events are spread over its objects. */
export interface ShardsInfo {
  /** Shards wanted. */
  readonly count: number;
  readonly mode: ScalingMode;
  /** True while slots are under way or have still to go. */
  readonly moving: boolean;
  readonly map: SlotMap;
  /** Slots that nobody takes events of at the moment. */
  readonly inTransit: number;
  /** Objects that have a part in the tenant's events now, home first: owners of slots, and who gives or takes some. */
  readonly inUse: readonly number[];
  /** Every object the tenant has or had, home first. */
  readonly objects: readonly ObjectInfo[];
}

export interface ObjectInfo {
  readonly object: number;
  readonly slots: number;
  /** Events it has taken from the queue, duplicates included. */
  readonly applied: number;
  /** Between the last two readings of the load. */
  readonly eventsPerSecond: number;
  /** Calls it turned away as overloaded, since home started. */
  readonly overloads: number;
}

export interface ShardingDeps<Ids> {
  /** A fresh way to one of the tenant's objects, home included. */
  readonly peer: (object: number) => Peer<Ids>;
  /** Events taken from the queue so far, by object. */
  readonly applied: () => ReadonlyMap<number, number>;
  readonly now: () => number;
  readonly firstMode: ScalingMode;
}

/** Home's knowledge of the tenant's shards: who owns which slots, how busy each is, and how many there should be. */
export class Sharding<Ids> {
  readonly handOvers: HandOvers<Ids>;
  readonly #scaler: Scaler;
  readonly #deps: ShardingDeps<Ids>;

  constructor(tables: MetaTable, deps: ShardingDeps<Ids>) {
    this.#deps = deps;
    this.handOvers = new HandOvers(tables, deps);
    this.#scaler = new Scaler(tables, {
      ...deps,
      count: () => this.handOvers.count,
      isMoving: () => this.handOvers.isMoving,
      aim: (count) => this.handOvers.aim(count),
    });
  }

  /** When the next thing is due, epoch ms, or null. */
  get dueAt(): (number | null)[] {
    return [this.handOvers.dueAt, this.#scaler.dueAt];
  }

  /** Objects other than home that may hold events which are not in the store yet. */
  get others(): readonly number[] {
    return this.handOvers.inUse.filter((object) => object !== HOME);
  }

  /** Wants so many shards from now on, or as many as the load asks for. */
  want(count: number | "auto"): void {
    this.#scaler.mode = count === "auto" ? "auto" : "manual";
    if (count !== "auto") this.handOvers.aim(count);
  }

  noteOverloads(object: number, times: number): void {
    this.#scaler.noteOverloads(object, times);
  }

  /** Reads the load if it was not read for a while. @returns true when slots have to move now */
  look(): boolean {
    this.#scaler.readIfDue();
    return this.handOvers.isMoving;
  }

  info(): ShardsInfo {
    const { map, count, highest, isMoving } = this.handOvers;
    const applied = this.#deps.applied();
    const held = (object: number): number => map.owners.filter((owner) => owner === object).length;
    return {
      count,
      mode: this.#scaler.mode,
      moving: isMoving,
      map,
      inTransit: held(IN_TRANSIT),
      inUse: [HOME, ...this.others],
      objects: Array.from({ length: highest + 1 }, (_, object) => ({
        object,
        slots: held(object),
        applied: applied.get(object) ?? 0,
        ...this.#scaler.loadOf(object),
      })),
    };
  }
}
