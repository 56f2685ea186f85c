import { durationProblem, limitProblem } from "./arguments.ts";
import { type Arrival, Arrivals } from "./arrivals.ts";
import type { Clock } from "./clock.ts";
import { END, item, type Operator } from "./source.ts";
import { operator } from "./stream.ts";

/** A source kept silent for longer than it may. */
export class StreamTimeoutError extends Error {
  override readonly name = "StreamTimeoutError";
  readonly limitMs: number;

  constructor(limitMs: number) {
    super(`no item within ${limitMs} ms`);
    this.limitMs = limitMs;
  }
}

/**
 * Fails with StreamTimeoutError, closing the source, when an item or the end takes `limitMs` or more from when it was asked for.
 * Time the consumer takes between items does not count.
 */
export function timeout<T>(limitMs: number, clock: Clock): Operator<T, T> {
  return operator(
    (input, scope) => {
      const arrivals = new Arrivals(input, clock, scope);
      return async () => {
        const arrival = await arrivals.before(clock.now() + limitMs);
        if (arrival === null) throw new StreamTimeoutError(limitMs);
        return arrival.step;
      };
    },
    durationProblem("limitMs", limitMs),
  );
}

/** An item, then none of those that arrive within `quietMs` of it; they are read and dropped. Uses no timer, reads nothing ahead. */
export function throttle<T>(quietMs: number, clock: Clock): Operator<T, T> {
  return operator(
    (input) => {
      let openAtMs = -Infinity;
      return async () => {
        for (;;) {
          const step = await input.next();
          if (step.done === true) return step;
          const nowMs = clock.now();
          if (nowMs < openAtMs) continue;
          openAtMs = nowMs + quietMs;
          return step;
        }
      };
    },
    durationProblem("quietMs", quietMs),
  );
}

/**
 * An item once `quietMs` have passed in which no other arrived; those that another follows sooner are dropped. The last one comes at
 * once when the source ends; when it fails, the error comes instead. Reads only while an item is asked for, besides one read that had begun.
 */
export function debounce<T>(quietMs: number, clock: Clock): Operator<T, T> {
  return operator(
    (input, scope) => {
      const arrivals = new Arrivals(input, clock, scope);
      return async () => {
        let latest: Arrival<T> | undefined;
        for (;;) {
          const arrival = await arrivals.before(latest === undefined ? Infinity : latest.atMs + quietMs);
          const isQuiet = arrival === null || arrival.step.done === true;
          if (isQuiet) return latest?.step ?? END;
          latest = arrival;
        }
      };
    },
    durationProblem("quietMs", quietMs),
  );
}

/**
 * Lists of items: one begins with its first item and comes out `spanMs` after that item arrived or, if that is later, the list was
 * asked for; sooner when it has `maxItems` or the source ends. Never empty. An error comes at once: what was gathered is lost. Reads only while a list is asked for, besides one read that had begun.
 */
export function bufferTime<T>(spanMs: number, clock: Clock, maxItems = Infinity): Operator<T, T[]> {
  return operator(
    (input, scope) => {
      const arrivals = new Arrivals(input, clock, scope);
      return async () => {
        const list: T[] = [];
        const askedAtMs = clock.now();
        let endsAtMs = Infinity;
        while (list.length < maxItems) {
          const arrival = await arrivals.before(endsAtMs);
          if (arrival === null || arrival.step.done === true) break;
          if (list.length === 0) endsAtMs = Math.max(arrival.atMs, askedAtMs) + spanMs;
          list.push(arrival.step.value);
        }
        return list.length === 0 ? END : item(list);
      };
    },
    durationProblem("spanMs", spanMs) ?? limitProblem("maxItems", maxItems, 1),
  );
}
