// Problem: producers cannot be blocked, only refused, and what takes their events (queue, objects, store) says how it is doing
// only afterwards. Rule: events in flight are those accepted and not yet applied. Without a queue nobody is limited. With one,
// events may come at the rate at which they are applied, more while fewer are in flight than the window, fewer while more are:
// rate = capacity · (2 − in flight / window), so that flood and drain balance when the window is full. The window is that of a
// flow controller, within what 0.2 to 1 s of the measured capacity hold beyond what messages take anyway: less would leave the consumer idle between two
// reports, more would make messages older than promised (Little's law).
// Why not the window alone: the last word of a report is a tenth of a second old, and letting in a window at a time would make
// every report a burst. Why not the rate alone: the smallest error of a rate becomes a queue without end.

import {
  createFlowController,
  type FlowAlgorithm,
  type FlowController,
  type FlowSnapshot,
  type FlowToken,
  restoreFlowController,
} from "./index.ts";
import { LowestOfLate } from "./lowest-of-late.ts";
import { HighestOfLate } from "./highest-of-late.ts";
import { RateMeter } from "./rate-meter.ts";

/** Events that are one item of the flow controller. */
const EVENTS_PER_ITEM = 100;
/** How long the oldest message may have waited, beyond what it takes without a queue, that admission aims to stay below, ms. */
export const TARGET_WAIT_MS = 1_000;
/** Messages that waited longer mean that there is a queue, ms. */
const BUSY_WAIT_MS = 100;
/** Messages that waited longer mean pressure whatever is in flight, ms. */
const PRESSED_WAIT_MS = 250;
/** More in flight than this means pressure too, seconds of capacity: bursts that are served sooner are let through. */
const PRESSED_S = 0.25;
/** Without signs of pressure for this long it is over, ms. */
const CALM_MS = 1_000;
/** What was last heard of the age is believed this long, ms. */
const AGE_BELIEVED_MS = 2_000;
/** Of messages within so long the one that waited longest is remembered. */
const LONGEST_WITHIN_MS = 1_000;
/** Bounds of the window, seconds of capacity beyond what messages take without a queue. */
const SHORTEST_WINDOW_S = 0.2;
const LONGEST_WINDOW_S = TARGET_WAIT_MS / 1_000;
/** The window is never smaller, events. */
export const SMALLEST_WINDOW = 1_000;
/** How late an isolate's timers may fire, ms: where ingest shares a thread with what it feeds, no other sign tells it to leave it room. */
const TARGET_LAG_MS = 10;
/** Only against a flood, where so much of what comes is turned away: a thread may be late because the machine is busy otherwise. */
const FLOOD_PART = 0.4;
/** Weight of the newest lag or part turned away, and how long it is believed, ms. */
const NEWEST_GAIN = 0.3;
const LAG_BELIEVED_MS = 1_000;
/** Taken for the capacity of a path that was never seen busy, events per second. */
const ASSUMED_CAPACITY = 100_000;
/** Taken for what a message takes without a queue before one was seen, ms. */
const ASSUMED_BASE_MS = 500;
/** How fast a measured capacity replaces what was believed, ms. */
const CAPACITY_MEMORY_MS = 500;
/** Items followed at most; what is in flight beyond is counted, not followed. */
const MAX_ITEMS = 10_000;
/** Items in flight at the start. */
const FIRST_WINDOW = 50;

/** What may be let in. */
export interface AdmissionLimit {
  /** Whether there is a queue, or was within the last second. */
  readonly isPressed: boolean;
  /** Events per second; null while nothing need be limited. */
  readonly ratePerSecond: number | null;
  /** Events that should be in flight at most. */
  readonly window: number;
  readonly inFlight: number;
  /** Age of the oldest message when it was last heard of, ms; 0 when that is long ago. */
  readonly oldestAgeMs: number;
  /** How much of that it waited, ms. */
  readonly waitMs: number;
  /** The most that any message waited within the last second, ms. */
  readonly longestWaitMs: number;
  /** How late timers fire where requests come in, ms, lately on average: they and the requests wait for the same thread. */
  readonly lagMs: number;
  /** Events per second that are applied when there is a queue. */
  readonly capacityPerSecond: number;
}

/** JSON-able. */
export interface AdmissionSnapshot {
  readonly controller: FlowSnapshot;
  readonly capacityPerSecond: number;
}

interface Item {
  readonly token: FlowToken;
  /** It is done when so many events are. */
  readonly upTo: number;
}

