// Problem: BBR takes the shortest round trip and the fastest delivery of single packets as the path's own. That holds where
// packets keep their order and only queues delay them. Requests vary by themselves: with ±20 % of jitter the luckiest is a
// fifth shorter than the path, so BBR drains its pipe half empty, and the fastest sample is a tenth too fast, so it fills
// the queue besides. Rule: what counts is the mean over one round trip. Without jitter it is the same to within a queue's
// ramp. While starting up the rate doubles each round, so there the fastest sample counts, as the draft has it.

import type { AckSample } from "../sampler.ts";
import type { BbrState } from "./state.ts";

/** What an ack adds to what is known; null when nothing. */
export interface Signals {
  /** Mean of a finished round. */
  readonly rttMs: number | null;
  /** Items per second: the mean of a finished round, or while starting up this ack's. */
  readonly deliveryRate: number | null;
}

/** Takes a sample into the round's figures. To be called once per ack, after `state.isRoundStart` is known. */
export function takeSample(state: BbrState, sample: AckSample): Signals {
  if (sample.rttMs !== null) {
    state.roundRtts++;
    state.roundRttSumMs += sample.rttMs;
  }
  if (sample.deliveryRate !== null && !sample.token.isAppLimited) {
    state.roundDelivered += sample.deliveredSince;
    state.roundAckMs += sample.ackElapsedMs;
    state.roundSendMs += sample.sendElapsedMs;
    state.roundMaxRate = Math.max(state.roundMaxRate, sample.deliveryRate);
  }
  const isStarting = state.mode === "startup";
  if (!state.isRoundStart) {
    return {
      rttMs: state.minRttMs === null ? sample.rttMs : null,
      deliveryRate: isStarting ? sample.deliveryRate : null,
    };
  }
  const rttMs = state.roundRtts === 0 ? null : state.roundRttSumMs / state.roundRtts;
  const mean = meanRate(state, sample);
  state.roundRate = (isStarting ? state.roundMaxRate : mean) ?? 0;
  forgetRound(state);
  return { rttMs, deliveryRate: isStarting ? sample.deliveryRate : mean };
}

/** Samples that the sender's own lack of items made too small count only when all are, and then only upwards. */
function meanRate(state: BbrState, sample: AckSample): number | null {
  if (state.roundDelivered === 0) return sample.deliveryRate;
  return (state.roundDelivered * 1_000) / Math.max(state.roundAckMs, state.roundSendMs);
}

function forgetRound(state: BbrState): void {
  state.roundRtts = 0;
  state.roundRttSumMs = 0;
  state.roundDelivered = 0;
  state.roundAckMs = 0;
  state.roundSendMs = 0;
  state.roundMaxRate = 0;
}
