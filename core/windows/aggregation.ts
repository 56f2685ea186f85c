import type { Prepared } from "../aggregates/accumulator.ts";
import type { JsonValue } from "../events/event.ts";
import type { BatchView } from "./batch-view.ts";
import { finiteOrNull } from "./finite.ts";
import type { Fragment } from "./fragment.ts";
import { HoppingWindows } from "./hopping-windows.ts";
import type { Plan, PlannedMeasure } from "./plan.ts";
import type { Recount } from "./recount.ts";
import { SessionWindows } from "./session-windows.ts";
import { frameOf } from "./shape.ts";
import type { Source } from "./sources.ts";
import { TumblingWindows } from "./tumbling-windows.ts";
import { advanceWatermark } from "./watermark.ts";
import {
  type Cells,
  type Change,
  NOTHING_STORED,
  type WindowContext,
  type WindowSet,
  type WindowSetState,
  type WindowView,
} from "./window-set.ts";
import { type GroupState, OVERFLOW_KEY } from "./window-state.ts";

/** Where windows that are not in memory come from: the encoded parts, or only one, of each of those records that is there. */
export type LoadWindows = (
  aggregationId: number,
  keys: readonly number[],
  part?: number,
) => ReadonlyMap<number, readonly Uint8Array[]>;

/** Of what lives in memory alone. */
export const NOTHING_LOADED: LoadWindows = () => NO_RECORDS;
const NO_RECORDS: ReadonlyMap<number, readonly Uint8Array[]> = new Map();

/** Counters and watermark of an aggregation, for checkpoints. null stands for −Infinity. */
export interface AggregationState {
  readonly id: number;
  readonly version: number;
  readonly watermark: number | null;
  readonly lateEvents: number;
  readonly filterErrors: number;
  /** Windows that start before this may lack events from before the aggregation existed. */
  readonly partialBefore: number | null;
  /** Duplicates the tenant had counted when the aggregation was made. */
  readonly duplicatesBefore: number;
  /** Absent in states written before windows of other kinds than tumbling. */
  readonly windows?: WindowSetState;
}

/** What was counted apart from an aggregation's own windows: by a shard, or again from the store. */
export interface Part {
  readonly fragments: Iterable<Fragment>;
  readonly lateEvents: number;
  readonly filterErrors: number;
}

/** One aggregation: folds events into its windows, closes them as the watermark passes, revises closed ones. */
export class Aggregation {
  readonly id: number;
  readonly version: number;
  readonly plan: Plan;
  readonly duplicatesBefore: number;
  readonly windows: WindowSet;
  lateEvents: number;
  filterErrors: number;
  /** What counts its events again, and must have those too that come meanwhile. */
  recount: Recount | undefined;
  /** True while somebody waits to hear that a window passed without events: then its end is worth an idle check too. */
  keepsTime = false;

  /** @param windows those of the same aggregation before its times were changed; made from `state` otherwise */
  constructor(plan: Plan, state: AggregationState, load: LoadWindows, windows?: WindowSet) {
    this.id = state.id;
    this.version = state.version;
    this.plan = plan;
    this.duplicatesBefore = state.duplicatesBefore;
    this.lateEvents = state.lateEvents;
    this.filterErrors = state.filterErrors;
    this.windows =
      windows ??
      windowsOf({
        plan,
        watermark: state.watermark ?? -Infinity,
        partialBefore: state.partialBefore ?? -Infinity,
        load: (keys, part) => load(state.id, keys, part),
        state: state.windows,
      });
  }

  /** Windows that start before this may lack events from before the aggregation existed. */
  get partialBefore(): number {
    return this.windows.partialBefore;
  }

  /** W: no more events with timestamp < W are expected. −Infinity before the first event. */
  get watermark(): number {
    return this.windows.watermark;
  }

  /** Folds the view's rows in. Windows already closed before have their revision raised, once per call. */
  apply(view: BatchView): Change {
    this.recount?.fold(view.batch, view.rows);
    const grouping = view.group(this.plan.grouping);
    const { rows, errors } = grouping.selection;
    this.filterErrors += errors;
    if (rows.length === 0) return UNCHANGED;
    const { timestamps } = view.batch;
    if (view.earliest < this.watermark) this.#countLate(timestamps, rows);
    const cells = this.windows.cellsOf(timestamps, grouping);
    this.#foldMeasures(view, rows, cells);
    return this.windows.settle();
  }

  /** Merges in what was counted apart, as if its events came in one call. */
  absorb({ fragments, lateEvents, filterErrors }: Part): Change {
    this.lateEvents += lateEvents;
    this.filterErrors += filterErrors;
    for (const fragment of fragments) {
      this.recount?.absorb(fragment);
      this.windows.absorb(fragment);
    }
    return this.windows.settle();
  }

  /** Everything it holds in memory, for another to absorb. The states stay its own. */
  toPart(): Part {
    const { lateEvents, filterErrors } = this;
    return { fragments: this.windows.fragments(-Infinity, Infinity, NOTHING_STORED), lateEvents, filterErrors };
  }

  /** Moves the watermark. @returns windows that closed, in order of end */
  advance(sources: Iterable<Source>, idleAsOf: number): readonly WindowView[] {
    const watermark = advanceWatermark(this.watermark, sources, this.plan.timing, idleAsOf);
    return watermark === this.watermark ? [] : this.windows.advance(watermark);
  }

