/** First delay before trying again, doubled with each failure. */
const FIRST_DELAY_MS = 250;
/** For the first minute of an outage nobody waits longer than this: most outages are a restart. */
const SOON_CAP_MS = 5_000;
/** Afterwards a thousand open tabs must not hammer a server that is down. */
const LATE_CAP_MS = 30_000;
const SOON_FOR_MS = 60_000;

/**
 * How long to wait before the next try: exponential with full jitter, so that tabs cut at one moment do not return at one moment.
 *
 * @param failures tries that failed in a row, 1 or more
 * @param outageMs how long the connection has been gone, in ms
 * @param random   0 inclusive to 1 exclusive
 * @returns milliseconds, 0 or more
 */
export function retryDelayMs(failures: number, outageMs: number, random: number): number {
  const cap = outageMs < SOON_FOR_MS ? SOON_CAP_MS : LATE_CAP_MS;
  return Math.floor(random * Math.min(cap, FIRST_DELAY_MS * 2 ** Math.min(failures - 1, 20)));
}
