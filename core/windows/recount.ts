/**
 * An aggregation's windows counted again from stored events, beside the ones that readers see.
 *
 * Problem: windows must be recounted while events go on coming, without a wrong number in between and without counting twice.
 * Rule: at the start there is a cut. Stored events from before it are folded in here as they are read; events that come after it
 * are folded in here and in the live windows alike. So when all stored ones are read, this holds exactly what the windows should,
 * and takes their place in one step. States are mergeable in any order, so it does not matter which came first.
 *
 * Segments are read by their oldest event, so that everything before the oldest event of those still to be read is final: that
 * much can take its place early, and be forgotten here. Sessions have no limits that all groups share, so for them a stretch begins
 * earlier than asked, far enough that every session which reaches over its start is known from its first event on.
 */
import type { EventBatch } from "../events/event-batch.ts";
import { type Aggregation, partialAggregation } from "./aggregation.ts";
import { BatchView } from "./batch-view.ts";
import type { Fragment } from "./fragment.ts";
import type { Frame } from "./frame.ts";
import { binsOf } from "./shape.ts";
import { type Change, NOTHING_STORED, type StoredKeys } from "./window-set.ts";

/** First reach before a stretch of sessions, in gaps; four times as far each time that is not far enough. */
const FIRST_REACH_GAPS = 4;
const REACH_FACTOR = 4;

/** A stretch of event time, half-open. Epoch ms. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** What a recount wants to happen next. */
export type Next =
  | { readonly do: "read" }
  /** With another recount of the same stretch that begins further back. */
  | { readonly do: "begin anew"; readonly reach: number }
  | { readonly do: "replace"; readonly through: number }
  /** It holds more than it may, and none of it can go. */
  | { readonly do: "give up" };

export class Recount {
  readonly #live: Aggregation;
  #shadow: Aggregation;
  /** Everything before this has taken its place. */
  #position: number;
  #to: number;
  /** Events from here on are counted. */
  readonly #readFrom: number;
  /** Of sessions. */
  readonly #gapMs: number | null;
  readonly #frame: Frame | null;
  /** Names of the sessions that were kept when others were forgotten; undefined until then. */
  #across: ReadonlySet<string> | undefined;

  /**
   * @param stretch as `wholeStretch` gives it
   * @param reach ms before the stretch at which to begin reading, where `next` said so
   */
  constructor(live: Aggregation, stretch: Stretch, reach = firstReach(live)) {
    const { shape } = live.plan;
    this.#live = live;
    this.#position = stretch.from;
    this.#to = stretch.to;
    this.#gapMs = shape.type === "session" ? shape.gapMs : null;
    this.#frame = binsOf(shape);
    this.#readFrom = stretch.from - reach;
    this.#shadow = this.#empty();
  }

  /** Everything before this has been put in place, epoch ms. */
  get position(): number {
    return this.#position;
  }

  /** True when all of its stretch has been put in place. */
  get isOver(): boolean {
    return this.#position >= this.#to;
  }

