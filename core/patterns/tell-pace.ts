/** Keepers are told at most this often: a call each time would cost more than the events … */
export const TELL_EVERY_MS = 250;
/** … and no more than this often while the object counts so many events a second: it has better to do than eight calls four times a second. */
export const TELL_BUSY_EVERY_MS = 1000;
export const BUSY_PER_SECOND = 20_000;

/** When a shard tells pattern keepers. Times are ms of one clock. */
export class TellPace {
  #toldAtMs = -Infinity;
  #everyMs = TELL_EVERY_MS;
  /** Events counted since they were last told. */
  #counted = 0;

  counted(events: number): void {
    this.#counted += events;
  }

  told(nowMs: number): void {
    const isBusy = this.#counted > (BUSY_PER_SECOND * (nowMs - this.#toldAtMs)) / 1000;
    this.#everyMs = isBusy ? TELL_BUSY_EVERY_MS : TELL_EVERY_MS;
    this.#toldAtMs = nowMs;
    this.#counted = 0;
  }

  /** How long to wait with the next time, ms. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#toldAtMs + this.#everyMs - nowMs);
  }
}
