import type { Stretch } from "../../core/windows/recount.ts";
import type { ShardTables } from "./tables.ts";

/** Jobs that wait or run at once, those that definitions start not counted. */
export const MAX_WAITING_REBUILDS = 20;
/** Jobs that are over are listed until so many newer ones are. */
const KEPT_JOBS = 50;

/** What is counted again of one aggregation. Times are epoch ms. */
export interface RebuildTarget extends Stretch {
  /** Its id, which no other aggregation ever has. */
  readonly aggregation: number;
  readonly name: string;
  readonly version: number;
  /** Everything before this is done. */
  readonly position: number;
  /** Nothing that was stored when it was asked for is older than its stretch. Absent in jobs of before. */
  readonly isFromFirst?: boolean;
}

/** A rebuild: asked for, or started by a definition to fill in what came before it. Times are epoch ms. */
export interface RebuildJob {
  readonly id: number;
  readonly kind: "rebuild" | "fill" | "backfill";
  readonly state: "waiting" | "running" | "done" | "failed" | "cancelled";
  readonly from: number;
  readonly to: number;
  readonly targets: readonly RebuildTarget[];
  readonly requestedAt: number;
  readonly finishedAt: number | null;
  /** Stored events read, those read again after an eviction included. */
  readonly eventsRead: number;
  readonly windowsChanged: number;
  /** Why the last try failed. */
  readonly error: string | null;
}

/** Rebuild jobs on disk: what there is to do, and how far it is done. */
export class RebuildJobs {
  readonly #tables: ShardTables;
  readonly #jobs = new Map<number, RebuildJob>();

  constructor(tables: ShardTables) {
    this.#tables = tables;
    for (const { id, body } of tables.rebuilds()) this.#jobs.set(id, body as RebuildJob);
  }

  /** Newest first. */
  list(): RebuildJob[] {
    return [...this.#jobs.values()].sort((a, b) => b.id - a.id);
  }

  /** The one to work on, if any: what definitions lack comes before what was asked for. */
  get first(): RebuildJob | undefined {
    const open = [...this.#jobs.values()].filter(isOpen);
    return open.find(({ kind }) => kind !== "rebuild") ?? open[0];
  }

  /** Jobs that wait or run. */
  get open(): number {
    return [...this.#jobs.values()].filter(isOpen).length;
  }

  /** Of those, the ones that were asked for. */
  get requested(): number {
    return [...this.#jobs.values()].filter((job) => job.kind === "rebuild" && isOpen(job)).length;
  }

  get(id: number): RebuildJob | undefined {
    return this.#jobs.get(id);
  }

  add(kind: RebuildJob["kind"], stretch: Stretch, targets: readonly RebuildTarget[], nowMs: number): RebuildJob {
    const id = Math.max(0, ...this.#jobs.keys()) + 1;
    const isEmpty = targets.every(({ position, to }) => position >= to);
    const job: RebuildJob = {
      id,
      kind,
      state: isEmpty ? "done" : "waiting",
      ...stretch,
      targets,
      requestedAt: nowMs,
      finishedAt: isEmpty ? nowMs : null,
      eventsRead: 0,
      windowsChanged: 0,
      error: null,
    };
    this.save(job);
    this.#prune();
    return job;
  }

  save(job: RebuildJob): void {
    this.#jobs.set(job.id, job);
    this.#tables.writeRebuild(job.id, job);
  }

  /** Notes in memory only what need not outlive an eviction. */
  note(job: RebuildJob): void {
    this.#jobs.set(job.id, job);
  }

  #prune(): void {
    const over = this.list().filter(({ finishedAt }) => finishedAt !== null);
    for (const { id } of over.slice(KEPT_JOBS)) {
      this.#jobs.delete(id);
      this.#tables.dropRebuild(id);
    }
  }
}

export function isOpen({ state }: RebuildJob): boolean {
  return state === "waiting" || state === "running";
}

/** Share of the time to be rebuilt that is done, 0 to 1. */
export function progressOf({ state, targets }: RebuildJob): number {
  if (state === "done") return 1;
  const whole = targets.reduce((sum, { from, to }) => sum + (to - from), 0);
  const done = targets.reduce((sum, { from, position }) => sum + (position - from), 0);
  return whole === 0 ? 0 : done / whole;
}
