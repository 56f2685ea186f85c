import type { PatternSpec } from "./definition.ts";
import { FIRST, SECOND } from "./plan.ts";

/** What a pattern knows of an event. */
export interface PatternEvent {
  /** Epoch ms. */
  readonly at: number;
  readonly id: string;
  /** Bits of the steps whose filter it passed. */
  readonly steps: number;
}

/** Events that fit a pattern, or the first of a wait that nothing ended. */
export interface Match {
  /** The events it consists of, in order. */
  readonly events: readonly PatternEvent[];
  /** Epoch ms in event time of the moment that decided it: its last event, or the end of the wait for one. */
  readonly at: number;
}

/** By (timestamp, id): total, so that every run sees the same order. */
export function compareEvents(a: PatternEvent, b: PatternEvent): number {
  if (a.at !== b.at) return a.at - b.at;
  if (a.id === b.id) return 0;
  return a.id < b.id ? -1 : 1;
}

/** Index of the first event with `at` ≥ `at`. */
export function indexAt(events: readonly PatternEvent[], at: number): number {
  return indexWhere(events.length, (k) => (events[k]?.at ?? 0) >= at);
}

/** The first k in [0, length) for which `isAfter` holds, which then holds for every later one; `length` when there is none. */
export function indexWhere(length: number, isAfter: (k: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isAfter(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The event by which a match is found again: the first one, of a `count` the last one. No two matches of a key share it. */
export function anchorOf({ kind }: PatternSpec, { events }: Match): PatternEvent {
  const anchor = kind === "count" ? events.at(-1) : events[0];
  if (anchor === undefined) throw new RangeError("a match without events");
  return anchor;
}

/**
 * The matches of one key that are decided once the watermark is `watermark`, in order of their anchors.
 *
 * sequence: an event `first` and the nearest later `second` less than `within` after it. absence: a `first` without such a `second`;
 * decided when the watermark reaches `first` + within. count: the `times`-th of events that lie within less than `within`, unless the event
 * before it was such a one too: a burst matches once, and again only after it has fallen below `times`.
 *
 * Each looks at most `within` ahead and twice `within` back, so what is far away may be forgotten. Why not skip past the last event of a
 * match, as others do: then every match depends on all before it, and a late event would change matches without end.
 * @param events all events of the key, in order
 * @param from   anchors before this moment are left out
 */
export function matchesOf(
  spec: PatternSpec,
  events: readonly PatternEvent[],
  from: number,
  watermark: number,
): readonly Match[] {
  return spec.kind === "count" ? countMatches(spec, events, from, watermark) : pairs(spec, events, from, watermark);
}

function pairs(
  { kind, withinMs }: PatternSpec,
  events: readonly PatternEvent[],
  from: number,
  watermark: number,
): readonly Match[] {
  const found: Match[] = [];
  let next: PatternEvent | undefined;
  for (let k = indexAt(events, watermark) - 1; k >= 0; k--) {
    const event = events[k];
    if (event === undefined || event.at < from) break;
    if ((event.steps & FIRST) !== 0) {
      const answer = next !== undefined && next.at < event.at + withinMs ? next : undefined;
      if (kind === "sequence" && answer !== undefined) found.push({ events: [event, answer], at: answer.at });
      if (kind === "absence" && answer === undefined && event.at + withinMs <= watermark)
        found.push({ events: [event], at: event.at + withinMs });
    }
    if ((event.steps & SECOND) !== 0) next = event;
  }
  return found.reverse();
}

function countMatches(
  { withinMs, times }: PatternSpec,
  events: readonly PatternEvent[],
  from: number,
  watermark: number,
): readonly Match[] {
  const found: Match[] = [];
  const isFull = (last: number): boolean => {
    const [first, event] = [events[last - times + 1], events[last]];
    return first !== undefined && event !== undefined && event.at - first.at < withinMs;
  };
  for (let k = indexAt(events, from); k < events.length; k++) {
    const event = events[k];
    if (event === undefined || event.at >= watermark) break;
    if (isFull(k) && !isFull(k - 1)) found.push({ events: events.slice(k - times + 1, k + 1), at: event.at });
  }
  return found;
}

/**
 * The least watermark beyond `watermark` at which something more could be decided.
 * @returns epoch ms, or Infinity
 */
export function nextDecision(spec: PatternSpec, events: readonly PatternEvent[], watermark: number): number {
  return spec.kind === "absence" ? nextDeadline(spec, events, watermark) : afterNextEvent(spec, events, watermark);
}

function nextDeadline({ withinMs }: PatternSpec, events: readonly PatternEvent[], watermark: number): number {
  let earliest = Infinity;
  let next: PatternEvent | undefined;
  for (let k = events.length - 1; k >= 0; k--) {
    const event = events[k];
    if (event === undefined || event.at + withinMs <= watermark) break;
    const isAnswered = next !== undefined && next.at < event.at + withinMs;
    if ((event.steps & FIRST) !== 0 && !isAnswered) earliest = event.at + withinMs;
    if ((event.steps & SECOND) !== 0) next = event;
  }
  return earliest;
}

function afterNextEvent({ kind }: PatternSpec, events: readonly PatternEvent[], watermark: number): number {
  const deciding = kind === "count" ? FIRST | SECOND : SECOND;
  for (let k = indexAt(events, watermark); k < events.length; k++) {
    const event = events[k];
    if (event !== undefined && (event.steps & deciding) !== 0) return event.at + 1;
  }
  return Infinity;
}
