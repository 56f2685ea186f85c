const DIGIT_ZERO = 48;
const MINUTE_MS = 60_000;
/** Length of `2026-11-22T05:04:03`. */
const DATE_TIME_LENGTH = 19;

/**
 * Epoch ms of an RFC 3339 date-time; NaN when `text` is not one.
 *
 * Written out instead of Date.parse, which accepts far more ("2026", "1 Jan"), reads a missing offset as local time and,
 * behind a regular expression, takes most of an event's time budget.
 * Digits beyond milliseconds are cut off. Second 60 is read as the first of the next minute.
 * @see RFC 3339 section 5.6 (`T` and `Z` in either case, or a space for `T`)
 */
export function parseRfc3339(text: string): number {
  if (!hasSeparators(text)) return Number.NaN;
  const year = digits(text, 0, 4);
  const month = digits(text, 5, 2);
  const day = digits(text, 8, 2);
  const hour = digits(text, 11, 2);
  const minute = digits(text, 14, 2);
  const second = digits(text, 17, 2);
  const isInRange =
    month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month) && hour <= 23 && minute <= 59 && second <= 60;
  if (!isInRange) return Number.NaN;
  const fractionEnd = endOfFraction(text);
  const at = utc(year, month, day, hour, minute, second);
  return at + milliseconds(text, fractionEnd) - offsetMs(text, fractionEnd);
}

/** RFC 3339 in UTC with milliseconds. @param atMs epoch ms @throws RangeError beyond what a Date holds */
export function rfc3339(atMs: number): string {
  return new Date(atMs).toISOString();
}

/** The same, null for null. */
export function rfc3339OrNull(atMs: number | null): string | null {
  return atMs === null ? null : rfc3339(atMs);
}

function hasSeparators(text: string): boolean {
  const t = text[10];
  return (
    text[4] === "-" && text[7] === "-" && (t === "T" || t === "t" || t === " ") && text[13] === ":" && text[16] === ":"
  );
}

/** `count` decimal digits from `from`; NaN when one of them is something else. */
function digits(text: string, from: number, count: number): number {
  let value = 0;
  for (let at = from; at < from + count; at++) {
    const digit = text.charCodeAt(at) - DIGIT_ZERO;
    if (!(digit >= 0 && digit <= 9)) return Number.NaN;
    value = value * 10 + digit;
  }
  return value;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Date.UTC reads the years 0 to 99 as 1900 to 1999. */
function utc(year: number, month: number, day: number, hour: number, minute: number, second: number): number {
  if (year > 99) return Date.UTC(year, month - 1, day, hour, minute, second);
  return new Date(0).setUTCFullYear(year, month - 1, day) + ((hour * 60 + minute) * 60 + second) * 1000;
}

/** Where the fraction's digits end; DATE_TIME_LENGTH when there is no fraction. */
function endOfFraction(text: string): number {
  if (text[DATE_TIME_LENGTH] !== ".") return DATE_TIME_LENGTH;
  let at = DATE_TIME_LENGTH + 1;
  while (!Number.isNaN(digits(text, at, 1))) at++;
  return at;
}

function milliseconds(text: string, fractionEnd: number): number {
  const count = Math.min(fractionEnd - DATE_TIME_LENGTH - 1, 3);
  if (count === -1) return 0;
  return count === 0 ? Number.NaN : digits(text, DATE_TIME_LENGTH + 1, count) * 10 ** (3 - count);
}

/** What the offset at `at` adds to UTC; NaN when it is missing, malformed or not the end. */
function offsetMs(text: string, at: number): number {
  const sign = text[at];
  if (sign === "Z" || sign === "z") return text.length === at + 1 ? 0 : Number.NaN;
  if ((sign !== "+" && sign !== "-") || text[at + 3] !== ":" || text.length !== at + 6) return Number.NaN;
  const hours = digits(text, at + 1, 2);
  const minutes = digits(text, at + 4, 2);
  if (!(hours <= 23 && minutes <= 59)) return Number.NaN;
  return (sign === "+" ? 1 : -1) * (hours * 60 + minutes) * MINUTE_MS;
}
