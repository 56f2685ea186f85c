import type { Grouping } from "./batch-view.ts";
import { Bins } from "./bins.ts";
import type { Fragment } from "./fragment.ts";
import type { Frame } from "./frame.ts";
import {
  byEnd,
  type Cells,
  type Change,
  type DirtyRecord,
  keysBetween,
  type RestingRecord,
  type StoredKeys,
  type WindowContext,
  type WindowName,
  type WindowSet,
  type WindowSetState,
  type WindowSizes,
} from "./window-set.ts";
import type { WindowState } from "./window-state.ts";

/** Windows side by side: of equal size, or the days, weeks or months of a time zone. One record each. */
export class TumblingWindows implements WindowSet {
  watermark: number;
  readonly #bins: Bins;
  readonly #frame: Frame;
  /** Not closed. A backfill leaves very many closed ones in memory, and the open ones are looked for all the time. */
  readonly #open = new Set<WindowState>();

  constructor(context: WindowContext, frame: Frame) {
    this.watermark = context.watermark;
    this.#frame = frame;
    this.#bins = new Bins(context, frame);
    for (const window of this.#bins.resident.values()) if (!window.closed) this.#open.add(window);
  }

  cellsOf(timestamps: Float64Array, grouping: Grouping): Cells {
    return this.#bins.cellsOf(timestamps, grouping);
  }

  absorb(fragment: Fragment): void {
    this.#bins.absorb(fragment);
  }

  settle(): Change {
    const touched = [...this.#bins.takeTouched().keys()];
    for (const window of touched) {
      window.dirty = true;
      if (window.closed) window.revision++;
      else this.#noteOpen(window);
    }
    return { touched, gone: [] };
  }

  replace(from: number, to: number, fragments: Iterable<Fragment>, stored: StoredKeys): Change {
    const replaced = this.#bins.replace(from, to, fragments, stored);
    for (const { bin, showsSame } of replaced) {
      if (bin.closed && !showsSame) bin.revision++;
      if (!bin.closed) this.#noteOpen(bin);
    }
    return { touched: replaced.map(({ bin }) => bin), gone: [] };
  }

  get partialBefore(): number {
    return this.#bins.partialBefore;
  }

  completeFrom(at: number): void {
    this.#bins.completeFrom(at);
  }

  advance(watermark: number): WindowState[] {
    this.watermark = watermark;
    const closing: WindowState[] = [];
    for (const window of this.#open) if (window.end <= watermark) closing.push(window);
    for (const window of closing) {
      this.#open.delete(window);
      window.closed = true;
      window.dirty = true;
    }
    return closing.sort(byEnd);
  }

  completeThrough(): number {
    return this.#frame.startOf(this.watermark);
  }

  nextEnd(): number {
    return this.#frame.endOf(this.completeThrough());
  }

  earliestOpenEnd(): number | null {
    let earliest: number | null = null;
    for (const { end } of this.#open) if (earliest === null || end < earliest) earliest = end;
    return earliest;
  }

  countOpen(): number {
    return this.#open.size;
  }

  sizes(): WindowSizes {
    return { openWindows: this.countOpen(), ...this.#bins.sizes(({ closed }) => !closed) };
  }

  find({ start }: WindowName): WindowState | undefined {
    return this.#bins.get(start);
  }

  recent(): Iterable<WindowState> {
    return this.#bins.resident.values();
  }

  *list(from: number, to: number, stored: StoredKeys): IterableIterator<WindowState> {
    for (const key of keysBetween(from, to, stored, this.#bins.resident.keys())) {
      const window = this.#bins.get(key);
      if (window !== undefined) yield window;
    }
  }

  portions(from: number, to: number, stored: StoredKeys): Iterable<WindowState> {
    return this.list(from, to, stored);
  }

  fragments(from: number, to: number, stored: StoredKeys): Iterable<Fragment> {
    return this.#bins.fragments(from, to, stored);
  }

  get unwritten(): number {
    return this.#bins.unwritten;
  }

  takeDirty(): DirtyRecord[] {
    return this.#bins.takeDirty();
  }

  resting(): RestingRecord[] {
    return [...this.#bins.resident.values()]
      .filter(({ closed, dirty }) => closed && !dirty)
      .map(({ start, bytes }) => ({ key: start, at: start, bytes }));
  }

  forget(key: number): void {
    this.#bins.resident.delete(key);
  }

  toJSON(): WindowSetState {
    return { open: Array.from(this.#open, ({ start }) => start).sort((a, b) => a - b) };
  }

  /** A window that has not been closed is open, or closes at once. */
  #noteOpen(window: WindowState): void {
    if (window.end <= this.watermark) {
      window.closed = true;
      this.#open.delete(window);
    } else this.#open.add(window);
  }
}
