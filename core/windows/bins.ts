import type { Grouping } from "./batch-view.ts";
import type { Fragment } from "./fragment.ts";
import type { Frame } from "./frame.ts";
import type { Plan } from "./plan.ts";
import { GroupPages } from "./group-pages.ts";
import { type Cells, type DirtyRecord, keysBetween, type StoredKeys, type WindowContext } from "./window-set.ts";
import {
  encodeWindow,
  type Groups,
  type GroupState,
  groupOf,
  isSameGroup,
  mergeGroup,
  OVERFLOW_KEY,
  readWindow,
  showsSame,
  type WindowState,
} from "./window-state.ts";

/** Bins read and not held are kept up to this many, so that windows made of the same slices need not decode them again … */
const MAX_READ_BINS = 1000;
/** … and up to this many encoded bytes; in memory they take a few times that. */
const MAX_READ_BYTES = 4_000_000;
/** A bin with more decoded groups encodes them: with five measures a group takes about 2 kB decoded and 75 bytes encoded. */
const MAX_DECODED_GROUPS = 10_000;

/** What a recount found of a bin. */
export interface ReplacedBin {
  readonly bin: WindowState;
  /** Before. */
  readonly hadEvents: boolean;
  readonly showsSame: boolean;
}

/** Stretches of time that tile the time line, each with its groups: tumbling windows, or slices of hopping ones. */
export class Bins {
  /** In memory, by start. */
  readonly resident = new Map<number, WindowState>();
  readonly #context: WindowContext;
  readonly #frame: Frame;
  readonly #isCounted: (start: number) => boolean;
  partialBefore: number;
  /** Bins that came into memory to be changed since the last `takeDirty`. */
  unwritten = 0;
  /** Lately read from storage and not held; null when there was none. */
  readonly #read = new Map<number, WindowState | null>();
  #readBytes = 0;
  /** Read for the call under way; null where storage has none. */
  readonly #ahead = new Map<number, WindowState | null>();
  #touched = new Map<WindowState, boolean>();

  /** @param isCounted whether events of the bin that begins there belong to any window */
  constructor(context: WindowContext, frame: Frame, isCounted: (start: number) => boolean = () => true) {
    this.#context = context;
    this.#frame = frame;
    this.#isCounted = isCounted;
    this.partialBefore = context.partialBefore;
    for (const key of context.state?.open ?? []) this.hold(key);
  }

