/** How often an item is tried, and how far apart. */
export interface RetryPolicy {
  /** Attempts per item, the first included, ≥ 1. */
  readonly attempts: number;
  /** Longest wait before the second attempt; doubles with each further one. */
  readonly baseMs: number;
  readonly maxMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = { attempts: 5, baseMs: 100, maxMs: 10_000 };

/**
 * The wait after a failed attempt: evenly anywhere between 0 and min(maxMs, baseMs × 2^(attempt − 1)), so that those who failed
 * together do not come back together.
 * @param attempt the one that failed, from 1 @param random numbers in [0, 1)
 */
export function backOffMs(policy: RetryPolicy, attempt: number, random: () => number): number {
  return random() * Math.min(policy.maxMs, policy.baseMs * 2 ** (attempt - 1));
}