  /** Events to read from the store. Those of a session that goes on beyond the stretch belong to it as well. */
  get wanted(): Stretch {
    return { from: this.#readFrom, to: this.#gapMs === null ? this.#to : Infinity };
  }

  /** Groups of windows held, or sessions. */
  get groups(): number {
    return this.#shadow.windows.sizes().openGroups;
  }

  /** Counts a batch's rows, as far as they are wanted. */
  fold(batch: EventBatch, rows: Uint32Array): void {
    const { to } = this.wanted;
    const from = this.#gapMs === null ? this.#position : this.#readFrom;
    const wanted = rows.filter((row) => {
      const timestamp = batch.timestamps[row] ?? 0;
      return timestamp >= from && timestamp < to;
    });
    if (wanted.length > 0) this.#shadow.apply(new BatchView(batch, wanted));
  }

  /** Takes in what a shard counted apart. */
  absorb(fragment: Fragment): void {
    const from = this.#gapMs === null ? this.#position : this.#readFrom;
    if (fragment.last < from || fragment.first >= this.wanted.to) return;
    this.#shadow.windows.absorb(fragment);
    this.#shadow.windows.settle();
  }

  /**
   * What to do next.
   * @param frontier epoch ms: every stored event from before it has been folded
   * @param oldest epoch ms of the oldest event there is
   * @param isFull true to make room
   */
  next(frontier: number, oldest: number, isFull: boolean): Next {
    const reach = this.#furtherReach(frontier, oldest);
    if (reach !== null) return { do: "begin anew", reach };
    const through = this.#finalThrough(frontier);
    if (through >= this.#to && frontier >= this.#to) return { do: "replace", through };
    if (!isFull) return { do: "read" };
    if (through > this.#position) return { do: "replace", through };
    return this.#narrow() ? { do: "read" } : { do: "give up" };
  }

  /** Puts what is final, up to `through`, in the place of the live windows, and forgets it here. */
  replace(through: number, stored: StoredKeys): Change {
    const position = this.#position;
    const isFinal = ({ first, last }: Fragment): boolean => first < through && (first >= position || last >= position);
    const final = [...this.#fragments()].filter(isFinal);
    const change = this.#live.windows.replace(position, through, final, stored);
    this.#position = through;
    // A session that reaches over the limit stays: what comes late may still change it.
    const isKept = ({ first, last }: Fragment): boolean =>
      this.#gapMs === null ? first >= through : last + this.#gapMs > through;
    this.#shadow = this.#keep(isKept);
    this.#across = new Set(Array.from(this.#fragments(), nameOf));
    return change;
  }

  /** How far before the position to begin instead, ms; null when every session that reaches over it is known as a whole. */
  #furtherReach(frontier: number, oldest: number): number | null {
    const gapMs = this.#gapMs;
    if (gapMs === null || frontier < this.#position) return null;
    for (const fragment of this.#fragments()) {
      const isAcross = fragment.first < this.#position && fragment.last + gapMs > this.#position;
      if (isAcross && !this.#isWhole(fragment, gapMs, oldest))
        return (this.#position - Math.min(fragment.first, this.#readFrom) + gapMs) * REACH_FACTOR;
    }
    return null;
  }

  /** Whether no event can be missing before a session that reaches over the position. */
  #isWhole(fragment: Fragment, gapMs: number, oldest: number): boolean {
    // What ended before the position has been forgotten: a session that came to reach further back may have joined it.
    if (this.#across !== undefined) return this.#across.has(nameOf(fragment));
    return this.#readFrom <= oldest || fragment.first >= this.#readFrom + gapMs;
  }

  /** Up to where windows are final, epoch ms. */
  #finalThrough(frontier: number): number {
    const reached = Math.min(frontier, this.#to);
    const gapMs = this.#gapMs;
    if (gapMs === null) {
      const isAll = frontier >= this.#to;
      return isAll ? this.#to : Math.max(this.#position, this.#frame?.startOf(reached) ?? reached);
    }
    let through = reached;
    for (const { first, last } of this.#fragments()) if (last + gapMs > frontier) through = Math.min(through, first);
    return Math.max(through, this.#position);
  }

  /** Leaves the later half of the stretch for another time. */
  #narrow(): boolean {
    if (this.#gapMs !== null) return false;
    const starts = [...new Set(Array.from(this.#fragments(), ({ first }) => first))].sort((a, b) => a - b);
    const middle = starts[Math.ceil(starts.length / 2)];
    if (middle === undefined || starts.length < 2) return false;
    this.#to = middle;
    this.#shadow = this.#keep(({ first }) => first < middle);
    return true;
  }

  #keep(isKept: (fragment: Fragment) => boolean): Aggregation {
    const kept = this.#empty();
    for (const fragment of this.#fragments()) if (isKept(fragment)) kept.windows.absorb(fragment);
    kept.windows.settle();
    return kept;
  }

  #fragments(): Iterable<Fragment> {
    return this.#shadow.windows.fragments(-Infinity, Infinity, NOTHING_STORED);
  }

  #empty(): Aggregation {
    return partialAggregation(this.#live.id, this.#live.plan, -Infinity);
  }
}

function nameOf({ first, group }: Fragment): string {
  return `${first} ${group.key}`;
}

function firstReach({ plan: { shape } }: Aggregation): number {
  return shape.type === "session" ? FIRST_REACH_GAPS * shape.gapMs : 0;
}

/** A stretch widened to whole windows, or slices. */
export function wholeStretch({ plan }: Aggregation, { from, to }: Stretch): Stretch {
  const frame = binsOf(plan.shape);
  return frame === null ? { from, to } : { from: frame.startOf(from), to: frame.endOf(frame.startOf(to - 1)) };
}
