const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 30_000;
/** Spread of the returns after a wait that was asked for. */
const MAX_SPREAD_MS = 1000;

/**
 * How long to wait before trying again, ms.
 *
 * Exponential with full jitter, so that clients cut off together do not come back together; a wait that the platform asked
 * for is never shortened.
 * @param attempt  failures in a row before this one, ≥ 0
 * @param random   0 inclusive to 1 exclusive
 */
export function retryDelayMs(attempt: number, retryAfterSeconds: number | null, random: number): number {
  const own = Math.ceil(random * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 20)));
  return retryAfterSeconds === null ? own : retryAfterSeconds * 1000 + Math.min(own, MAX_SPREAD_MS);
}

/** How long to wait while a person has to act, ms. @param random 0 inclusive to 1 exclusive */
export function blockedDelayMs(random: number): number {
  return Math.ceil((LONGEST_DELAY_MS * (1 + random)) / 2);
}
