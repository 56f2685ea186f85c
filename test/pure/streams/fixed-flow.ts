import type { Flow } from "../../../core/streams/processor-options.ts";

/** A flow with a window that does not move by itself; it writes down what it is told. */
export class FixedFlow implements Flow<number> {
  window: number;
  pacingRatePerSecond: number;
  readonly told: string[] = [];
  inFlight = 0;
  maxInFlight = 0;
  #next = 1;

  constructor(window: number, pacingRatePerSecond = Infinity) {
    this.window = window;
    this.pacingRatePerSecond = pacingRatePerSecond;
  }

  sent(nowMs: number): number {
    this.inFlight += 1;
    this.maxInFlight = Math.max(this.maxInFlight, this.inFlight);
    this.told.push(`sent ${this.#next} at ${nowMs}`);
    return this.#next++;
  }

  acked(token: number, nowMs: number): void {
    this.#settle("acked", token, nowMs);
  }

  rejected(token: number, nowMs: number): void {
    this.#settle("rejected", token, nowMs);
  }

  ignored(token: number, nowMs: number): void {
    this.#settle("ignored", token, nowMs);
  }

  #settle(how: string, token: number, nowMs: number): void {
    this.inFlight -= 1;
    this.told.push(`${how} ${token} at ${nowMs}`);
  }
}
