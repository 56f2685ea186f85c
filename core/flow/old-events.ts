// Problem: an event of long ago costs up to ten times what a new one does, as it touches windows of its own, and queue order is first
// in, first out: a backfill that fills the queue makes live numbers late. Rule: requests whose newest event is old come in at a rate
// of their own, which grows while no message waits for long and some of them are held back, and falls when one does. It begins small.
// Waiting shows only once the queue is behind; what old events cost shows before: a shard that writes windows all the time, each on a
// page of its own, holds up whatever comes between. So the rate falls with the windows that are written as well.
// Why not a part of the measured capacity: that was measured with new events, and says nothing of old ones.
import type { AdmissionLimit } from "./admission.ts";
import { RateMeter } from "./rate-meter.ts";

/** A request is old when its newest event is older than this, ms. */
export const OLD_AFTER_MS = 3_600_000;
/** Events per second at the start, at least and at most. */
export const FIRST_OLD_RATE = 5_000;
const LEAST_OLD_RATE = 2_000;
const MOST_OLD_RATE = 1_000_000;
/** While no message of the last second waited longer the rate grows, ms … */
const CALM_WAIT_MS = 60;
/** … by this factor in a second, … */
const GROWTH_PER_SECOND = 2.5;
/** … and by this one from where one waited the last time. */
const CAREFUL_GROWTH_PER_SECOND = 1.2;
/** When one waits longer it falls, ms … */
const LONG_WAIT_MS = 120;
/** … to this part of itself or of what is applied, whichever is less, at most this often, ms: it is heard of that long. */
const FALL = 0.8;
const FALL_EVERY_MS = 1_000;
/** Windows that a shard writes per second while the rate grows, and beyond which it falls: an event of long ago has up to three, of the built-in aggregations alone. */
const FEW_WINDOWS = 12_000;
const MANY_WINDOWS = 16_000;
/** The rate does not grow before it was heard for so long what the first old events cost, ms: shards report once a second. */
const FIRST_LOOK_MS = 2_000;
/** Shards remembered: as many as a tenant may have. */
const MAX_SHARDS = 256;
/** An isolate that has had no old events for this long has no part of the rate, ms. */
const ISOLATE_MS = 3_000;
/** Between two reports no more time than this counts as growth, ms. */
const LONGEST_STEP_MS = 1_000;

/** What an isolate did with old events since its last report. */
export interface OldUse {
  /** Events let in. */
  readonly events: number;
  /** Requests that had to wait or were refused. */
  readonly heldBack: number;
}

/** How fast a tenant's old events may come. Times are ms of one clock. */
export class OldEventsRate {
  #rate = FIRST_OLD_RATE;
  /** What was too much the last time. */
  #tooMuch = Infinity;
  #atMs = Number.NEGATIVE_INFINITY;
  /** When old events began to come, after none had. */
  #sinceMs = 0;
  #fellAtMs = Number.NEGATIVE_INFINITY;
  readonly #seenAtMs = new Map<string, number>();
  /** Of windows written, by shard. */
  readonly #meters = new Map<number, RateMeter>();

  /** Whether anybody sends old events. */
  isUsed(nowMs: number): boolean {
    return nowMs - this.#atMs <= ISOLATE_MS;
  }

  /** A shard has written so many windows since it last said so. */
  wrote(shard: number, windows: number, nowMs: number): void {
    const meter = this.#meters.get(shard) ?? new RateMeter();
    if (this.#meters.size >= MAX_SHARDS && !this.#meters.has(shard)) return;
    meter.add(windows, nowMs);
    this.#meters.set(shard, meter);
  }

  /** Takes an isolate's report. @param appliedPerSecond events of every age, over the last second */
  report(
    isolate: string,
    { events, heldBack }: OldUse,
    limit: AdmissionLimit,
    appliedPerSecond: number,
    nowMs: number,
  ): void {
    if (events + heldBack === 0) return;
    if (!this.isUsed(nowMs)) this.#sinceMs = nowMs;
    const stepMs = Math.min(LONGEST_STEP_MS, nowMs - this.#atMs);
    this.#atMs = nowMs;
    this.#seenAtMs.set(isolate, nowMs);
    for (const [name, atMs] of this.#seenAtMs) if (nowMs - atMs > ISOLATE_MS) this.#seenAtMs.delete(name);
    const windows = Math.max(0, ...[...this.#meters.values()].map((meter) => meter.perSecond(nowMs)));
    const isMuch = limit.isPressed || limit.longestWaitMs > LONG_WAIT_MS || windows > MANY_WINDOWS;
    const isKnown = nowMs - this.#sinceMs >= FIRST_LOOK_MS;
    const isLittle = isKnown && limit.longestWaitMs <= CALM_WAIT_MS && windows < FEW_WINDOWS;
    if (isMuch) this.#fall(appliedPerSecond, nowMs);
    else if (isLittle && heldBack > 0) this.#grow(stepMs);
  }

  get perSecond(): number {
    return this.#rate;
  }

  /** Events per second that one of the isolates that send them may let in. */
  get perIsolate(): number {
    return this.#rate / Math.max(1, this.#seenAtMs.size);
  }

  #grow(stepMs: number): void {
    const perSecond = this.#rate < this.#tooMuch * FALL ? GROWTH_PER_SECOND : CAREFUL_GROWTH_PER_SECOND;
    this.#rate = Math.min(MOST_OLD_RATE, this.#rate * perSecond ** (stepMs / 1_000));
  }

  #fall(appliedPerSecond: number, nowMs: number): void {
    if (nowMs - this.#fellAtMs < FALL_EVERY_MS) return;
    this.#fellAtMs = nowMs;
    this.#tooMuch = Math.min(this.#rate, appliedPerSecond);
    this.#rate = Math.max(LEAST_OLD_RATE, this.#tooMuch * FALL);
  }
}
