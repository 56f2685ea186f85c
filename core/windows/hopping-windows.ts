/**
 * Windows that overlap, made of slices.
 *
 * Problem: an event lies in size / slide windows, and updating each of them costs as many times.
 * Rule: time is cut into slices as long as the greatest common divisor of size and slide. An event updates its slice; a window is
 * the merge of its slices, done when somebody looks. What belongs to a window rather than to a slice is its revision: it is kept
 * with the slice that the window begins with. Whether it is closed or partial follows from its limits.
 * @see Carbone, Traub, Katsifodimos, Haridi, Markl, "Cutty: Aggregate sharing for user-defined windows", CIKM 2016
 */
import type { Grouping } from "./batch-view.ts";
import { Bins } from "./bins.ts";
import type { Fragment } from "./fragment.ts";
import { FixedFrame } from "./frame.ts";
import type { WindowShape } from "./shape.ts";
import {
  byEnd,
  type Cells,
  type Change,
  type DirtyRecord,
  keysBetween,
  type Portion,
  type RestingRecord,
  type StoredKeys,
  type WindowContext,
  type WindowName,
  type WindowSet,
  type WindowSetState,
  type WindowSizes,
  type WindowView,
} from "./window-set.ts";
import { type GroupState, groupOf, mergeGroup, type WindowState } from "./window-state.ts";

type HoppingShape = Extract<WindowShape, { type: "hopping" }>;

export class HoppingWindows implements WindowSet {
  watermark: number;
  readonly #context: WindowContext;
  readonly #shape: HoppingShape;
  readonly #slices: Bins;
  readonly #grid: FixedFrame;
  /** Windows that hold events and have not closed, by start. */
  readonly #open = new Map<number, WindowView>();

