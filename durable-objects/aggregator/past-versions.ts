import { Aggregation, type AggregationState } from "../../core/windows/aggregation.ts";
import { type Definition, definitionSchema } from "../../core/windows/definition.ts";
import { planOf } from "../../core/windows/plan.ts";
import type { PastVersionRow, ShardTables } from "./tables.ts";

/** Replaced versions whose closed windows can still be read, per aggregation; the oldest goes first. */
export const MAX_PAST_VERSIONS = 5;

export interface PastVersion {
  readonly version: number;
  readonly definition: Definition;
  /** Epoch ms. */
  readonly retiredAt: number;
}

/**
 * Closed windows of definitions that were replaced.
 *
 * They count with other measures or groups than the newer ones, so they can be neither merged nor listed together with them; they
 * are kept as they were and read by their version. No event changes them any more.
 */
export class PastVersions {
  readonly #tables: ShardTables;

  constructor(tables: ShardTables) {
    this.#tables = tables;
  }

  list(name: string): PastVersion[] {
    return this.#tables.pastVersions(name).flatMap(({ version, body, retiredAt }) => {
      const parsed = definitionSchema.safeParse(body);
      return parsed.success ? [{ version, definition: parsed.data, retiredAt }] : [];
    });
  }

  /** One version, to be read; undefined when it is not kept or can no longer be understood. */
  find(name: string, version: number): Aggregation | undefined {
    const row = this.#tables.pastVersions(name).find((one) => one.version === version);
    return row === undefined ? undefined : this.#open(row);
  }

  /** Keeps what an aggregation has closed. Its open windows are the newer version's. Part of the change. */
  add(aggregation: Aggregation, nowMs: number): void {
    const { id, version, plan, windows } = aggregation;
    const { definition } = plan;
    this.#tables.writeWindows(id, windows.takeDirty());
    const state = aggregation.toJSON();
    // A tumbling window is a record; records of the other kinds may hold something closed as well.
    if (definition.window.type === "tumbling")
      for (const key of state.windows?.open ?? []) this.#tables.dropWindow(id, key);
    this.#tables.addPastVersion(definition.name, { id, version, body: definition, state, retiredAt: nowMs });
    for (const row of this.#tables.pastVersions(definition.name).slice(MAX_PAST_VERSIONS)) this.#drop(row);
  }

  /** Forgets all of them. Part of a change, or one of its own. */
  dropAll(name: string): void {
    for (const row of this.#tables.pastVersions(name)) this.#drop(row);
  }

  #drop({ id }: PastVersionRow): void {
    this.#tables.dropWindows(id);
    this.#tables.dropPastVersion(id);
  }

  #open({ body, state }: PastVersionRow): Aggregation | undefined {
    const parsed = definitionSchema.safeParse(body);
    const planned = parsed.success ? planOf(parsed.data) : undefined;
    if (planned?.ok !== true) return undefined;
    const saved = state as AggregationState;
    const windows = { ...saved.windows, open: [] };
    return new Aggregation(planned.plan, { ...saved, windows }, this.#tables.windowParts);
  }
}
