import type { RuleWatch } from "../../core/alerts/watch.ts";
import type { ShardMachine, Effect } from "../../core/windows/shard-machine.ts";
import type { ClosedWindow } from "../../core/windows/window-json.ts";
import type { WindowView } from "../../core/windows/window-set.ts";
import { EarlyWatch, type EarlyWindow } from "./early-watch.ts";
import { type Notice, NoticeQueue } from "./notice-queue.ts";
import type { ShardTables } from "./tables.ts";
import { inCalls, toldWindows } from "./told-windows.ts";

/** Windows read at a time: what waits is saved until all of them have been told. */
const WINDOWS_PER_ROUND = 50;
/** Pause after a failed call. */
const RETRY_AFTER_MS = 2000;

/** What the AlertManager answers: aggregations with open alerts or groups to miss, which want to hear of empty windows too. */
export interface Heard {
  readonly open: readonly string[];
}

export interface AlertFeedDeps {
  readonly deliver: (windows: readonly ClosedWindow[]) => Promise<Heard>;
  readonly deliverEarly: (windows: readonly EarlyWindow[]) => Promise<Heard>;
  readonly later: (work: () => void, delayMs: number) => void;
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
  readonly #early: EarlyWatch;
  #watched: ReadonlyMap<string, RuleWatch>;
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
    this.#early = new EarlyWatch({
      ...deps,
      deliverEarly: async (windows) => this.#hear((await deps.deliverEarly(windows)).open),
    });
    this.#watched = this.#watch((tables.readMeta("watched_rules") as readonly StoredWatch[] | undefined) ?? []);
    this.#open = new Set((tables.readMeta("open_alerts") as string[] | undefined) ?? []);
    for (const name of this.#open) this.#noteTime(name);
    this.keepTime();
  }

  isWatched(name: string): boolean {
    return this.#watched.has(name);
  }

  /** Epoch ms of the next try after a failure, or null. */
  get retryAt(): number | null {
    return this.#waiting.size > 0 ? this.#retryAt : null;
  }

  watch(watches: readonly RuleWatch[]): void {
    this.#watched = this.#watch(watches);
    this.#tables.writeMeta("watched_rules", watches);
    this.#early.schedule();
  }

  note(effects: readonly Effect[]): void {
    for (const { aggregation, emitted } of effects) {
      const { name } = aggregation.plan.definition;
      if (!this.#watched.has(name)) continue;
      for (const notice of noticesOf(name, emitted)) this.#waiting.add(notice);
      for (const { end } of emitted) this.#noticed.set(name, Math.max(end, this.#noticed.get(name) ?? -Infinity));
    }
    for (const name of this.#open) this.#noteEmpty(name);
    this.#early.note(effects);
  }

  /** An aggregation's windows are gone: nothing that waits may be read from another of the same name. */
  forget(name: string): void {
    this.#waiting.drop(name);
    this.#noticed.delete(name);
    this.#early.forget(name);
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
    this.#early.schedule();
    if (this.#retryAt !== null && this.#deps.now() < this.#retryAt) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.size > 0) {
      const told = this.#waiting.take(WINDOWS_PER_ROUND);
      try {
        let open: readonly string[] | undefined;
        // Read as they are told: a window may change while those before it are on their way.
        for (const call of inCalls(this.#read(told))) ({ open } = await this.#deps.deliver(call));
        this.#waiting.settle();
        this.#retryAt = null;
        if (open !== undefined) this.#hear(open);
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

  #watch(watches: readonly StoredWatch[]): ReadonlyMap<string, RuleWatch> {
    const known = watches.map((watch) =>
      typeof watch === "string" ? { aggregation: watch, lookBacks: [], early: [] } : watch,
    );
    this.#early.watch(known, this.#machine.aggregations.values());
    return new Map(known.map((watch) => [watch.aggregation, watch]));
  }

  *#read(notices: readonly Notice[]): IterableIterator<ClosedWindow> {
    for (const notice of notices) {
      const aggregation = this.#machine.aggregations.get(notice.aggregation);
      if (aggregation === undefined) continue;
      yield* toldWindows(aggregation, notice, this.#watched.get(notice.aggregation));
    }
  }
}

/** Until rules could look back, an aggregation's name was all there was to keep. */
type StoredWatch = RuleWatch | string;

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
