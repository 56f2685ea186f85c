// What a sender can learn of the path from its own items: how long they take, how fast they get done, and whether it sent
// all it was allowed to. Follows draft-ietf-ccwg-bbr-06, section 4.1 (delivery rate samples) and 4.2 (RTT samples), with an
// item in the place of a packet.

/** Shorter round trips come from a clock that stands still while code runs, as in Workers; they tell nothing. */
const SHORTEST_RTT_MS = 1;
/** Weight of a new sample in the smoothed round trip time. RFC 6298, section 2. */
const RTT_GAIN = 1 / 8;
/** A sender this late, or a part of the round trip, is not held back by us but has nothing to send, ms. */
const LATE_MS = 4;
const LATE_PART_OF_RTT = 1 / 8;

/** One item in flight. What it carries is the state of the path when it left; callers treat it as opaque. */
export interface FlowToken {
  /** 1 for the controller's first item, then counting up. */
  readonly sequence: number;
  readonly sentAtMs: number;
  /** Items in flight when it had left, itself included. */
  readonly inFlight: number;
  /** Items done, and items refused, before it left. */
  readonly delivered: number;
  readonly rejected: number;
  /** When the newest of those done before it was done, and when that one's flight began. */
  readonly deliveredAtMs: number;
  readonly firstSentAtMs: number;
  readonly isAppLimited: boolean;
}

/** What one finished item tells. Times are ms on the controller's own clock. */
export interface AckSample {
  readonly token: FlowToken;
  readonly nowMs: number;
  /** null when too short to be believed. */
  readonly rttMs: number | null;
  /** Items per second over the time this item was in flight, null when it cannot be told. */
  readonly deliveryRate: number | null;
  /** Items done, this one included, and refused since it left. */
  readonly deliveredSince: number;
  readonly rejectedSince: number;
  /** How long those took to be done, and how long to be sent, ms. */
  readonly ackElapsedMs: number;
  readonly sendElapsedMs: number;
  /** Items in flight before and after this one was done, and the most during this round trip and the last. */
  readonly inFlightBefore: number;
  readonly inFlight: number;
  readonly peakInFlight: number;
}

/** What a refused item tells. */
export interface RejectSample {
  readonly token: FlowToken;
  readonly nowMs: number;
  readonly peakInFlight: number;
}

/** JSON-able; times are ms on the controller's own clock. */
export type SamplerState = {
  sequence: number;
  delivered: number;
  rejected: number;
  deliveredAtMs: number;
  firstSentAtMs: number;
  smoothedRttMs: number | null;
  shortestRttMs: number | null;
  /** Samples are app-limited until so many items are done; 0 when they are not. */
  appLimitedUntil: number;
  /** When window and pace would have let the next item leave. */
  nextSendAtMs: number;
  /** Most items in flight in this round trip and in the last, and the item that ends this one. */
  peak: number;
  lastPeak: number;
  peakUntil: number;
};

/** The state of a sender that has sent nothing. */
export function freshSamplerState(): SamplerState {
  return {
    sequence: 0,
    delivered: 0,
    rejected: 0,
    deliveredAtMs: 0,
    firstSentAtMs: 0,
    smoothedRttMs: null,
    shortestRttMs: null,
    appLimitedUntil: 0,
    nextSendAtMs: 0,
    peak: 0,
    lastPeak: 0,
    peakUntil: 0,
  };
}

/** Keeps the counts that samples are made of. */
export class Sampler {
  readonly state: SamplerState;
  /** Oldest first. */
  readonly #outstanding = new Set<FlowToken>();
  #isFull = false;

  constructor(state: SamplerState = freshSamplerState()) {
    this.state = state;
  }

  /** Items sent whose fate is not known. */
  get inFlight(): number {
    return this.#outstanding.size;
  }

  /** How many of them were sent before a time. Takes as long as there are such items. */
  inFlightSince(beforeMs: number): number {
    let items = 0;
    for (const { sentAtMs } of this.#outstanding) {
      if (sentAtMs >= beforeMs) break;
      items++;
    }
    return items;
  }

  /** Whether an item is in flight and of this sampler; only such items may be settled. */
  has(token: FlowToken): boolean {
    return this.#outstanding.has(token);
  }

