import {
  aimFor,
  AT_HOME,
  begin,
  type HandOver,
  isMoving,
  nextGivers,
  nextStep,
  objectsInUse,
  type Step,
  stepDone,
} from "../../core/windows/hand-over.ts";
import type { SlotMap } from "../../core/windows/slot-map.ts";
import type { MetaTable } from "./tables.ts";

/** The alarm takes a hand-over up again that an eviction cut off. */
const RESUME_AFTER_MS = 1000;
/** Pause after a failed step, doubled with each further one. */
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;

/** One of the tenant's objects as home orders it about. Each order may come twice; one of an older epoch is not followed. */
export interface Peer<Ids> {
  /** From its return on, the object takes no event of these slots. */
  fence(epoch: number, slots: readonly number[]): Promise<void>;
  /** Looks up every late event, seals the whole log and has home merge all of it. */
  drain(): Promise<void>;
  /** What the object remembers of the ids in these slots. */
  exportIds(slots: readonly number[]): Ids | Promise<Ids>;
  /** Remembers `ids` beside its own, and then takes events of these slots. */
  adopt(epoch: number, slots: readonly number[], ids: Ids): Promise<void>;
  /** Forgets the ids of slots that it gave up. */
  release(epoch: number, slots: readonly number[]): Promise<void>;
}

export interface HandOversDeps<Ids> {
  /** A fresh way to one of the tenant's objects, home included. */
  readonly peer: (object: number) => Peer<Ids>;
  readonly now: () => number;
}

/** Home's part in moving slots: keeps the map and works through the steps, each noted on disk before the next begins. */
export class HandOvers<Ids> {
  readonly #tables: MetaTable;
  readonly #deps: HandOversDeps<Ids>;
  #state: HandOver;
  /** Asked on every call. */
  #isMoving: boolean;
  #running: Promise<void> | undefined;
  #failures = 0;
  #retryAt = 0;

  constructor(tables: MetaTable, deps: HandOversDeps<Ids>) {
    this.#tables = tables;
    this.#deps = deps;
    this.#state = (tables.readMeta("shards") as HandOver | undefined) ?? AT_HOME;
    this.#isMoving = isMoving(this.#state);
  }

  get map(): SlotMap {
    return this.#state.map;
  }

  /** Shards wanted. */
  get count(): number {
    return this.#state.count;
  }

  /** The highest number an object of the tenant has had. */
  get highest(): number {
    return this.#state.highest;
  }

  get isMoving(): boolean {
    return this.#isMoving;
  }

  /** Objects that may hold events which are not in the store yet. */
  get inUse(): readonly number[] {
    return objectsInUse(this.#state);
  }

  /** Epoch ms, or null when nothing is under way. */
  get dueAt(): number | null {
    if (!this.isMoving) return null;
    return Math.max(this.#retryAt, this.#deps.now() + (this.#running === undefined ? 0 : RESUME_AFTER_MS));
  }

  /** Wants another number of shards. What is under way arrives first. */
  aim(count: number): void {
    if (count !== this.#state.count) this.#save(aimFor(this.#state, count));
  }

  async runIfDue(): Promise<void> {
    const { dueAt } = this;
    if (dueAt !== null && dueAt <= this.#deps.now()) await this.run();
  }

  /** Moves slots until all are where they are wanted; one run at a time. @throws what a step threw; it is due again a little later */
  async run(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      while (this.isMoving) {
        // While the store is away nothing is taken out of service; and what is drained now need not be while events wait.
        await Promise.all(nextGivers(this.#state).map((object) => this.#deps.peer(object).drain()));
        this.#save(begin(this.#state));
        const step = nextStep(this.#state);
        if (step !== null) await this.#perform(step);
        this.#save(stepDone(this.#state));
        this.#failures = 0;
      }
    } catch (error) {
      this.#retryAt = this.#deps.now() + Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures++);
      throw error;
    }
  }

  async #perform(step: Step): Promise<void> {
    const { peer } = this.#deps;
    switch (step.do) {
      case "fence":
        return await peer(step.object).fence(step.epoch, step.slots);
      case "drain":
        return await peer(step.object).drain();
      case "copy":
        return await peer(step.to).adopt(step.epoch, step.slots, await peer(step.from).exportIds(step.slots));
      case "release":
        return await peer(step.object).release(step.epoch, step.slots);
      case "publish":
        return;
    }
  }

  /** On disk first: an order that went out is never forgotten. */
  #save(state: HandOver): void {
    if (state === this.#state) return;
    this.#tables.writeMeta("shards", state);
    this.#state = state;
    this.#isMoving = isMoving(state);
  }
}
