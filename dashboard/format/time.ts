// 24 hours everywhere: columns keep their width and no reader has to look for AM and PM.
const clockFormat = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const minuteFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const dateFormat = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const zoneFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", timeZoneName: "shortOffset" });

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** `14:32:05`, in the browser's zone. */
export function clock(atMs: number): string {
  return clockFormat.format(atMs);
}

/** `14:32`, for axes. */
export function clockMinute(atMs: number): string {
  return minuteFormat.format(atMs);
}

/** `14:32:05` today, `17 May 2015, 14:32:05` on other days. */
export function moment(atMs: number, nowMs: number): string {
  return isSameDay(atMs, nowMs) ? clock(atMs) : `${dateFormat.format(atMs)}, ${clock(atMs)}`;
}

/** Whether two instants fall on one day of the browser's zone. */
export function isSameDay(aMs: number, bMs: number): boolean {
  return new Date(aMs).toDateString() === new Date(bMs).toDateString();
}

/** The instant to the millisecond, in UTC, for tooltips and `<time datetime>`. */
export function exact(atMs: number): string {
  return new Date(atMs).toISOString();
}

/** The browser's zone as an offset, e.g. `GMT+2`; `UTC` when it is that. */
export function zoneName(atMs: number): string {
  const name = zoneFormat.formatToParts(atMs).find((part) => part.type === "timeZoneName")?.value ?? "";
  return name === "GMT" ? "UTC" : name;
}

/** A length of time in its two largest units: `12s`, `2m 14s`, `3h 5m`, `4d 2h`. Negative lengths count as none. */
export function duration(lengthMs: number): string {
  const ms = Math.max(0, lengthMs);
  if (ms < MINUTE_MS) return `${Math.floor(ms / SECOND_MS)}s`;
  if (ms < HOUR_MS) return twoUnits(ms, MINUTE_MS, "m", SECOND_MS, "s");
  if (ms < DAY_MS) return twoUnits(ms, HOUR_MS, "h", MINUTE_MS, "m");
  return twoUnits(ms, DAY_MS, "d", HOUR_MS, "h");
}

function twoUnits(ms: number, largeMs: number, large: string, smallMs: number, small: string): string {
  const rest = Math.floor((ms % largeMs) / smallMs);
  return `${Math.floor(ms / largeMs)}${large}${rest === 0 ? "" : ` ${rest}${small}`}`;
}
