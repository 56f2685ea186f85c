import type { Prepared } from "../aggregates/accumulator.ts";
import type { JsonValue } from "../events/event.ts";
import type { BatchView, Grouping } from "./batch-view.ts";
import { finiteOrNull } from "./finite.ts";
import type { Plan, PlannedMeasure } from "./plan.ts";
import type { Source } from "./sources.ts";
import { advanceWatermark } from "./watermark.ts";
import { decodeWindow, type GroupState, OVERFLOW_KEY, type WindowState } from "./window-state.ts";

/** Where closed windows that are not in memory come from: their encoded parts, or undefined when there is none. */
export type LoadWindow = (aggregationId: number, start: number) => readonly Uint8Array[] | undefined;

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
}

/** Tumbling windows of one aggregation: folds events in, closes windows as the watermark passes, revises closed ones. */
export class Aggregation {
  readonly id: number;
  readonly version: number;
  readonly plan: Plan;
  readonly partialBefore: number;
  readonly duplicatesBefore: number;
  /** Windows in memory: every open one, and closed ones lately touched. */
  readonly windows = new Map<number, WindowState>();
  watermark: number;
  lateEvents: number;
  filterErrors: number;
  /** True while somebody waits to hear that a window passed without events: then its end is worth an idle check too. */
  keepsTime = false;
  readonly #load: LoadWindow;

  constructor(plan: Plan, state: AggregationState, load: LoadWindow) {
    this.id = state.id;
    this.version = state.version;
    this.plan = plan;
    this.partialBefore = state.partialBefore ?? -Infinity;
    this.duplicatesBefore = state.duplicatesBefore;
    this.watermark = state.watermark ?? -Infinity;
    this.lateEvents = state.lateEvents;
    this.filterErrors = state.filterErrors;
    this.#load = load;
  }

  /**
   * Folds the view's rows in.
   * @returns windows touched; those already closed before have their revision raised, once per call
   */
  apply(view: BatchView): Set<WindowState> {
    const grouping = view.group(this.plan.filter, this.plan.groupPaths);
    const { rows, errors } = grouping.selection;
    this.filterErrors += errors;
    const touched = new Set<WindowState>();
    if (rows.length === 0) return touched;
    const cells = this.#cellsOf(view.batch.timestamps, grouping, touched);
    this.#foldMeasures(view, rows, cells);
    for (const window of touched) {
      window.dirty = true;
      if (window.closed) window.revision++;
      else if (window.end <= this.watermark) window.closed = true;
    }
    return touched;
  }

  /** Moves the watermark. @returns windows that closed, in order of start */
  advance(sources: Iterable<Source>, idleAsOf: number): WindowState[] {
    const watermark = advanceWatermark(this.watermark, sources, this.plan.timing, idleAsOf);
    if (watermark === this.watermark) return [];
    this.watermark = watermark;
    const closing: WindowState[] = [];
    for (const window of this.windows.values()) {
      if (!window.closed && window.end <= watermark) closing.push(window);
    }
    closing.sort((a, b) => a.start - b.start);
    for (const window of closing) {
      window.closed = true;
      window.dirty = true;
    }
    return closing;
  }

  /** The newest end that the watermark has passed, whether or not a window was there; null before the first event. */
  completeThrough(): number | null {
    if (this.watermark === -Infinity) return null;
    const { sizeMs, offsetMs } = this.plan.timing;
    return Math.floor((this.watermark - offsetMs) / sizeMs) * sizeMs + offsetMs;
  }

  /** End of the earliest window that has not closed and that matters, or null. */
  earliestOpenEnd(): number | null {
    const passed = this.keepsTime ? this.completeThrough() : null;
    let earliest = passed === null ? null : passed + this.plan.timing.sizeMs;
    for (const window of this.windows.values()) {
      if (!window.closed && (earliest === null || window.end < earliest)) earliest = window.end;
    }
    return earliest;
  }