  /** The newest end that the watermark has passed, whether or not a window was there; null before the first event. */
  completeThrough(): number | null {
    return this.watermark === -Infinity ? null : this.windows.completeThrough();
  }

  /** End of the earliest window that has not closed and that matters, or null. */
  earliestOpenEnd(): number | null {
    const open = this.windows.earliestOpenEnd();
    if (!this.keepsTime || this.watermark === -Infinity) return open;
    const next = this.windows.nextEnd();
    return open === null ? next : Math.min(open, next);
  }

  toJSON(): AggregationState {
    return {
      id: this.id,
      version: this.version,
      watermark: finiteOrNull(this.watermark),
      lateEvents: this.lateEvents,
      filterErrors: this.filterErrors,
      partialBefore: finiteOrNull(this.partialBefore),
      duplicatesBefore: this.duplicatesBefore,
      windows: this.windows.toJSON(),
    };
  }

  #countLate(timestamps: Float64Array, rows: Uint32Array): void {
    const { watermark } = this;
    for (const row of rows) if ((timestamps[row] ?? 0) < watermark) this.lateEvents++;
  }

  #foldMeasures(view: BatchView, rows: Uint32Array, cells: Cells): void {
    let counts: Uint32Array | undefined;
    for (let m = 0; m < this.plan.measures.length; m++) {
      const planned = this.plan.measures[m];
      if (planned === undefined) continue;
      if (planned.measure.needs !== "nothing" || planned.filter !== undefined)
        this.#foldMeasure(view, rows, cells, planned, m);
      else {
        counts ??= countRows(cells);
        for (let place = 0; place < counts.length; place++)
          cells.groups[place]?.accumulators[m]?.addRows?.(counts[place] ?? 0);
      }
    }
  }

  #foldMeasure(view: BatchView, rows: Uint32Array, cells: Cells, planned: PlannedMeasure, m: number): void {
    const { timestamps, ids } = view.batch;
    const index = planned.path === undefined ? undefined : view.batch.column(planned.path).index;
    const prepared: Prepared = planned.path === undefined ? NOTHING : view.prepare(planned.path, planned.measure.needs);
    let mask: Uint8Array | undefined;
    if (planned.filter !== undefined) {
      const masked = view.mask(planned.filter);
      mask = masked.mask;
      this.filterErrors += masked.errors;
    }
    const states = cells.groups.map(({ accumulators }) => accumulators[m]);
    for (let k = 0; k < rows.length; k++) {
      const row = rows[k] ?? 0;
      const place = cells.of[k] ?? -1;
      if (place === -1 || (mask !== undefined && mask[row] === 0)) continue;
      states[place]?.add(prepared, index === undefined ? 0 : (index[row] ?? 0), timestamps[row] ?? 0, ids[row] ?? "");
    }
  }
}

/** How many rows lie in each cell. */
function countRows({ groups, of }: Cells): Uint32Array {
  const counts = new Uint32Array(groups.length);
  for (const place of of) if (place !== -1) counts[place] = (counts[place] ?? 0) + 1;
  return counts;
}

const NOTHING: Prepared = { as: "nothing" };
const UNCHANGED: Change = { touched: [], gone: [] };

function windowsOf(context: WindowContext): WindowSet {
  const { shape } = context.plan;
  switch (shape.type) {
    case "tumbling":
    case "calendar":
      return new TumblingWindows(context, frameOf(shape));
    case "hopping":
      return new HoppingWindows(context, shape);
    case "session":
      return new SessionWindows(context, shape.gapMs);
  }
}

/**
 * An aggregation that counts apart, in memory alone, for another one to absorb. It holds any number of groups: which of them are
 * kept and which overflow is decided where they are absorbed.
 * @param watermark by which events are told late; −Infinity where that is of no interest
 */
export function partialAggregation(id: number, plan: Plan, watermark: number): Aggregation {
  const state = {
    id,
    version: 0,
    watermark: finiteOrNull(watermark),
    lateEvents: 0,
    filterErrors: 0,
    partialBefore: null,
    duplicatesBefore: 0,
  };
  return new Aggregation({ ...plan, maxGroups: Infinity }, state, NOTHING_LOADED);
}

/** The values of a group's measures, by name. @param spanMs what `rate` divides by */
export function valuesOf(plan: Plan, group: GroupState, spanMs: number): Record<string, JsonValue> {
  return Object.fromEntries(plan.measures.map(({ name }, m) => [name, group.accumulators[m]?.result(spanMs) ?? null]));
}

/** Group values by path text. The overflow group has null for each and `overflow: true`, which is no path, so it equals no other group. */
export function groupJson(plan: Plan, key: string): Record<string, JsonValue> {
  const paths = plan.definition.group_by ?? [];
  const values: readonly JsonValue[] = key === OVERFLOW_KEY ? [] : (JSON.parse(key) as readonly JsonValue[]);
  const group: Record<string, JsonValue> = Object.fromEntries(paths.map((path, k) => [path, values[k] ?? null]));
  return key === OVERFLOW_KEY ? { ...group, overflow: true } : group;
}
