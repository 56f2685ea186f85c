import type { PatternSpec } from "./definition.ts";
import { compareEvents, EventList, indexWhere } from "./event-list.ts";
import { anchorOf, type Match, matchesOf } from "./matches.ts";

/** How the matches of a key differ from those told before. */
export interface Revision {
  readonly matched: readonly Match[];
  /** Told before, and no match after all. */
  readonly retracted: readonly Match[];
}

/**
 * JSON form: the events' times, ids and steps; matches told, as [moment, index of the first event, index of the last]; the time of what
 * was dropped, null when nothing was.
 */
export type KeyState = readonly [
  at: readonly number[],
  ids: readonly string[],
  steps: readonly number[],
  matches: readonly (readonly [at: number, first: number, last: number])[],
  droppedThrough: number | null,
];

/** What a key takes in workerd, bytes, beside its text and its events: itself, and its places in the tables of keys and of what is due. Measured. */
const KEY_BYTES = 450;
/** And a match that was told, with so many for each event of it. */
const MATCH_BYTES = 50;
const MATCHED_EVENT_BYTES = 45;

/** Events of one key that may still matter, and the matches told of them. */
export class KeyBuffer {
  /** JSON text of the key's value. */
  readonly key: string;
  /** The earliest event since the last `revise`; Infinity when there is none. */
  changedFrom = Infinity;
  readonly events: EventList;
  /** Told and not taken back, in order of their anchors. */
  #told: Match[] = [];
  /** What its pattern counts for it in memory, bytes. */
  charged = 0;
  /** Events up to this moment are gone before their time. */
  #droppedThrough = -Infinity;

  constructor(key: string, events = new EventList()) {
    this.key = key;
    this.events = events;
  }

  static restore(key: string, spec: PatternSpec, [at, ids, steps, matches, droppedThrough]: KeyState): KeyBuffer {
    const buffer = new KeyBuffer(key, new EventList([...at], [...ids], [...steps]));
    for (const [moment, first, last] of matches) {
      // A count's events are neighbours: one that came between them later made it another match.
      const isRun = spec.kind === "count";
      const members = buffer.events.slice(first, last + 1).filter((_, k) => isRun || k === 0 || k === last - first);
      buffer.#told.push({ at: moment, events: members });
    }
    buffer.#droppedThrough = droppedThrough ?? -Infinity;
    return buffer;
  }

  /** It takes in memory, roughly. The same after a restart. */
  bytes({ kind, times }: PatternSpec): number {
    const matchBytes = MATCH_BYTES + MATCHED_EVENT_BYTES * (kind === "count" ? times : 2);
    return KEY_BYTES + this.key.length + this.events.bytes + matchBytes * this.#told.length;
  }

  /** Events up to this moment cannot be taken: what they would have to be seen with is gone. −Infinity as a rule. */
  get droppedThrough(): number {
    return this.#droppedThrough;
  }

  /** @returns false when it is there already */
  insert(at: number, id: string, steps: number): boolean {
    if (!this.events.insert(at, id, steps)) return false;
    this.changedFrom = Math.min(this.changedFrom, at);
    return true;
  }

  /**
   * Brings what was told in line with the events.
   * @param before    the watermark of the last time
   * @param watermark what is decided now
   */
  revise(spec: PatternSpec, before: number, watermark: number): Revision {
    const changed = Math.min(before, this.changedFrom);
    this.changedFrom = Infinity;
    const from = spec.kind === "count" ? Math.max(changed, this.#judgedFrom(spec)) : changed - spec.withinMs;
    const current = matchesOf(spec, this.events, from, watermark);
    const place = indexWhere(this.#told.length, (k) => this.#anchorAt(spec, k) >= from);
    const revision = difference(spec, this.#told.slice(place), current);
    if (revision.matched.length > 0 || revision.retracted.length > 0) {
      this.#told.length = place;
      this.#told.push(...current);
    }
    return revision;
  }

  /** Forgets events, and the matches anchored at them, from before a moment by which they no longer matter. */
  forgetBefore(spec: PatternSpec, at: number): void {
    const count = this.events.indexAt(at);
    if (count === 0) return;
    this.events.dropFirst(count);
    const told = indexWhere(this.#told.length, (k) => this.#anchorAt(spec, k) >= at);
    this.#told = this.#told.slice(told);
  }

  /** Forgets events from before a moment although they may matter. @returns how many */
  dropBefore(spec: PatternSpec, at: number): number {
    const count = this.events.indexAt(at);
    if (count === 0) return 0;
    this.#droppedThrough = Math.max(this.#droppedThrough, this.events.at(count - 1));
    this.forgetBefore(spec, at);
    return count;
  }

  toJSON(): KeyState {
    const [at, ids, steps] = this.events.toColumns();
    const indexOf = new Map(this.#told.length === 0 ? [] : ids.map((id, k) => [id, k]));
    const indexes = (match: Match): number[] =>
      match.events.map(({ id }) => indexOf.get(id)).filter((k) => k !== undefined);
    // A match whose first events are forgotten is never looked at again: what is left of it stands for it.
    const matches = this.#told.map((match) => {
      const known = indexes(match);
      return [match.at, known[0] ?? 0, known.at(-1) ?? 0] as const;
    });
    return [at, ids, steps, matches, Number.isFinite(this.#droppedThrough) ? this.#droppedThrough : null];
  }

  /**
   * Where a count can be told again after events were dropped: once `times` events before it are there, or none of the dropped ones
   * is near. Pairs look ahead only.
   */
  #judgedFrom({ times, withinMs }: PatternSpec): number {
    const lastWithoutAll = this.events.at(times - 1);
    return Math.min(this.#droppedThrough + 2 * withinMs, lastWithoutAll + 1);
  }

  #anchorAt(spec: PatternSpec, k: number): number {
    const match = this.#told[k];
    return match === undefined ? Infinity : anchorOf(spec, match).at;
  }
}

/** Both in order of their anchors. */
function difference(spec: PatternSpec, before: readonly Match[], current: readonly Match[]): Revision {
  const matched: Match[] = [];
  const retracted: Match[] = [];
  let [b, c] = [0, 0];
  while (b < before.length || c < current.length) {
    const [old, now] = [before[b], current[c]];
    const order = compareAnchors(spec, old, now);
    if (order === 0 && isSame(old, now)) {
      b++;
      c++;
      continue;
    }
    if (order <= 0 && old !== undefined) {
      retracted.push(old);
      b++;
    }
    if (order >= 0 && now !== undefined) {
      matched.push(now);
      c++;
    }
  }
  return { matched, retracted };
}

/** A missing one comes after every other. */
function compareAnchors(spec: PatternSpec, a: Match | undefined, b: Match | undefined): number {
  if (a === undefined) return 1;
  return b === undefined ? -1 : compareEvents(anchorOf(spec, a), anchorOf(spec, b));
}

function isSame(a: Match | undefined, b: Match | undefined): boolean {
  if (a === undefined || b === undefined || a.events.length !== b.events.length) return false;
  return a.events.every(({ id }, k) => id === b.events[k]?.id);
}