  /** The window that starts at `start`, from memory or storage. */
  window(start: number): WindowState | undefined {
    const resident = this.windows.get(start);
    if (resident !== undefined) return resident;
    const parts = this.#load(this.id, start);
    if (parts === undefined) return undefined;
    return decodeWindow(
      start,
      start + this.plan.timing.sizeMs,
      parts,
      this.plan.measures.map(({ measure }) => measure),
    );
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
    };
  }

  /** The group state that each selected row adds to, windows made or loaded on the way. */
  #cellsOf(timestamps: Float64Array, grouping: Grouping, touched: Set<WindowState>): GroupState[] {
    const { rows } = grouping.selection;
    const cells: GroupState[] = Array.from({ length: rows.length });
    const cellsByWindow = new Map<WindowState, (GroupState | undefined)[]>();
    let window: WindowState | undefined;
    let ofGroup: (GroupState | undefined)[] = [];
    for (let k = 0; k < rows.length; k++) {
      const timestamp = timestamps[rows[k] ?? 0] ?? 0;
      if (timestamp < this.watermark) this.lateEvents++;
      if (window === undefined || timestamp < window.start || timestamp >= window.end) {
        window = this.#windowAt(timestamp);
        touched.add(window);
        ofGroup = cellsByWindow.get(window) ?? [];
        cellsByWindow.set(window, ofGroup);
      }
      const group = grouping.groupOf[k] ?? 0;
      let cell = ofGroup[group];
      if (cell === undefined) {
        cell = this.#groupOf(window, grouping.keys[group] ?? OVERFLOW_KEY);
        ofGroup[group] = cell;
      }
      cells[k] = cell;
    }
    return cells;
  }

  #windowAt(timestamp: number): WindowState {
    const { sizeMs, offsetMs } = this.plan.timing;
    const start = Math.floor((timestamp - offsetMs) / sizeMs) * sizeMs + offsetMs;
    const known = this.window(start);
    const window: WindowState = known ?? {
      start,
      end: start + sizeMs,
      closed: false,
      revision: 0,
      partial: start < this.partialBefore,
      groups: new Map(),
      dirty: true,
      storedBytes: 0,
    };
    this.windows.set(start, window);
    return window;
  }

  #groupOf(window: WindowState, key: string): GroupState {
    const known = window.groups.get(key);
    if (known !== undefined) return known;
    if (window.groups.size >= this.plan.maxGroups && key !== OVERFLOW_KEY) return this.#groupOf(window, OVERFLOW_KEY);
    const group: GroupState = { key, accumulators: this.plan.measures.map(({ measure }) => measure.create()) };
    window.groups.set(key, group);
    return group;
  }

  #foldMeasures(view: BatchView, rows: Uint32Array, cells: readonly GroupState[]): void {
    for (let m = 0; m < this.plan.measures.length; m++) {
      const planned = this.plan.measures[m];
      if (planned !== undefined) this.#foldMeasure(view, rows, cells, planned, m);
    }
  }

  #foldMeasure(
    view: BatchView,
    rows: Uint32Array,
    cells: readonly GroupState[],
    planned: PlannedMeasure,
    m: number,
  ): void {
    const { timestamps, ids } = view.batch;
    const index = planned.path === undefined ? undefined : view.batch.column(planned.path).index;
    const prepared: Prepared = planned.path === undefined ? NOTHING : view.prepare(planned.path, planned.measure.needs);
    let mask: Uint8Array | undefined;
    if (planned.filter !== undefined) {
      const masked = view.mask(planned.filter);
      mask = masked.mask;
      this.filterErrors += masked.errors;
    }
    for (let k = 0; k < rows.length; k++) {
      const row = rows[k] ?? 0;
      if (mask !== undefined && mask[row] === 0) continue;
      cells[k]?.accumulators[m]?.add(
        prepared,
        index === undefined ? 0 : (index[row] ?? 0),
        timestamps[row] ?? 0,
        ids[row] ?? "",
      );
    }
  }
}

const NOTHING: Prepared = { as: "nothing" };

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
