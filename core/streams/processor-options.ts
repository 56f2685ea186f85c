import type { CancelSignal } from "./abort.ts";
import { countProblem, durationProblem } from "./arguments.ts";
import type { CircuitBreaker, CircuitState } from "./circuit-breaker.ts";
import type { Clock } from "./clock.ts";
import { DEFAULT_RETRY, type RetryPolicy } from "./retry.ts";
import type { Source } from "./source.ts";

/** What is needed of a flow controller. */
export interface Flow<Token> {
  /** Items that may be in flight now. */
  readonly window: number;
  /** Items per second at which to send, Infinity when unpaced. */
  readonly pacingRatePerSecond: number;
  sent(nowMs: number): Token;
  acked(token: Token, nowMs: number): void;
  rejected(token: Token, nowMs: number): void;
  ignored(token: Token, nowMs: number): void;
}

/**
 * What an error of the sink means. "refused": overload (429, 503, a timeout); the flow slows down, the item is tried again.
 * "broken": tried again, but says nothing about load. "invalid": the item itself is at fault and trying again is useless.
 */
export type Verdict =
  | { readonly kind: "refused" | "broken"; /** What the sink asked for. */ readonly retryAfterMs?: number }
  | { readonly kind: "invalid" };

/** What a StreamProcessor connects, and what it is told with. */
export interface ProcessorOptions<T, Token> {
  /** Often a `pipe`. Read by one item at a time, and only when there is a place in the window. */
  readonly source: Source<T>;
  /** Takes one item; an error says that it did not. Must time out by itself. @param attempt from 1 */
  readonly sink: (value: T, attempt: number) => PromiseLike<unknown>;
  readonly flow: Flow<Token>;
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly breaker?: CircuitBreaker;
  readonly retry?: Partial<RetryPolicy>;
  /** Default: every error is "refused". */
  readonly judge?: (error: unknown) => Verdict;
  /** Takes items that are given up; they are in hand until it has. Default: the first one ends the run with its error. */
  readonly onFailed?: (value: T, error: unknown) => void | PromiseLike<void>;
  readonly onProgress?: (progress: Progress) => void;
  readonly progressEveryMs?: number;
  /** Ends the run at once, with its reason as error. */
  readonly signal?: CancelSignal;
}

/** read = succeeded + failed + inHand, at any moment. */
export interface Progress {
  readonly read: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Read and not decided: in flight, waiting for another attempt, or given up and being handed to `onFailed`. */
  readonly inHand: number;
  readonly inFlight: number;
  readonly attempts: number;
  /** Attempts that were not the first of their item. */
  readonly retries: number;
  /** Attempts that ended as "refused". */
  readonly refused: number;
  readonly window: number;
  /** null without a breaker. */
  readonly circuit: CircuitState | null;
  readonly circuitOpened: number;
  readonly elapsedMs: number;
}

/** @throws RangeError for settings that make no sense */
export function checkedRetry(options: Pick<ProcessorOptions<never, never>, "retry" | "progressEveryMs">): RetryPolicy {
  const retry = { ...DEFAULT_RETRY, ...options.retry };
  const problem =
    countProblem("retry.attempts", retry.attempts, 1) ??
    durationProblem("retry.baseMs", retry.baseMs) ??
    durationProblem("retry.maxMs", retry.maxMs) ??
    durationProblem("progressEveryMs", options.progressEveryMs ?? 1);
  if (problem !== undefined) throw problem;
  return retry;
}