  /** Notes that one item leaves. @param window items that may be in flight @param ratePerSecond pace that was allowed */
  sent(nowMs: number, window: number, ratePerSecond: number): FlowToken {
    const { state } = this;
    this.#detectAppLimit(nowMs, ratePerSecond);
    if (this.inFlight === 0) {
      state.firstSentAtMs = nowMs;
      state.deliveredAtMs = nowMs;
    }
    const inFlight = this.inFlight + 1;
    state.peak = Math.max(state.peak, inFlight);
    this.#isFull = inFlight + 1 > window;
    const token = {
      sequence: ++state.sequence,
      sentAtMs: nowMs,
      inFlight,
      delivered: state.delivered,
      rejected: state.rejected,
      deliveredAtMs: state.deliveredAtMs,
      firstSentAtMs: state.firstSentAtMs,
      isAppLimited: state.appLimitedUntil > 0,
    };
    this.#outstanding.add(token);
    return token;
  }

  /** A sender that comes late though window and pace let it send had nothing to send meanwhile. */
  #detectAppLimit(nowMs: number, ratePerSecond: number): void {
    const { state } = this;
    const patienceMs = Math.max(LATE_MS, (state.smoothedRttMs ?? 0) * LATE_PART_OF_RTT);
    const isLate = state.sequence > 0 && !this.#isFull && nowMs - state.nextSendAtMs > patienceMs;
    if (isLate) this.markAppLimited();
    const dueMs = isLate || this.#isFull ? nowMs : Math.min(state.nextSendAtMs, nowMs);
    state.nextSendAtMs = dueMs + 1_000 / ratePerSecond;
  }

  /** The samples of all that is in flight now will underestimate the path. */
  markAppLimited(): void {
    this.state.appLimitedUntil = Math.max(1, this.state.delivered + this.inFlight);
  }

  acked(token: FlowToken, nowMs: number): AckSample {
    const { state } = this;
    const inFlightBefore = this.inFlight;
    const peakInFlight = this.#peak(token);
    this.#leave(token, nowMs);
    state.delivered++;
    state.deliveredAtMs = nowMs;
    state.firstSentAtMs = token.sentAtMs;
    if (state.appLimitedUntil > 0 && state.delivered > state.appLimitedUntil) state.appLimitedUntil = 0;
    const rttMs = this.#noteRtt(nowMs - token.sentAtMs);
    const deliveredSince = state.delivered - token.delivered;
    const rejectedSince = state.rejected - token.rejected;
    const ackElapsedMs = nowMs - token.deliveredAtMs;
    const sendElapsedMs = token.sentAtMs - token.firstSentAtMs;
    const deliveryRate = this.#rate(deliveredSince, Math.max(ackElapsedMs, sendElapsedMs));
    return {
      token,
      nowMs,
      rttMs,
      deliveryRate,
      deliveredSince,
      rejectedSince,
      ackElapsedMs,
      sendElapsedMs,
      inFlightBefore,
      inFlight: this.inFlight,
      peakInFlight,
    };
  }

  /** Answers may come in bunches, so what is in flight just now does not tell how much of the window was used. */
  #peak(token: FlowToken): number {
    const { state } = this;
    const peak = Math.max(state.peak, state.lastPeak);
    if (token.sequence > state.peakUntil) {
      state.lastPeak = state.peak;
      state.peak = this.inFlight;
      state.peakUntil = state.sequence;
    }
    return peak;
  }

  rejected(token: FlowToken, nowMs: number): RejectSample {
    const peakInFlight = this.#peak(token);
    this.#leave(token, nowMs);
    this.state.rejected++;
    return { token, nowMs, peakInFlight };
  }

  ignored(token: FlowToken, nowMs: number): void {
    this.#leave(token, nowMs);
  }

  /** While the window is full the sender is not late; its time to send begins when there is room again. */
  #leave(token: FlowToken, nowMs: number): void {
    this.#outstanding.delete(token);
    if (this.#isFull) this.state.nextSendAtMs = Math.max(this.state.nextSendAtMs, nowMs);
    this.#isFull = false;
  }

  #noteRtt(rttMs: number): number | null {
    if (rttMs < SHORTEST_RTT_MS) return null;
    const { state } = this;
    state.smoothedRttMs = (state.smoothedRttMs ?? rttMs) + RTT_GAIN * (rttMs - (state.smoothedRttMs ?? rttMs));
    state.shortestRttMs = Math.min(state.shortestRttMs ?? rttMs, rttMs);
    return rttMs;
  }

  /**
   * Items per second over the longer of the time they took to be done and the time they took to be sent. With "now − sent"
   * instead, a sender that waits for its pace overestimates the path, by 2 % where 51 items are done in 50 ms.
   */
  #rate(delivered: number, intervalMs: number): number | null {
    const isTooShort = intervalMs < SHORTEST_RTT_MS || intervalMs < (this.state.shortestRttMs ?? 0);
    return isTooShort ? null : (delivered * 1_000) / intervalMs;
  }
}
