// Problem: BBR takes the shortest round trip and the fastest delivery of single packets as the path's own. That holds where
// packets keep their order and only queues delay them. Requests vary by themselves: with ±20 % of jitter the luckiest is a
// fifth shorter than the path, so BBR drains its pipe half empty, and the fastest sample is a tenth too fast, so it fills
// the queue besides. Rule: what counts is the mean over one round trip. Without jitter it is the same to within a queue's
// ramp. While starting up the rate doubles each round and the round's last sample is taken, as the draft does.

import type { AckSample } from "../sampler.ts";
import type { BbrState } from "./state.ts";

/** What a finished round tells; null when it had nothing to tell, or is not over. */
export interface RoundSignals {
  readonly rttMs: number | null;
  /** Items per second. */
  readonly deliveryRate: number | null;
}

/** Takes a sample into the round's means. To be called once per ack, after `state.isRoundStart` is known. */
export function roundSignals(state: BbrState, sample: AckSample): RoundSignals {
  if (sample.rttMs !== null) {
    state.roundRtts++;
    state.roundRttSumMs += sample.rttMs;
  }
  if (sample.deliveryRate !== null && !sample.token.isAppLimited) {
    state.roundDelivered += sample.deliveredSince;
    state.roundAckMs += sample.ackElapsedMs;
    state.roundSendMs += sample.sendElapsedMs;
  }
  if (!state.isRoundStart) return { rttMs: state.minRttMs === null ? sample.rttMs : null, deliveryRate: null };
  const signals = { rttMs: meanRtt(state), deliveryRate: meanRate(state, sample) };
  Object.assign(state, { roundRtts: 0, roundRttSumMs: 0, roundDelivered: 0, roundAckMs: 0, roundSendMs: 0 });
  return signals;
}

function meanRtt(state: BbrState): number | null {
  return state.roundRtts === 0 ? null : state.roundRttSumMs / state.roundRtts;
}

/** Samples that the sender's own lack of items made too small count only when all are, and then only upwards. */
function meanRate(state: BbrState, sample: AckSample): number | null {
  if (state.mode === "startup" || state.roundDelivered === 0) return sample.deliveryRate;
  return (state.roundDelivered * 1_000) / Math.max(state.roundAckMs, state.roundSendMs);
}