/** Decides how many events a tenant may send, from what is known of those he has sent. Times are ms of one clock. */
export class Admission {
  #controller: FlowController;
  readonly #random: () => number;
  /** Items in flight, oldest first. */
  #items: Item[] = [];
  /** Events accepted and applied since this began. Applied may lead: its reports are sometimes quicker. */
  #accepted: number;
  #applied = 0;
  readonly #appliedMeter = new RateMeter();
  readonly #acceptedMeter = new RateMeter();
  #capacity: number;
  /** Since when each report told of a queue; null without one. */
  #busySinceMs: number | null = null;
  #oldest = { ageMs: 0, atMs: Number.NEGATIVE_INFINITY };
  readonly #longest = new HighestOfLate(LONGEST_WITHIN_MS);
  /** What a message takes without a queue: the platform's queue has a latency of its own. */
  readonly #base = new LowestOfLate(ASSUMED_BASE_MS);
  /** Of the requests of late, the part turned away. */
  #turnedAwayPart = 0;
  #lag = { ms: 0, atMs: Number.NEGATIVE_INFINITY };
  #pressedAtMs = Number.NEGATIVE_INFINITY;

  /**
   * @param inFlight events accepted earlier and not yet applied
   * @param snapshot what an earlier admission left; one of another algorithm or version counts for its capacity only
   */
  constructor(
    algorithm: FlowAlgorithm,
    nowMs: number,
    random: () => number,
    inFlight = 0,
    snapshot?: AdmissionSnapshot,
  ) {
    this.#random = random;
    this.#controller = restored(snapshot, algorithm, nowMs, random) ?? fresh(algorithm, nowMs, random);
    this.#accepted = inFlight;
    const capacity = snapshot?.capacityPerSecond ?? ASSUMED_CAPACITY;
    this.#capacity = Number.isFinite(capacity) && capacity > 0 ? capacity : ASSUMED_CAPACITY;
  }

  /** Goes on with another algorithm, from a fresh window. */
  use(algorithm: FlowAlgorithm, nowMs: number): void {
    this.#controller = fresh(algorithm, nowMs, this.#random);
    this.#items = [];
  }

  /** Events were put on the queue. */
  accepted(events: number, nowMs: number): void {
    if (events <= 0) return;
    this.#accepted += events;
    this.#acceptedMeter.add(events, nowMs);
    let upTo = this.#items.at(-1)?.upTo ?? this.#accepted - events;
    while (upTo + EVENTS_PER_ITEM <= this.#accepted && this.#items.length < MAX_ITEMS) {
      upTo += EVENTS_PER_ITEM;
      this.#items.push({ token: this.#controller.sent(nowMs), upTo });
    }
    this.#settle(nowMs);
  }

  /** Events were applied. @param oldestAgeMs how old the oldest message was when it arrived where it is applied */
  applied(events: number, oldestAgeMs: number, nowMs: number): void {
    this.#applied += Math.max(0, events);
    this.#oldest = { ageMs: oldestAgeMs, atMs: nowMs };
    if (events > 0) this.#base.note(oldestAgeMs, nowMs);
    this.#longest.note(oldestAgeMs, nowMs);
    this.#appliedMeter.add(Math.max(0, events), nowMs);
    this.#settle(nowMs);
    this.#estimate(oldestAgeMs >= this.#base.ms + BUSY_WAIT_MS, nowMs);
  }

