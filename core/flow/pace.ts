/** A request is believed to hold as many events as the last ones did; weight of the newest. */
const GAIN = 0.2;
/** Events that may come at once, seconds of the rate; one request always may. Producers that are refused wait a second or more. */
const BURST_S = 0.5;
/** The rate is that of this moment and another in a second: nobody is sent away for long because of it. */
const MAX_RETRY_AFTER_SECONDS = 5;

/**
 * Lets requests in at a rate of events, evenly, though only a request that was read tells how many events it holds: it is
 * booked as an average one when it comes and corrected when it is read. One that turns out to be bad stays booked.
 */
export class Pace {
  #ratePerSecond: number | null = null;
  #tokens = 0;
  #atMs = 0;
  #perRequest = 1;
  readonly #burstS: number;

  constructor(burstS = BURST_S) {
    this.#burstS = burstS;
  }

  /** Events that a request is believed to hold. */
  get perRequest(): number {
    return this.#perRequest;
  }

  /** Events that may come now; Infinity without a limit. */
  get available(): number {
    return this.#ratePerSecond === null ? Infinity : this.#tokens;
  }

  /** Changes the rate. @param ratePerSecond events, ≥ 0; null for no limit */
  set(ratePerSecond: number | null, nowMs: number): void {
    this.#refill(nowMs);
    if (this.#ratePerSecond === null) this.#tokens = 0;
    this.#ratePerSecond = ratePerSecond;
  }

  /** Whether a request may come in now; if so it is booked. */
  enter(nowMs: number): boolean {
    this.#refill(nowMs);
    if (this.#ratePerSecond !== null && this.#tokens <= 0) return false;
    this.#tokens -= this.#perRequest;
    return true;
  }

  /** A request that came in held so many events. */
  settle(events: number): void {
    this.#tokens -= events - this.#perRequest;
    this.#perRequest += (Math.max(1, events) - this.#perRequest) * GAIN;
  }

  /** A request that came in was sent away after all. */
  leave(): void {
    this.#tokens += this.#perRequest;
  }

  /** Whole seconds until a request may come in, 1 to 5. */
  retryAfterSeconds(): number {
    if (this.#ratePerSecond === null) return 1;
    const seconds = Math.ceil(-this.#tokens / Math.max(1, this.#ratePerSecond));
    return Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(1, seconds));
  }

  #refill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = Math.max(this.#atMs, nowMs);
    const rate = this.#ratePerSecond ?? 0;
    const most = Math.max(this.#perRequest, rate * this.#burstS);
    this.#tokens = Math.min(most, this.#tokens + (rate * elapsedMs) / 1_000);
  }
}
