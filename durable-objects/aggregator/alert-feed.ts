import type { ShardMachine, Effect } from "../../core/windows/shard-machine.ts";
import { type ClosedWindow, closedSessions, closedWindow } from "../../core/windows/window-json.ts";
import type { WindowView } from "../../core/windows/window-set.ts";
import type { ShardTables } from "./tables.ts";

/** Windows told in one call, so that it stays far below the 32 MB an RPC may carry. */
const WINDOWS_PER_CALL = 50;
/** Pause after a failed call. */
const RETRY_AFTER_MS = 2000;

/**
 * A window to tell of by its start; with an `end`, a run of windows that had no events; with `sessions`, those that end at `end`,
 * each by its start and group, told as one window: rules see one window per end.
 */
interface Notice {
  readonly aggregation: string;
  readonly start: number;
  readonly end?: number;
  readonly sessions?: readonly (readonly [start: number, group: string])[];
}

/** What the AlertManager answers: aggregations with open alerts, which want to hear of empty windows too. */
export interface Heard {
  readonly open: readonly string[];
}

/**
 * Tells the AlertManager of windows that closed or were revised, in order of end.
 *
 * What waits is kept by (aggregation, start), in the checkpoint as well: the windows themselves hold the state, so nothing is
 * copied, and a restart tells again what may not have arrived. The AlertManager ignores what it has evaluated.
 */
export class AlertFeed {
  readonly #tables: ShardTables;
  readonly #machine: ShardMachine;
  readonly #deliver: (windows: readonly ClosedWindow[]) => Promise<Heard>;
  readonly #onError: (error: unknown) => void;
  #watched: ReadonlySet<string>;
  #waiting: Notice[];
  #running: Promise<void> | undefined;
  /** Aggregations with open alerts, by the last answer. */
  #open: ReadonlySet<string>;
  /** End of the newest window told or waiting, by aggregation. */
  readonly #noticed = new Map<string, number>();
  /** Epoch ms of the next try after a failure, or null. */
  retryAt: number | null = null;

  constructor(
    tables: ShardTables,
    machine: ShardMachine,
    deliver: (windows: readonly ClosedWindow[]) => Promise<Heard>,
    onError: (error: unknown) => void,
  ) {
    this.#tables = tables;
    this.#machine = machine;
    this.#deliver = deliver;
    this.#onError = onError;
    this.#watched = new Set((tables.readMeta("watched_rules") as string[] | undefined) ?? []);
    this.#waiting = (tables.readMeta("untold") as Notice[] | undefined) ?? [];
    this.#open = new Set((tables.readMeta("open_alerts") as string[] | undefined) ?? []);
    this.#keepTime();
  }

  get watched(): ReadonlySet<string> {
    return this.#watched;
  }

  watch(aggregations: readonly string[]): void {
    this.#watched = new Set(aggregations);
    this.#tables.writeMeta("watched_rules", aggregations);
  }

  note(effects: readonly Effect[]): void {
    for (const { aggregation, emitted } of effects) {
      const { name } = aggregation.plan.definition;
      if (!this.#watched.has(name)) continue;
      this.#waiting.push(...noticesOf(name, emitted));
      const newest = Math.max(...emitted.map(({ end }) => end), this.#noticed.get(name) ?? -Infinity);
      if (newest !== -Infinity) this.#noticed.set(name, newest);
    }
    for (const name of this.#open) this.#noteEmpty(name);
  }

  /** Part of a checkpoint: what is not yet told must outlive the log that would bring it forth again. */
  checkpoint(): void {
    this.#tables.writeMeta("untold", this.#waiting);
  }

  /** Tells everything that waits. One run at a time. */
  async tell(nowMs: number): Promise<void> {
    this.#running ??= this.#run(nowMs).finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async #run(nowMs: number): Promise<void> {
    while (this.#waiting.length > 0) {
      const told = this.#waiting.slice(0, WINDOWS_PER_CALL);
      try {
        const { open } = await this.#deliver(told.flatMap((window) => this.#read(window)));
        this.retryAt = null;
        this.#hear(open);
      } catch (error) {
        this.retryAt = nowMs + RETRY_AFTER_MS;
        this.#onError(error);
        return;
      }
      this.#waiting.splice(0, told.length);
    }
  }

  /** An open alert must learn that its group went quiet, even when no window closes. */
  #noteEmpty(name: string): void {
    const aggregation = this.#machine.aggregations.get(name);
    const through = aggregation?.completeThrough() ?? null;
    const noticed = this.#noticed.get(name);
    if (aggregation === undefined || through === null) return;
    this.#noticed.set(name, Math.max(through, noticed ?? -Infinity));
    aggregation.keepsTime = true;
    if (noticed !== undefined && through > noticed)
      this.#waiting.push({ aggregation: name, start: noticed, end: through });
  }

  #hear(open: readonly string[]): void {
    const isSame = open.length === this.#open.size && open.every((name) => this.#open.has(name));
    if (isSame) return;
    this.#open = new Set(open);
    this.#tables.writeMeta("open_alerts", open);
    this.#keepTime();
  }

  #keepTime(): void {
    for (const [name, aggregation] of this.#machine.aggregations) aggregation.keepsTime = this.#open.has(name);
  }

  #read({ aggregation: name, start, end, sessions }: Notice): ClosedWindow[] {
    const aggregation = this.#machine.aggregations.get(name);
    if (aggregation === undefined) return [];
    if (sessions !== undefined) {
      // One that has grown since is told again under its new end, or waits to close there.
      const found = sessions
        .map(([first, session]) => aggregation.windows.find({ start: first, session }))
        .filter((session) => session?.end === end && session?.closed === true);
      const told = closedSessions(
        aggregation,
        found.filter((session) => session !== undefined),
      );
      return told === null ? [] : [told];
    }
    if (end !== undefined)
      return [{ aggregation: name, version: aggregation.version, start, end, revision: 0, groups: [] }];
    const window = aggregation.windows.find({ start, session: null });
    return window === undefined ? [] : [closedWindow(aggregation, window)];
  }
}

/** Notices of windows in order of end; sessions with the same end share one. */
function noticesOf(aggregation: string, emitted: readonly WindowView[]): Notice[] {
  const notices: Notice[] = [];
  const atEnd = new Map<number, [number, string][]>();
  for (const { start, end, session } of emitted) {
    if (session === null) {
      notices.push({ aggregation, start });
      continue;
    }
    const known = atEnd.get(end);
    known?.push([start, session]);
    if (known !== undefined) continue;
    const sessions: [number, string][] = [[start, session]];
    atEnd.set(end, sessions);
    notices.push({ aggregation, start, end, sessions });
  }
  return notices;
}