  /** So many requests came, and so many of them were refused because of the limit: they would be back at once if it were lifted. */
  turnedAway(refused: number, requests: number, nowMs: number): void {
    if (requests > 0) this.#turnedAwayPart += (refused / requests - this.#turnedAwayPart) * NEWEST_GAIN;
    if (refused > 0 && nowMs - this.#pressedAtMs < CALM_MS) this.#pressedAtMs = nowMs;
  }

  /** An object or the store refused, was overloaded or did not answer. @param times how often */
  refused(times: number, nowMs: number): void {
    for (const { token } of this.#items.splice(0, times)) this.#controller.rejected(token, nowMs);
  }

  /** So many are in flight, by a count that also knows of reports that were lost. */
  sync(inFlight: number): void {
    this.#accepted = this.#applied + inFlight;
  }

  /** An isolate's timers fire so late. */
  lagged(lagMs: number, nowMs: number): void {
    this.#lag = { ms: this.#lagMs(nowMs) * (1 - NEWEST_GAIN) + lagMs * NEWEST_GAIN, atMs: nowMs };
  }

  /** What was on its way is gone. */
  forgetQueue(nowMs: number): void {
    for (const { token } of this.#items) this.#controller.ignored(token, nowMs);
    this.#items = [];
    this.#accepted = this.#applied;
  }

  /** Events per second over the last second. */
  appliedRate(nowMs: number): number {
    return this.#appliedMeter.perSecond(nowMs);
  }

  acceptedRate(nowMs: number): number {
    return this.#acceptedMeter.perSecond(nowMs);
  }

  /** What may be let in now. */
  limit(nowMs: number): AdmissionLimit {
    const window = this.#window();
    const inFlight = Math.max(0, this.#accepted - this.#applied);
    const isAgeKnown = nowMs - this.#oldest.atMs <= AGE_BELIEVED_MS;
    const oldestAgeMs = isAgeKnown ? this.#oldest.ageMs : 0;
    const waitMs = Math.max(0, oldestAgeMs - this.#base.ms);
    const longestWaitMs = Math.max(0, this.#longest.at(nowMs) - this.#base.ms);
    const isMuch = inFlight > Math.max(window, this.#capacity * (this.#base.ms / 1_000 + PRESSED_S));
    if (isMuch || waitMs > PRESSED_WAIT_MS) this.#pressedAtMs = nowMs;
    const isPressed = nowMs - this.#pressedAtMs < CALM_MS;
    const lagMs = this.#lagMs(nowMs);
    const lag = this.#turnedAwayPart >= FLOOD_PART ? lagMs / TARGET_LAG_MS : 0;
    const room = Math.min(2 - inFlight / window, 2 - waitMs / TARGET_WAIT_MS, 2 - lag);
    const ratePerSecond = isPressed ? this.#capacity * Math.max(0, room) : null;
    return {
      isPressed,
      ratePerSecond,
      window,
      inFlight,
      oldestAgeMs,
      waitMs,
      longestWaitMs,
      lagMs,
      capacityPerSecond: this.#capacity,
    };
  }

  snapshot(): AdmissionSnapshot {
    return { controller: this.#controller.snapshot(), capacityPerSecond: this.#capacity };
  }

  #lagMs(nowMs: number): number {
    return nowMs - this.#lag.atMs <= LAG_BELIEVED_MS ? this.#lag.ms : 0;
  }

  #window(): number {
    const wanted = this.#controller.window * EVENTS_PER_ITEM;
    const baseS = this.#base.ms / 1_000;
    const least = this.#capacity * (baseS + SHORTEST_WINDOW_S);
    const most = this.#capacity * (baseS + LONGEST_WINDOW_S);
    return Math.max(SMALLEST_WINDOW, Math.min(most, Math.max(least, wanted)));
  }

  /** Items whose events are all applied are done. */
  #settle(nowMs: number): void {
    let done = 0;
    for (const { token, upTo } of this.#items) {
      if (upTo > this.#applied) break;
      this.#controller.acked(token, nowMs);
      done++;
    }
    if (done > 0) this.#items.splice(0, done);
  }

  /** Only with a queue does the rate say what the path can do; without one it says what was sent, which is at most that. */
  #estimate(isBusy: boolean, nowMs: number): void {
    if (!isBusy) this.#busySinceMs = null;
    else this.#busySinceMs ??= nowMs;
    const sinceMs = this.#busySinceMs ?? Number.NEGATIVE_INFINITY;
    const rate = this.#appliedMeter.perSecondSince(sinceMs, nowMs);
    if (rate === null || (!isBusy && rate.perSecond <= this.#capacity)) return;
    this.#capacity += (rate.perSecond - this.#capacity) * Math.min(1, rate.lastMs / CAPACITY_MEMORY_MS);
    this.#capacity = Math.max(1, this.#capacity);
  }
}

function fresh(algorithm: FlowAlgorithm, nowMs: number, random: () => number): FlowController {
  return createFlowController({ algorithm, initialWindow: FIRST_WINDOW }, nowMs, random);
}

/** The snapshot's controller; undefined when there is none that fits. */
function restored(
  snapshot: AdmissionSnapshot | undefined,
  algorithm: FlowAlgorithm,
  nowMs: number,
  random: () => number,
): FlowController | undefined {
  if (snapshot?.controller.algorithm !== algorithm) return undefined;
  try {
    return restoreFlowController(snapshot.controller, nowMs, random);
  } catch {
    // Of an earlier version: its window is worth less than an object that starts.
    return undefined;
  }
}