  cellsOf(timestamps: Float64Array, grouping: Grouping): Cells {
    const { rows } = grouping.selection;
    const groups: GroupState[] = [];
    const of = new Int32Array(rows.length).fill(-1);
    const placesByBin = new Map<WindowState, number[]>();
    let [start, end] = [0, 0];
    let bin: WindowState | undefined;
    let places: number[] = [];
    for (let k = 0; k < rows.length; k++) {
      const timestamp = timestamps[rows[k] ?? 0] ?? 0;
      if (timestamp < start || timestamp >= end) {
        start = this.#frame.startOf(timestamp);
        end = this.#frame.endOf(start);
        if (this.#isToLoad(start)) this.#loadAhead(timestamps, rows.subarray(k));
        bin = this.#touch(start);
        if (bin !== undefined) places = placesIn(placesByBin, bin);
      }
      if (bin === undefined) continue;
      const group = grouping.groupOf[k] ?? 0;
      let place = places[group];
      if (place === undefined) {
        place = groups.push(bin.groups.open(grouping.keys[group]?.text ?? OVERFLOW_KEY)) - 1;
        places[group] = place;
      }
      of[k] = place;
    }
    this.#ahead.clear();
    return { groups, of };
  }

  absorb({ first, group }: Fragment): void {
    const bin = this.#touch(this.#frame.startOf(first));
    if (bin !== undefined) mergeGroup(bin.groups.open(group.key), group);
  }

  /** Has bins that start in [from, to) hold what the fragments say. @returns those that are not as before */
  replace(from: number, to: number, fragments: Iterable<Fragment>, stored: StoredKeys): ReplacedBin[] {
    const fresh = new Map<number, GroupState[]>();
    for (const { first, group } of fragments) {
      const groups = fresh.get(first);
      if (groups === undefined) fresh.set(first, [group]);
      else groups.push(group);
    }
    const replaced: ReplacedBin[] = [];
    for (const start of keysBetween(from, to, stored, [...this.resident.keys(), ...fresh.keys()])) {
      const known = this.get(start);
      const old = known?.groups ?? new Map<string, GroupState>();
      const groups = limited(fresh.get(start) ?? [], old, this.#context.plan);
      const isSame = isAlike(old, groups, isSameGroup);
      if (isSame && known?.partial !== true) continue;
      const bin = this.hold(start);
      const spanMs = bin.end - bin.start;
      replaced.push({
        bin,
        hadEvents: old.size > 0,
        showsSame: isSame || isAlike(old, groups, (a, b) => showsSame(a, b, spanMs)),
      });
      if (!isSame) bin.groups = GroupPages.of(this.#context.plan, groups.values());
      bin.partial = false;
      bin.dirty = true;
    }
    return replaced;
  }

  /** Bins that start at or after `at` lack nothing from now on. */
  completeFrom(at: number): void {
    this.partialBefore = Math.min(this.partialBefore, at);
    for (const bin of this.resident.values()) bin.partial &&= bin.start < this.partialBefore;
    this.#forgetRead();
  }

  /** Bins that `cellsOf` or `absorb` changed since the last call, and whether they had events before it. */
  takeTouched(): ReadonlyMap<WindowState, boolean> {
    const touched = this.#touched;
    this.#touched = new Map();
    for (const { groups } of touched.keys()) if (groups.decoded > MAX_DECODED_GROUPS) groups.pack();
    return touched;
  }

  /** A bin to read, from memory or storage. */
  get(start: number): WindowState | undefined {
    const resident = this.resident.get(start);
    if (resident !== undefined) return resident;
    const read = this.#read.get(start);
    if (read !== undefined) return read ?? undefined;
    const loaded = this.#load(start);
    if (this.#read.size >= MAX_READ_BINS || this.#readBytes >= MAX_READ_BYTES) this.#forgetRead();
    this.#read.set(start, loaded ?? null);
    this.#readBytes += loaded?.bytes ?? 0;
    return loaded;
  }

  /** A bin to change: in memory from now on, made if there is none. */
  hold(start: number): WindowState {
    const resident = this.resident.get(start);
    if (resident !== undefined) return resident;
    const bin = this.#known(start) ?? {
      start,
      end: this.#frame.endOf(start),
      session: null,
      closed: false,
      revision: 0,
      partial: start < this.partialBefore,
      groups: GroupPages.empty(this.#context.plan),
      bytes: 0,
      dirty: true,
      storedParts: 0,
      storedHead: -1,
    };
    this.resident.set(start, bin);
    this.unwritten++;
    this.#read.delete(start);
    return bin;
  }

  /** What bins that start in [from, to) hold, one by one. */
  *fragments(from: number, to: number, stored: StoredKeys): IterableIterator<Fragment> {
    for (const first of keysBetween(from, to, stored, this.resident.keys())) {
      for (const group of this.get(first)?.groups.values() ?? []) yield { first, last: first, group };
    }
  }

  /** How many groups the bins that `isOpen` says have, and what all in memory take. */
  sizes(isOpen: (bin: WindowState) => boolean): { openGroups: number; bytes: number } {
    let openGroups = 0;
    let bytes = 0;
    for (const bin of this.resident.values()) {
      if (isOpen(bin)) openGroups += bin.groups.size;
      // A backfill leaves tens of thousands of small windows: to add up each one's groups would hold up live events.
      bytes += bin.dirty ? bin.groups.retainedBytes() : bin.bytes;
    }
    return { openGroups, bytes };
  }

  takeDirty(): DirtyRecord[] {
    const records: DirtyRecord[] = [];
    this.unwritten = 0;
    for (const [key, bin] of this.resident) {
      if (!bin.dirty) continue;
      const { storedParts } = bin;
      records.push({ key, parts: encodeWindow(bin), storedParts });
      bin.bytes = bin.groups.retainedBytes();
      bin.dirty = false;
    }
    return records;
  }

  #forgetRead(): void {
    this.#read.clear();
    this.#readBytes = 0;
  }

  #touch(start: number): WindowState | undefined {
    if (!this.#isCounted(start)) return undefined;
    const bin = this.hold(start);
    if (!this.#touched.has(bin)) this.#touched.set(bin, bin.groups.size > 0);
    return bin;
  }

  /** Reads the bins that rows lie in and that are not in memory, all at once: a backfill touches one per event. */
  #loadAhead(timestamps: Float64Array, rows: Uint32Array): void {
    const starts = new Set<number>();
    let [start, end] = [0, 0];
    for (const row of rows) {
      const timestamp = timestamps[row] ?? 0;
      if (timestamp >= start && timestamp < end) continue;
      start = this.#frame.startOf(timestamp);
      end = this.#frame.endOf(start);
      if (this.#isToLoad(start)) starts.add(start);
    }
    const found = this.#context.load([...starts], 0);
    for (const one of starts) this.#ahead.set(one, this.#decode(one, found.get(one)?.[0]) ?? null);
  }

  #isToLoad(start: number): boolean {
    if (this.resident.has(start) || this.#read.has(start) || this.#ahead.has(start)) return false;
    return this.#isCounted(start);
  }

  /** From what was read lately, or from storage. */
  #known(start: number): WindowState | undefined {
    for (const read of [this.#ahead.get(start), this.#read.get(start)])
      if (read !== undefined) return read ?? undefined;
    return this.#load(start);
  }

  #load(start: number): WindowState | undefined {
    return this.#decode(start, this.#context.load([start], 0).get(start)?.[0]);
  }

  #decode(start: number, first: Uint8Array | undefined): WindowState | undefined {
    if (first === undefined) return undefined;
    const { plan, load } = this.#context;
    const others = (part?: number): readonly Uint8Array[] => load([start], part).get(start) ?? [];
    const bin = readWindow(start, this.#frame.endOf(start), first, others, plan);
    bin.partial &&= start < this.partialBefore;
    return bin;
  }
}

/** Of each group that has rows in the bin: its place among the cells. */
function placesIn(placesByBin: Map<WindowState, number[]>, bin: WindowState): number[] {
  const known = placesByBin.get(bin);
  if (known !== undefined) return known;
  const places: number[] = [];
  placesByBin.set(bin, places);
  return places;
}

/** Groups as a bin may hold them: if they are too many, those that had their place keep it. */
function limited(fresh: readonly GroupState[], old: Groups, plan: Plan): Map<string, GroupState> {
  const groups = new Map<string, GroupState>();
  const isOverfull = fresh.length > plan.maxGroups;
  const known = new Set(isOverfull ? old.keys() : []);
  const ordered = isOverfull ? [...fresh].sort((a, b) => Number(known.has(b.key)) - Number(known.has(a.key))) : fresh;
  for (const group of ordered) mergeGroup(groupOf(groups, group.key, plan), group);
  return groups;
}

function isAlike(a: Groups, b: Groups, isEqual: (a: GroupState, b: GroupState) => boolean): boolean {
  if (a.size !== b.size) return false;
  for (const group of a.values()) {
    const other = b.get(group.key);
    if (other === undefined || !isEqual(group, other)) return false;
  }
  return true;
}
