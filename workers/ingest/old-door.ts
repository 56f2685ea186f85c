import type { OldUse } from "../../core/flow/old-events.ts";
import { Pace } from "../../core/flow/pace.ts";

/** A request is not let in while so many wait for their turn; how long one waits at most, ms; they look again this often, ms. */
const MAX_WAITING = 4;
const MAX_WAIT_MS = 1_000;
const STEP_MS = 20;
/** What goes in at once is so much of the rate, seconds, but so many events at least. */
const PORTION_S = 0.03;
const LEAST_PORTION = 100;

/**
 * Where requests of one tenant wait that hold only events of long ago (core/flow/old-events.ts).
 *
 * A large one goes in by portions: applied as a whole it would hold up newer events for as long as it takes.
 * They wait instead of being refused at once because a producer that is refused stays away for whole seconds, and then comes with all
 * that the rate allowed meanwhile: each such burst would make newer events late.
 */
export class OldDoor {
  readonly #pace = new Pace(0);
  #portion = LEAST_PORTION;
  #waiting = 0;
  #events = 0;
  #heldBack = 0;

  /** @param perSecond events */
  setRate(perSecond: number, nowMs: number): void {
    this.#pace.set(perSecond, nowMs);
    this.#portion = Math.max(LEAST_PORTION, Math.floor(perSecond * PORTION_S));
  }

  /**
   * @param isBegun some of the request's events have come: the others are not sent away because of how many wait
   * @returns how many of the events may come once some may; 0 when none may within a second or too many requests wait
   */
  async enter(
    events: number,
    isBegun: boolean,
    sleep: (ms: number) => Promise<void>,
    now: () => number,
  ): Promise<number> {
    // Nobody gets in ahead of those that wait, or ever more requests would be begun and none done.
    if (this.#waiting === 0 && this.#pace.enter(now())) return this.#take(events);
    this.#heldBack++;
    if (this.#waiting >= MAX_WAITING && !isBegun) return 0;
    this.#waiting++;
    try {
      for (const untilMs = now() + MAX_WAIT_MS; now() < untilMs;) {
        await sleep(STEP_MS);
        if (this.#pace.enter(now())) return this.#take(events);
      }
      return 0;
    } finally {
      this.#waiting--;
    }
  }

  /** Whole seconds after which to try again. */
  retryAfterSeconds(): number {
    return this.#pace.retryAfterSeconds();
  }

  /** What was done since the last call, for the report; nothing when nothing was. */
  takeUse(): { readonly old?: OldUse } {
    const old = { events: this.#events, heldBack: this.#heldBack };
    this.#events = this.#heldBack = 0;
    return old.events + old.heldBack === 0 ? {} : { old };
  }

  /** The report did not arrive. */
  giveBack(old: OldUse | undefined): void {
    this.#events += old?.events ?? 0;
    this.#heldBack += old?.heldBack ?? 0;
  }

  #take(events: number): number {
    const taken = Math.min(events, this.#portion);
    this.#pace.settle(taken);
    this.#events += taken;
    return taken;
  }
}
