import type { Grouping } from "./batch-view.ts";
import type { Fragment } from "./fragment.ts";
import type { Plan } from "./plan.ts";
import type { Groups, GroupState } from "./window-state.ts";

/** A window as readers see it: one of all groups, or the session of one. Times are epoch ms. */
export interface WindowView {
  readonly start: number;
  readonly end: number;
  readonly closed: boolean;
  /** 0 until the first close and at it; one more each time late events changed it afterwards. */
  readonly revision: number;
  /** True while events from before the aggregation existed may be missing. */
  readonly partial: boolean;
  /** The session's group; null for a window of all groups. */
  readonly session: string | null;
  /** By key. Merged anew on each access where the window is made of slices. */
  readonly groups: Groups;
}

/** What tells a window from the others of its aggregation. */
export interface WindowName {
  readonly start: number;
  readonly session: string | null;
}

/** What one call changed. */
export interface Change {
  /** Windows with new events; those closed before have their revision raised. */
  readonly touched: readonly WindowView[];
  /** Sessions that are now part of another, or begin earlier and so go by another name. */
  readonly gone: readonly WindowName[];
}

/** State that several windows may share, each event in exactly one: what a range of time is merged from. */
export interface Portion {
  readonly start: number;
  readonly end: number;
  readonly partial: boolean;
  readonly groups: Groups;
}

/** A record that differs from its checkpoint. */
export interface DirtyRecord {
  readonly key: number;
  /** By number; null where storage has the part as it is. Empty when the record is to be deleted. */
  readonly parts: readonly (Uint8Array | null)[];
  /** Parts that storage has of it so far. */
  readonly storedParts: number;
}

/** A record that may leave memory, because nothing in it is open or unsaved. */
export interface RestingRecord {
  readonly key: number;
  /** Its place in event time, epoch ms. */
  readonly at: number;
  /** It takes in memory, roughly. */
  readonly bytes: number;
}

/** What of the windows a checkpoint keeps beside the records. */
export interface WindowSetState {
  /** Keys of the stored records that hold something open. */
  readonly open: readonly number[];
  /** Of sessions: how many levels of pages there are. */
  readonly levels?: number;
  /** Of sessions: no event is later, epoch ms. Absent or null where that is not known. */
  readonly newest?: number | null;
}

/** How much a set holds. */
export interface WindowSizes {
  readonly openWindows: number;
  /** Groups of open windows; of open slices where windows are made of them. */
  readonly openGroups: number;
  /** In memory, closed windows lately touched included; roughly. */
  readonly bytes: number;
}

/** The encoded parts, in order, or only one, of each of those records that is there. */
export type LoadRecords = (keys: readonly number[], part?: number) => ReadonlyMap<number, readonly Uint8Array[]>;

/** Keys of stored records in [from, to), ascending, at most `limit`. */
export type StoredKeys = (from: number, to: number, limit: number) => readonly number[];

/** Of a set that lives in memory alone. */
export const NOTHING_STORED: StoredKeys = () => [];

/** What the windows of an aggregation need to know of it. */
export interface WindowContext {
  readonly plan: Plan;
  readonly watermark: number;
  /** Windows that start before this may lack events from before the aggregation existed. */
  readonly partialBefore: number;
  readonly load: LoadRecords;
  readonly state: WindowSetState | undefined;
}

/** Where the rows of a call are counted. */
export interface Cells {
  /** One may be there twice. */
  readonly groups: readonly GroupState[];
  /** Of the k-th selected row: an index into `groups`, −1 when it lies in no window. */
  readonly of: Int32Array;
}

/** The windows of one aggregation: where events go, when windows close, what is kept of them. Three kinds: tumbling, hopping, sessions. */
export interface WindowSet {
  readonly watermark: number;
  /** Windows that start before this may lack events from before the aggregation existed. */
  readonly partialBefore: number;

  /** The state that each selected row adds to. Follow it by `settle` once the rows are added. */
  cellsOf(timestamps: Float64Array, grouping: Grouping): Cells;
  /** Merges in what another set of the same definition holds of a group. Follow it by `settle`, once for all that belongs to one call. */
  absorb(fragment: Fragment): void;
  /** Ends a call: revisions are raised, once per window. */
  settle(): Change;
  /**
   * Has what lies in [from, to) be what the fragments say: bins that start there, sessions that start there or that a fragment meets.
   * Windows whose values differ from before are revised if they had closed; what is the same as before is left alone.
   * @param fragments bins in [from, to), or sessions that start there or reach over `from`, each whole. Their states stay the giver's
   */
  replace(from: number, to: number, fragments: Iterable<Fragment>, stored: StoredKeys): Change;
  /** Windows that start at or after this are complete from now on, because what they lacked was filled in. */
  completeFrom(at: number): void;
  /** Moves the watermark. @returns windows that closed, by end and start */
  advance(watermark: number): readonly WindowView[];

  /** The newest end that the watermark has passed, whether or not a window was there. The watermark must be finite. */
  completeThrough(): number;
  /** The end that comes after `completeThrough`. */
  nextEnd(): number;
  /** End of the earliest window that is there and has not closed, or null. */
  earliestOpenEnd(): number | null;
  countOpen(): number;
  /** Looks at every group in memory: for who asks now and then. */
  sizes(): WindowSizes;

  /** One window, from memory or storage. */
  find(name: WindowName): WindowView | undefined;
  /** Windows in memory: every open one, and closed ones lately touched. */
  recent(): Iterable<WindowView>;
  /** Every window that starts in [from, to), by start, then group. */
  list(from: number, to: number, stored: StoredKeys): Iterable<WindowView>;
  /** Every event of [from, to) once: windows that start there, or slices, or sessions. */
  portions(from: number, to: number, stored: StoredKeys): Iterable<Portion>;

  /** Everything that lies in [from, to), taken apart: bins and sessions that start there. The states are this set's own. */
  fragments(from: number, to: number, stored: StoredKeys): Iterable<Fragment>;

  /** Records made or read to be changed since the last `takeDirty`: how much a write would be, roughly. */
  readonly unwritten: number;
  /** Records to write; they count as written. */
  takeDirty(): DirtyRecord[];
  resting(): RestingRecord[];
  /** Drops a resting record from memory. */
  forget(key: number): void;
  toJSON(): WindowSetState;
}

const KEYS_PER_READ = 500;

/** Keys in [from, to) of records in storage or memory, ascending, each once. */
export function* keysBetween(
  from: number,
  to: number,
  stored: StoredKeys,
  resident: Iterable<number>,
): IterableIterator<number> {
  let position = from;
  const inMemory = [...resident].filter((key) => key >= from && key < to).sort((a, b) => a - b);
  for (;;) {
    const read = stored(
      Math.max(position, Number.MIN_SAFE_INTEGER),
      Math.min(to, Number.MAX_SAFE_INTEGER),
      KEYS_PER_READ,
    );
    const isLast = read.length < KEYS_PER_READ;
    const readTo = isLast ? to : (read.at(-1) ?? to) + 1;
    const keys = new Set([...read, ...inMemory.filter((key) => key >= position && key < readTo)]);
    yield* [...keys].sort((a, b) => a - b);
    if (isLast) return;
    position = readTo;
  }
}

/** By end, then start, then group: the order in which windows are told. */
export function byEnd(a: WindowView, b: WindowView): number {
  return a.end - b.end || a.start - b.start || compareText(a.session ?? "", b.session ?? "");
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
