import {
  calm,
  type LoadReading,
  READ_EVERY_MS,
  scale,
  type Scaling,
  type ScalingMode,
} from "../../core/windows/scaling.ts";
import type { MetaTable } from "./tables.ts";

/** A tenant of several shards that gets nothing is looked at this often, to see that it is quiet. */
const QUIET_READ_EVERY_MS = 300_000;
/** What the next reading compares with is written this often: home may be evicted between any two readings of a quiet tenant. */
const KEEP_EVERY_MS = 240_000;

/** What outlives an eviction. */
interface Saved extends Omit<Scaling, "heat"> {
  /** Epoch ms. */
  readonly readAt: number;
  readonly applied: readonly (readonly [object: number, events: number])[];
}

export interface ScalerDeps {
  /** Events taken from the queue so far, by object. */
  readonly applied: () => ReadonlyMap<number, number>;
  /** Shards wanted. */
  readonly count: () => number;
  readonly isMoving: () => boolean;
  readonly aim: (count: number) => void;
  readonly now: () => number;
  /** Who decides until somebody says otherwise. */
  readonly firstMode: ScalingMode;
}

/** How busy one object was between the last two readings. */
export interface ObjectLoad {
  readonly eventsPerSecond: number;
  /** Calls it turned away as overloaded, as far as callers have told, since home started. */
  readonly overloads: number;
}

/** Reads the load from time to time while events come, and has the tenant grow or shrink. Home's. */
export class Scaler {
  readonly #tables: MetaTable;
  readonly #deps: ScalerDeps;
  #scaling: Scaling;
  #readAt: number;
  #applied: ReadonlyMap<number, number>;
  #rates: ReadonlyMap<number, number> = new Map();
  readonly #overloads = new Map<number, number>();
  #newOverloads = 0;
  #keptAt: number;

  constructor(tables: MetaTable, deps: ScalerDeps) {
    this.#tables = tables;
    this.#deps = deps;
    const saved = tables.readMeta("scaling") as Saved | undefined;
    this.#scaling = { ...calm(saved?.mode ?? deps.firstMode), quietSince: saved?.quietSince ?? null };
    this.#readAt = saved?.readAt ?? deps.now();
    this.#applied = saved === undefined ? deps.applied() : new Map(saved.applied);
    this.#keptAt = saved?.readAt ?? -Infinity;
  }

  get mode(): ScalingMode {
    return this.#scaling.mode;
  }

  set mode(mode: ScalingMode) {
    this.#remember(calm(mode));
  }

  /** Epoch ms by which to read though nothing comes, or null. */
  get dueAt(): number | null {
    return this.mode === "auto" && this.#deps.count() > 1 ? this.#readAt + QUIET_READ_EVERY_MS : null;
  }

  loadOf(object: number): ObjectLoad {
    return { eventsPerSecond: this.#rates.get(object) ?? 0, overloads: this.#overloads.get(object) ?? 0 };
  }

  noteOverloads(object: number, times: number): void {
    this.#overloads.set(object, (this.#overloads.get(object) ?? 0) + times);
    this.#newOverloads += times;
  }

  readIfDue(): void {
    if (this.#deps.now() >= this.#readAt + READ_EVERY_MS) this.#read();
    if (this.dueAt !== null && this.#deps.now() >= this.#keptAt + KEEP_EVERY_MS) this.#keep();
  }

  #read(): void {
    const { now, count, isMoving, aim } = this.#deps;
    const { next, count: wanted } = scale(this.#scaling, this.#takeReading(), count(), isMoving(), now());
    if (wanted !== null) aim(wanted);
    this.#remember(next);
  }

  #takeReading(): LoadReading {
    const applied = this.#deps.applied();
    const seconds = (this.#deps.now() - this.#readAt) / 1000;
    const rateOf = (object: number): number =>
      Math.max(0, (applied.get(object) ?? 0) - (this.#applied.get(object) ?? 0)) / seconds;
    this.#rates = new Map([...applied.keys()].map((object) => [object, rateOf(object)]));
    this.#applied = applied;
    this.#readAt = this.#deps.now();
    const rates = [...this.#rates.values()];
    const overloads = this.#newOverloads;
    this.#newOverloads = 0;
    return { total: rates.reduce((sum, rate) => sum + rate, 0), busiest: Math.max(0, ...rates), overloads };
  }

  #remember(next: Scaling): void {
    const { mode, quietSince } = this.#scaling;
    this.#scaling = next;
    if (mode !== next.mode || quietSince !== next.quietSince) this.#keep();
  }

  #keep(): void {
    const { mode, quietSince } = this.#scaling;
    const saved: Saved = { mode, quietSince, readAt: this.#readAt, applied: [...this.#applied] };
    this.#tables.writeMeta("scaling", saved);
    this.#keptAt = this.#deps.now();
  }
}
