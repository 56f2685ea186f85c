import type { PatternSpec } from "./definition.ts";
import type { EventList, PatternEvent } from "./event-list.ts";
import { FIRST, SECOND } from "./plan.ts";

/** Events that fit a pattern, or the first of a wait that nothing ended. */
export interface Match {
  /** The events it consists of, in order. */
  readonly events: readonly PatternEvent[];
  /** Epoch ms in event time of the moment that decided it: its last event, or the end of the wait for one. */
  readonly at: number;
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
export function matchesOf(spec: PatternSpec, events: EventList, from: number, watermark: number): readonly Match[] {
  return spec.kind === "count" ? countMatches(spec, events, from, watermark) : pairs(spec, events, from, watermark);
}

function pairs({ kind, withinMs }: PatternSpec, events: EventList, from: number, watermark: number): readonly Match[] {
  const found: Match[] = [];
  /** Index of the next one that a wait may end with. */
  let next = events.size;
  for (let k = events.indexAt(watermark) - 1; k >= 0; k--) {
    const at = events.at(k);
    const steps = events.steps(k);
    if (at < from) break;
    if ((steps & FIRST) !== 0) {
      const isAnswered = events.at(next) < at + withinMs;
      if (kind === "sequence" && isAnswered)
        found.push({ events: [...events.slice(k, k + 1), ...events.slice(next, next + 1)], at: events.at(next) });
      if (kind === "absence" && !isAnswered && at + withinMs <= watermark)
        found.push({ events: events.slice(k, k + 1), at: at + withinMs });
    }
    if ((steps & SECOND) !== 0) next = k;
  }
  return found.reverse();
}

function countMatches(
  { withinMs, times }: PatternSpec,
  events: EventList,
  from: number,
  watermark: number,
): readonly Match[] {
  const found: Match[] = [];
  const isFull = (last: number): boolean => {
    const first = last - times + 1;
    return first >= 0 && events.at(last) - events.at(first) < withinMs;
  };
  for (let k = events.indexAt(from); k < events.size; k++) {
    const at = events.at(k);
    if (at >= watermark) break;
    if (isFull(k) && !isFull(k - 1)) found.push({ events: events.slice(k - times + 1, k + 1), at });
  }
  return found;
}

/**
 * The least watermark beyond `watermark` at which something more could be decided.
 * @returns epoch ms, or Infinity
 */
export function nextDecision(spec: PatternSpec, events: EventList, watermark: number): number {
  return spec.kind === "absence" ? nextDeadline(spec, events, watermark) : afterNextEvent(spec, events, watermark);
}

function nextDeadline({ withinMs }: PatternSpec, events: EventList, watermark: number): number {
  let earliest = Infinity;
  let nextAt = Infinity;
  for (let k = events.size - 1; k >= 0; k--) {
    const at = events.at(k);
    const steps = events.steps(k);
    if (at + withinMs <= watermark) break;
    if ((steps & FIRST) !== 0 && nextAt >= at + withinMs) earliest = at + withinMs;
    if ((steps & SECOND) !== 0) nextAt = at;
  }
  return earliest;
}

function afterNextEvent({ kind }: PatternSpec, events: EventList, watermark: number): number {
  const deciding = kind === "count" ? FIRST | SECOND : SECOND;
  for (let k = events.indexAt(watermark); k < events.size; k++)
    if ((events.steps(k) & deciding) !== 0) return events.at(k) + 1;
  return Infinity;
}
