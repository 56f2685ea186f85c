/** One item on its way; exactly one of these is called, once, when its fate is known. */
export interface Attempt {
  acked(nowMs: number): void;
  rejected(nowMs: number): void;
  ignored(nowMs: number): void;
}

/** What a sender asks before it sends: our controllers and the peers alike. */
export interface Limiter {
  /** Items that may be in flight. */
  readonly window: number;
  /** Items per second, Infinity when unpaced. */
  readonly pacingRatePerSecond: number;
  send(nowMs: number): Attempt;
}
