import type { PatternSpec } from "./definition.ts";
import { anchorOf, compareEvents, indexAt, indexWhere, type Match, matchesOf, type PatternEvent } from "./matches.ts";

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

/** Events of one key that may still matter, and the matches told of them. */
export class KeyBuffer {
  /** JSON text of the key's value. */
  readonly key: string;
  /** The earliest event since the last `revise`; Infinity when there is none. */
  changedFrom = Infinity;
  readonly #events: PatternEvent[] = [];
  /** Told and not taken back, in order of their anchors. */
  #told: Match[] = [];
  /** Events up to this moment are gone before their time. */
  #droppedThrough = -Infinity;

  constructor(key: string) {
    this.key = key;
  }

  static restore(key: string, spec: PatternSpec, [at, ids, steps, matches, droppedThrough]: KeyState): KeyBuffer {
    const buffer = new KeyBuffer(key);
    const events = buffer.#events;
    for (const [k, id] of ids.entries()) events.push({ at: at[k] ?? 0, id, steps: steps[k] ?? 0 });
    for (const [moment, first, last] of matches) {
      // A count's events are neighbours: one that came between them later made it another match.
      const isRun = spec.kind === "count";
      const members = events.slice(first, last + 1).filter((_, k) => isRun || k === 0 || k === last - first);
      buffer.#told.push({ at: moment, events: members });
    }
    buffer.#droppedThrough = droppedThrough ?? -Infinity;
    return buffer;
  }

  get events(): readonly PatternEvent[] {
    return this.#events;
  }

  get size(): number {
    return this.#events.length;
  }

  /** Events up to this moment cannot be taken: what they would have to be seen with is gone. −Infinity as a rule. */
  get droppedThrough(): number {
    return this.#droppedThrough;
  }

  /** @returns false when it is there already */
  insert(event: PatternEvent): boolean {
    const last = this.#events.at(-1);
    if (last === undefined || compareEvents(last, event) < 0) {
      this.#events.push(event);
      this.changedFrom = Math.min(this.changedFrom, event.at);
      return true;
    }
    const place = indexWhere(this.#events.length, (k) => isAtOrAfter(this.#events[k], event));
    const there = this.#events[place];
    if (there !== undefined && compareEvents(there, event) === 0) return false;
    this.#events.splice(place, 0, event);
    this.changedFrom = Math.min(this.changedFrom, event.at);
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
    const current = matchesOf(spec, this.#events, from, watermark);
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
    const count = indexAt(this.#events, at);
    if (count === 0) return;
    this.#events.splice(0, count);
    const told = indexWhere(this.#told.length, (k) => this.#anchorAt(spec, k) >= at);
    this.#told = this.#told.slice(told);
  }

  /** Forgets events from before a moment although they may matter. @returns how many */
  dropBefore(spec: PatternSpec, at: number): number {
    const count = indexAt(this.#events, at);
    const last = this.#events[count - 1];
    if (last === undefined) return 0;
    this.#droppedThrough = Math.max(this.#droppedThrough, last.at);
    this.forgetBefore(spec, at);
    return count;
  }

  toJSON(): KeyState {
    const indexOf = new Map(this.#events.map((event, k) => [event.id, k]));
    const indexes = (match: Match): number[] =>
      match.events.map(({ id }) => indexOf.get(id)).filter((k) => k !== undefined);
    // A match whose first events are forgotten is never looked at again: what is left of it stands for it.
    const matches = this.#told.map((match) => {
      const known = indexes(match);
      return [match.at, known[0] ?? 0, known.at(-1) ?? 0] as const;
    });
    return [
      this.#events.map(({ at }) => at),
      this.#events.map(({ id }) => id),
      this.#events.map(({ steps }) => steps),
      matches,
      Number.isFinite(this.#droppedThrough) ? this.#droppedThrough : null,
    ];
  }

  /**
   * Where a count can be told again after events were dropped: once `times` events before it are there, or none of the dropped ones
   * is near. Pairs look ahead only.
   */
  #judgedFrom({ times, withinMs }: PatternSpec): number {
    const lastWithoutAll = this.#events[times - 1]?.at ?? Infinity;
    return Math.min(this.#droppedThrough + 2 * withinMs, lastWithoutAll + 1);
  }

  #anchorAt(spec: PatternSpec, k: number): number {
    const match = this.#told[k];
    return match === undefined ? Infinity : anchorOf(spec, match).at;
  }
}

function isAtOrAfter(one: PatternEvent | undefined, other: PatternEvent): boolean {
  return one !== undefined && compareEvents(one, other) >= 0;
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
