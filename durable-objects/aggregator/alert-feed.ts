import type { ShardMachine, Effect } from "../../core/windows/shard-machine.ts";
import { type ClosedWindow, closedWindow } from "../../core/windows/window-json.ts";
import type { ShardTables } from "./tables.ts";

/** Windows told in one call, so that it stays far below the 32 MB an RPC may carry. */
const WINDOWS_PER_CALL = 50;
/** Pause after a failed call. */
const RETRY_AFTER_MS = 2000;

interface Told {
  readonly aggregation: string;
  readonly start: number;
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
  readonly #deliver: (windows: readonly ClosedWindow[]) => Promise<unknown>;
  readonly #onError: (error: unknown) => void;
  #watched: ReadonlySet<string>;
  #waiting: Told[];
  #running: Promise<void> | undefined;
  /** Epoch ms of the next try after a failure, or null. */
  retryAt: number | null = null;

  constructor(
    tables: ShardTables,
    machine: ShardMachine,
    deliver: (windows: readonly ClosedWindow[]) => Promise<unknown>,
    onError: (error: unknown) => void,
  ) {
    this.#tables = tables;
    this.#machine = machine;
    this.#deliver = deliver;
    this.#onError = onError;
    this.#watched = new Set((tables.readMeta("watched_rules") as string[] | undefined) ?? []);
    this.#waiting = (tables.readMeta("untold") as Told[] | undefined) ?? [];
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
      for (const { start } of emitted) this.#waiting.push({ aggregation: name, start });
    }
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
        await this.#deliver(told.flatMap((window) => this.#read(window)));
        this.retryAt = null;
      } catch (error) {
        this.retryAt = nowMs + RETRY_AFTER_MS;
        this.#onError(error);
        return;
      }
      this.#waiting.splice(0, told.length);
    }
  }

  #read({ aggregation: name, start }: Told): ClosedWindow[] {
    const aggregation = this.#machine.aggregations.get(name);
    const window = aggregation?.window(start);
    return aggregation === undefined || window === undefined ? [] : [closedWindow(aggregation, window)];
  }
}