  constructor(context: WindowContext, shape: HoppingShape) {
    this.watermark = context.watermark;
    this.#context = context;
    this.#shape = shape;
    this.#grid = new FixedFrame(shape.slideMs, shape.offsetMs);
    const isCounted = (slice: number): boolean => slice - this.#grid.startOf(slice) < shape.sizeMs;
    this.#slices = new Bins(context, new FixedFrame(shape.sliceMs, shape.offsetMs % shape.sliceMs), isCounted);
    for (const slice of this.#slices.resident.values()) if (slice.groups.size > 0) this.#noteOpen(slice.start);
  }

  cellsOf(timestamps: Float64Array, grouping: Grouping): Cells {
    return this.#slices.cellsOf(timestamps, grouping);
  }

  absorb(fragment: Fragment): void {
    this.#slices.absorb(fragment);
  }

  settle(): Change {
    const touched = this.#slices.takeTouched();
    const starts = new Set<number>();
    for (const slice of touched.keys()) {
      slice.dirty = true;
      this.#noteOpen(slice.start);
      for (const start of this.#windowsOver(slice.start)) starts.add(start);
    }
    this.#revise(starts, touched);
    return { touched: [...starts].sort((a, b) => a - b).map((start) => this.#view(start)), gone: [] };
  }

  replace(from: number, to: number, fragments: Iterable<Fragment>, stored: StoredKeys): Change {
    const replaced = this.#slices.replace(from, to, fragments, stored);
    const changed = replaced.filter(({ showsSame }) => !showsSame);
    const starts = new Set<number>();
    for (const { bin } of changed) {
      this.#noteOpen(bin.start);
      for (const start of this.#windowsOver(bin.start)) starts.add(start);
    }
    this.#revise(starts, new Map(changed.map(({ bin, hadEvents }) => [bin, hadEvents])));
    return { touched: [...starts].sort((a, b) => a - b).map((start) => this.#view(start)), gone: [] };
  }

  get partialBefore(): number {
    return this.#slices.partialBefore;
  }

  completeFrom(at: number): void {
    this.#slices.completeFrom(at);
    for (const start of this.#open.keys()) this.#open.set(start, this.#newView(start));
  }

  advance(watermark: number): WindowView[] {
    this.watermark = watermark;
    const closing = [...this.#open.values()].filter(({ end }) => end <= watermark).sort(byEnd);
    for (const { start } of closing) this.#open.delete(start);
    return closing;
  }

  completeThrough(): number {
    return this.#grid.startOf(this.watermark - this.#shape.sizeMs) + this.#shape.sizeMs;
  }

  nextEnd(): number {
    return this.completeThrough() + this.#shape.slideMs;
  }

  earliestOpenEnd(): number | null {
    let earliest: number | null = null;
    for (const { end } of this.#open.values()) if (earliest === null || end < earliest) earliest = end;
    return earliest;
  }

  countOpen(): number {
    return this.#open.size;
  }

  sizes(): WindowSizes {
    return { openWindows: this.#open.size, ...this.#slices.sizes((slice) => this.#isOpen(slice)) };
  }

  find({ start }: WindowName): WindowView | undefined {
    return this.#grid.startOf(start) === start ? this.#view(start) : undefined;
  }

  recent(): Iterable<WindowView> {
    const starts = new Set<number>();
    for (const slice of this.#slices.resident.values()) {
      if (slice.groups.size > 0) for (const start of this.#windowsOver(slice.start)) starts.add(start);
    }
    return [...starts].map((start) => this.#view(start));
  }

  *list(from: number, to: number, stored: StoredKeys): IterableIterator<WindowView> {
    let next = from;
    for (const key of keysBetween(from, to + this.#shape.sizeMs, stored, this.#slices.resident.keys())) {
      if (!this.#hasEvents(key)) continue;
      for (const start of this.#windowsOver(key)) {
        if (start >= to) return;
        if (start < next) continue;
        const { end, session, closed, revision, partial, groups } = this.#view(start);
        yield { start, end, session, closed, revision, partial, groups };
        next = start + 1;
      }
    }
  }

  *portions(from: number, to: number, stored: StoredKeys): IterableIterator<Portion> {
    for (const key of keysBetween(from, to, stored, this.#slices.resident.keys())) {
      const slice = this.#slices.get(key);
      if (slice !== undefined && slice.groups.size > 0) yield slice;
    }
  }

  fragments(from: number, to: number, stored: StoredKeys): Iterable<Fragment> {
    return this.#slices.fragments(from, to, stored);
  }

  get unwritten(): number {
    return this.#slices.unwritten;
  }

  takeDirty(): DirtyRecord[] {
    return this.#slices.takeDirty();
  }

  resting(): RestingRecord[] {
    return [...this.#slices.resident.values()]
      .filter((slice) => !slice.dirty && !this.#isOpen(slice))
      .map(({ start, bytes }) => ({ key: start, at: start, bytes }));
  }

  forget(key: number): void {
    this.#slices.resident.delete(key);
  }

  toJSON(): WindowSetState {
    return {
      open: [...this.#slices.resident.values()].filter((slice) => this.#isOpen(slice)).map(({ start }) => start),
    };
  }

  /** Raises the revision of closed windows that had events before; the others are closed for the first time. */
  #revise(starts: Iterable<number>, touched: ReadonlyMap<WindowState, boolean>): void {
    const before = new Map(Array.from(touched, ([slice, hadEvents]) => [slice.start, hadEvents]));
    const hadEvents = (slice: number): boolean => {
      let known = before.get(slice);
      if (known === undefined) {
        known = this.#hasEvents(slice);
        before.set(slice, known);
      }
      return known;
    };
    for (const start of starts) {
      if (start + this.#shape.sizeMs > this.watermark || !this.#slicesOf(start).some(hadEvents)) continue;
      const first = this.#slices.hold(start);
      first.revision++;
      first.dirty = true;
    }
  }

  #noteOpen(slice: number): void {
    for (const start of this.#windowsOver(slice)) {
      if (start + this.#shape.sizeMs > this.watermark && !this.#open.has(start))
        this.#open.set(start, this.#view(start));
    }
  }

  /** Starts of the windows that a slice is part of, ascending. */
  #windowsOver(slice: number): number[] {
    const { sizeMs, slideMs, sliceMs } = this.#shape;
    const starts: number[] = [];
    const last = this.#grid.startOf(slice);
    for (let start = last; start + sizeMs >= slice + sliceMs; start -= slideMs) starts.push(start);
    return starts.reverse();
  }

  #slicesOf(start: number): number[] {
    const { sizeMs, sliceMs } = this.#shape;
    return Array.from({ length: sizeMs / sliceMs }, (_, k) => start + k * sliceMs);
  }

  #hasEvents(slice: number): boolean {
    return (this.#slices.get(slice)?.groups.size ?? 0) > 0;
  }

  /** Whether some window over the slice has not closed. */
  #isOpen({ start }: WindowState): boolean {
    return this.#grid.startOf(start) + this.#shape.sizeMs > this.watermark;
  }

  #view(start: number): WindowView {
    return this.#open.get(start) ?? this.#newView(start);
  }

  #newView(start: number): WindowView {
    return new HoppingWindow(start, this.#shape.sizeMs, this, this.partialBefore);
  }

  /** What a window that begins at `start` holds now, merged. */
  groupsOf(start: number): Map<string, GroupState> {
    const groups = new Map<string, GroupState>();
    for (const key of this.#slicesOf(start)) {
      for (const group of this.#slices.get(key)?.groups.values() ?? [])
        mergeGroup(groupOf(groups, group.key, this.#context.plan), group);
    }
    return groups;
  }

  revisionOf(start: number): number {
    return this.#slices.get(start)?.revision ?? 0;
  }
}

/** One window, which shows what its slices hold at the moment. */
class HoppingWindow implements WindowView {
  readonly start: number;
  readonly end: number;
  readonly session = null;
  readonly partial: boolean;
  readonly #windows: HoppingWindows;

  constructor(start: number, sizeMs: number, windows: HoppingWindows, partialBefore: number) {
    this.start = start;
    this.end = start + sizeMs;
    this.partial = start < partialBefore;
    this.#windows = windows;
  }

  get closed(): boolean {
    return this.end <= this.#windows.watermark;
  }

  get revision(): number {
    return this.#windows.revisionOf(this.start);
  }

  get groups(): ReadonlyMap<string, GroupState> {
    return this.#windows.groupsOf(this.start);
  }
}
