import type { AckSample, RejectSample, Sampler } from "./sampler.ts";

/** Bounds of the window, items; 1 ≤ min ≤ initial ≤ max. */
export interface Limits {
  readonly initialWindow: number;
  readonly minWindow: number;
  readonly maxWindow: number;
}

/** State of an algorithm that survives JSON: numbers are finite, null stands for "not known" or "no bound". */
export type PlainState = { [key: string]: number | boolean | string | null | (number | null)[] };

/** How the window moves. Times are ms on the controller's own clock, which never goes back. */
export interface Algorithm {
  readonly window: number;
  readonly pacingRatePerSecond: number;
  readonly state: PlainState;
  /** One item is about to leave. */
  onSend?(nowMs: number, sampler: Sampler): void;
  onAck(sample: AckSample, sampler: Sampler): void;
  onReject(sample: RejectSample, sampler: Sampler): void;
}

/** The nearest window within the limits, items. */
export function clampWindow(window: number, limits: Limits): number {
  return Math.min(limits.maxWindow, Math.max(limits.minWindow, window));
}

/**
 * Whether the sender uses enough of its window for an ack to say that a larger one would do as well.
 * Half of it, as in Netflix concurrency-limits; a window that nobody fills must not grow.
 */
export function usesWindow(sample: AckSample, window: number): boolean {
  return sample.peakInFlight * 2 >= window;
}
