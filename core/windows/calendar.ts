/**
 * Days, ISO weeks and months of a time zone.
 *
 * Problem: a day in Berlin has 23, 24 or 25 hours, on Lord Howe 23.5 or 24.5, and on Samoa one day never was.
 * Rule: a day begins at the first instant whose local clock has reached its midnight, so days tile the time line whatever the clock
 * does: a midnight that is skipped lets the day begin at the jump, one that comes twice counts the first time. A week begins with
 * its Monday, a month with its first day. The zone's offset is read from Intl, which every runtime has; nothing else is asked.
 * Why not local time plus 24 h: that is wrong twice a year.
 * @see ECMA-402, Intl.DateTimeFormat; the IANA time zone database for the cases in the tests
 */
import type { Frame } from "./frame.ts";

export type CalendarUnit = "1d" | "1w" | "1mo";
export const CALENDAR_UNITS: readonly CalendarUnit[] = ["1d", "1w", "1mo"];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** No zone is farther from UTC than this, and none changes its clock twice within twice as long. */
const REACH_MS = 16 * HOUR_MS;
/** Windows whose limits are remembered. */
const MAX_KNOWN = 1000;

/** A name like Europe/Berlin or UTC that the runtime knows; offsets like +01:00 are no zones. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    clockOf(name);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** The calendar's windows of one unit in one zone. */
export class CalendarFrame implements Frame {
  readonly #unit: CalendarUnit;
  readonly #clock: Intl.DateTimeFormat;
  /** Windows lately used, in order of start: start, end, start, end, … */
  #known: number[] = [];

  /** @throws RangeError when the runtime does not know the zone */
  constructor(unit: CalendarUnit, timeZone: string) {
    this.#unit = unit;
    this.#clock = clockOf(timeZone);
  }

  startOf(at: number): number {
    return this.#limits(at)[0];
  }

  endOf(start: number): number {
    return this.#limits(start)[1];
  }

  #limits(at: number): readonly [start: number, end: number] {
    let low = 0;
    let high = this.#known.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#known[2 * middle + 1] ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    const start = this.#known[2 * low] ?? Infinity;
    if (start <= at) return [start, this.#known[2 * low + 1] ?? 0];
    const found = this.#find(at);
    if (this.#known.length >= 2 * MAX_KNOWN) this.#known = [...found];
    else this.#known.splice(2 * low, 0, ...found);
    return found;
  }

  #find(at: number): readonly [start: number, end: number] {
    let date = this.#firstDate(dateOf(this.#local(at)));
    let start = this.#begin(date);
    for (;;) {
      const next = this.#nextDate(date);
      const end = this.#begin(next);
      // The clock may have gone back across midnight: then `at` reads a date whose successor has already begun.
      if (at < end && start < end) return [start, end];
      [date, start] = [next, end];
    }
  }

  /** The unit's first date, as midnight UTC of that date. */
  #firstDate(date: number): number {
    if (this.#unit === "1d") return date;
    const day = new Date(date);
    if (this.#unit === "1mo") return Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), 1);
    return date - ((day.getUTCDay() + 6) % 7) * DAY_MS;
  }

  #nextDate(date: number): number {
    if (this.#unit === "1d") return date + DAY_MS;
    if (this.#unit === "1w") return date + 7 * DAY_MS;
    const day = new Date(date);
    return Date.UTC(day.getUTCFullYear(), day.getUTCMonth() + 1, 1);
  }

  /** The first instant at which the local clock has reached midnight of `date`. */
  #begin(date: number): number {
    const before = this.#offset(date - REACH_MS);
    const after = this.#offset(date + REACH_MS);
    if (before === after) return date - before;
    const change = this.#change(date - REACH_MS, date + REACH_MS, before);
    const reached = date - before;
    return reached < change ? reached : Math.max(change, date - after);
  }

  /** The instant in (low, high] from which the offset is no longer `before`. */
  #change(low: number, high: number, before: number): number {
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.#offset(middle) === before) low = middle;
      else high = middle;
    }
    return high;
  }

  #offset(at: number): number {
    return this.#local(at) - Math.floor(at / 1000) * 1000;
  }

  /** What the local clock reads at `at`, whole seconds, as if it were UTC. */
  #local(at: number): number {
    const parts: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
    for (const { type, value } of this.#clock.formatToParts(at)) parts[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second);
  }
}

const dateOf = (local: number): number => Math.floor(local / DAY_MS) * DAY_MS;

function clockOf(timeZone: string): Intl.DateTimeFormat {
  const numeric = { year: "numeric", month: "numeric", day: "numeric" } as const;
  const time = { hour: "numeric", minute: "numeric", second: "numeric", hourCycle: "h23" } as const;
  return new Intl.DateTimeFormat("en-US", { timeZone, ...numeric, ...time });
}
