// Times of the week at which a rule tells nobody.
//
// Problem: "not on weekends, not at night" is said in local time, and a local day has 23, 24 or 25 hours.
// Rule: an instant is muted when the local clock of the zone reads a time in one of the ranges. What `from` ≥ `to` spans
// midnight and belongs to the day it begins on. The next change is looked for on the local clock; where the zone's offset
// changes on the way, it is looked for again from there, so that it is exact.
import { z } from "zod";
import { isTimeZone } from "../windows/calendar.ts";
import { MAX_MUTE_TIMES } from "./limits.ts";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const MINUTE_MS = 60_000;
const DAY_MINUTES = 1_440;
const WEEK_MINUTES = 7 * DAY_MINUTES;

const clock = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, "must be a time like 09:00");
const clockOrMidnight = z.union([clock, z.literal("24:00")], { error: "must be a time like 17:00, or 24:00" });

/** `[{days: ["sat", "sun"], timezone: "Europe/Berlin"}, {from: "22:00", to: "06:00", timezone: "UTC"}]`; all days, all day by default. */
export const muteTimesSchema = z
  .array(
    z
      .strictObject({
        days: z.array(z.enum(DAYS)).min(1).max(7).optional(),
        from: clock.default("00:00"),
        to: clockOrMidnight.default("24:00"),
        timezone: z.string().max(64).refine(isTimeZone, { message: "must be a time zone like Europe/Berlin or UTC" }),
      })
      .refine(({ from, to }) => from !== to, { message: "must differ from to", path: ["from"] }),
  )
  .max(MAX_MUTE_TIMES);

export type MuteTime = z.infer<typeof muteTimesSchema>[number];

/** A stretch of the local week, minutes since Monday 00:00; it may run over the week's end. */
interface Stretch {
  readonly start: number;
  readonly length: number;
}

interface Week {
  readonly clock: Intl.DateTimeFormat;
  readonly stretches: readonly Stretch[];
}

/** The mute times of a rule, ready to be asked. Times are epoch ms. */
export class MuteCalendar {
  readonly #weeks: readonly Week[];

  /** @throws RangeError when the runtime does not know a zone */
  constructor(times: readonly MuteTime[]) {
    this.#weeks = times.map(weekOf);
  }

  isMuted(at: number): boolean {
    return this.#weeks.some(({ clock, stretches }) => {
      const minute = localMinute(clock, at);
      return stretches.some((stretch) => isIn(stretch, minute));
    });
  }

  /** The first instant after `at` at which this may change; null when it never does. Asked again there, it may not have. */
  nextChange(at: number): number | null {
    const changes = this.#weeks.flatMap((week) => nextOf(week, at) ?? []);
    return changes.length === 0 ? null : Math.min(...changes);
  }
}

function weekOf({ days, from, to, timezone }: MuteTime): Week {
  const [start, end] = [minutesOf(from), minutesOf(to)];
  const length = end > start ? end - start : end - start + DAY_MINUTES;
  const clock = new Intl.DateTimeFormat("en-GB", {
    timeZone: timezone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  return {
    clock,
    stretches: (days ?? DAYS).map((day) => ({ start: DAYS.indexOf(day) * DAY_MINUTES + start, length })),
  };
}

function minutesOf(text: string): number {
  return Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
}

function isIn({ start, length }: Stretch, minute: number): boolean {
  return sinceOf(start, minute) < length;
}

/** Minutes from `start` to `minute`, forwards through the week. */
function sinceOf(start: number, minute: number): number {
  return (minute - start + WEEK_MINUTES) % WEEK_MINUTES;
}

function nextOf({ clock, stretches }: Week, at: number): number | null {
  const minute = localMinute(clock, at);
  const edges = stretches.flatMap(({ start, length }) => [start, start + length]);
  const waits = edges.map((edge) => sinceOf(minute, edge % WEEK_MINUTES) || WEEK_MINUTES);
  if (waits.length === 0) return null;
  const begun = Math.floor(at / MINUTE_MS) * MINUTE_MS;
  const wait = Math.min(...waits);
  const then = begun + wait * MINUTE_MS;
  // Without a change of the clock the local week has moved on by just as much.
  if (sinceOf(minute, localMinute(clock, then)) === wait % WEEK_MINUTES) return then;
  return changeBetween(clock, begun, then);
}

/** The first minute in (from, to] at which the local clock is not where it would be without a change of the zone's offset. */
function changeBetween(clock: Intl.DateTimeFormat, from: number, to: number): number {
  const minute = localMinute(clock, from);
  let low = 0;
  let high = (to - from) / MINUTE_MS;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const expected = (minute + middle) % WEEK_MINUTES;
    if (localMinute(clock, from + middle * MINUTE_MS) === expected) low = middle;
    else high = middle;
  }
  return from + high * MINUTE_MS;
}

/** Minutes since Monday 00:00 on the local clock. */
function localMinute(clock: Intl.DateTimeFormat, at: number): number {
  const parts = Object.fromEntries(clock.formatToParts(at).map(({ type, value }) => [type, value]));
  const { weekday = "", hour = "0", minute = "0" } = parts;
  const day = DAYS.findIndex((name) => name === weekday.toLowerCase());
  return day * DAY_MINUTES + Number(hour) * 60 + Number(minute);
}
