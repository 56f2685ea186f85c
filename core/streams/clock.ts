/** Time as an argument. */
export interface Clock {
  /** ms on any scale that does not go back. */
  now(): number;
  /**
   * Calls `fire` once, `ms` from now, never before `setTimer` has returned.
   * @returns cancels it; harmless when it has fired
   */
  setTimer(ms: number, fire: () => void): () => void;
}
