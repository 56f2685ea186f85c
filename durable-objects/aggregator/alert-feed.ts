import type { ShardMachine, Effect } from "../../core/windows/shard-machine.ts";
import { type ClosedWindow, closedSessions, closedWindow } from "../../core/windows/window-json.ts";
import type { WindowView } from "../../core/windows/window-set.ts";
import { type Notice, NoticeQueue } from "./notice-queue.ts";
import type { ShardTables } from "./tables.ts";

/** Windows told in one call, so that it stays far below the 32 MB an RPC may carry. */
const WINDOWS_PER_CALL = 50;
/** Pause after a failed call. */
const RETRY_AFTER_MS = 2000;

/** What the AlertManager answers: aggregations with open alerts, which want to hear of empty windows too. */
export interface Heard {
  readonly open: readonly string[];
}

export interface AlertFeedDeps {
  readonly deliver: (windows: readonly ClosedWindow[]) => Promise<Heard>;
  readonly now: () => number;
  readonly report: (what: string, error: unknown) => void;
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
  readonly #deps: AlertFeedDeps;
  readonly #waiting: NoticeQueue;
  #watched: ReadonlySet<string>;
  #running: Promise<void> | undefined;
  /** Aggregations with open alerts, by the last answer. */
  #open: ReadonlySet<string>;
  /** End of the newest window told or waiting, by aggregation. */
  readonly #noticed = new Map<string, number>();
  #retryAt: number | null = null;

  /** @param machine as of its checkpoint: what comes after it is noted again by a replay */
  constructor(tables: ShardTables, machine: ShardMachine, deps: AlertFeedDeps) {
    this.#tables = tables;
    this.#machine = machine;
    this.#deps = deps;
    this.#waiting = new NoticeQueue(tables);
    this.#watched = new Set((tables.readMeta("watched_rules") as string[] | undefined) ?? []);
    this.#open = new Set((tables.readMeta("open_alerts") as string[] | undefined) ?? []);
    for (const name of this.#open) this.#noteTime(name);
    this.keepTime();
  }

  get watched(): ReadonlySet<string> {
    return this.#watched;
  }

  /** Epoch ms of the next try after a failure, or null. */
  get retryAt(): number | null {
    return this.#waiting.size > 0 ? this.#retryAt : null;
  }

  watch(aggregations: readonly string[]): void {
    this.#watched = new Set(aggregations);
    this.#tables.writeMeta("watched_rules", aggregations);
  }

  note(effects: readonly Effect[]): void {
    for (const { aggregation, emitted } of effects) {
      const { name } = aggregation.plan.definition;
      if (!this.#watched.has(name)) continue;
      for (const notice of noticesOf(name, emitted)) this.#waiting.add(notice);
      for (const { end } of emitted) this.#noticed.set(name, Math.max(end, this.#noticed.get(name) ?? -Infinity));
    }
    for (const name of this.#open) this.#noteEmpty(name);
  }

  /** An aggregation's windows are gone: nothing that waits may be read from another of the same name. */
  forget(name: string): void {
    this.#waiting.drop(name);
    this.#noticed.delete(name);
  }

  /** Aggregations with open alerts have their idle checks go on, so that an alert can end when its events stop. */
  keepTime(): void {
    for (const [name, aggregation] of this.#machine.aggregations) aggregation.keepsTime = this.#open.has(name);
  }

  /** Part of a checkpoint: what is not yet told must outlive the log that would bring it forth again. */
  checkpoint(): void {
    this.#waiting.save();
  }

  /** Tells everything that waits, unless the last try failed just now. One run at a time. */
  async tell(): Promise<void> {
    if (this.#retryAt !== null && this.#deps.now() < this.#retryAt) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.size > 0) {
      const told = this.#waiting.take(WINDOWS_PER_CALL);
      try {
        const { open } = await this.#deps.deliver(told.flatMap((notice) => this.#read(notice)));
        this.#waiting.settle();
        this.#retryAt = null;
        this.#hear(open);
      } catch (error) {
        this.#waiting.putBack();
        this.#retryAt = this.#deps.now() + RETRY_AFTER_MS;
        this.#deps.report("tell alerts", error);
        return;
      }
    }
  }

  /** An open alert must learn that its group went quiet, even when no window closes. */
  #noteEmpty(name: string): void {
    const noticed = this.#noticed.get(name);
    const through = this.#noteTime(name);
    if (noticed !== undefined && through !== null && through > noticed)
      this.#waiting.add({ aggregation: name, start: noticed, end: through });
  }

  /** Everything that has ended by now is told or waits. @returns the newest such end, or null before the first event */
  #noteTime(name: string): number | null {
    const through = this.#machine.aggregations.get(name)?.completeThrough() ?? null;
    if (through !== null) this.#noticed.set(name, Math.max(through, this.#noticed.get(name) ?? -Infinity));
    return through;
  }

  #hear(open: readonly string[]): void {
    const isSame = open.length === this.#open.size && open.every((name) => this.#open.has(name));
    if (isSame) return;
    this.#open = new Set(open);
    this.#tables.writeMeta("open_alerts", open);
    this.keepTime();
    // What has passed since the window that opened it counts as well.
    for (const name of open) this.#noteEmpty(name);
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
