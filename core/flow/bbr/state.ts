import type { Limits } from "../algorithm.ts";

export const BBR_MODES = ["startup", "drain", "down", "cruise", "refill", "up", "probe_rtt"] as const;
export type BbrMode = (typeof BBR_MODES)[number];

/** What the acks arriving now say about the last probe for bandwidth (ack_phase). */
export const ACK_PHASES = ["init", "refilling", "starting", "feedback", "stopping"] as const;
export type AckPhase = (typeof ACK_PHASES)[number];

/**
 * All that BBR remembers. Names follow the draft; times are ms, rates items per second, null stands for its Infinity and
 * for times not set.
 */
export type BbrState = {
  mode: BbrMode;
  window: number;
  pacingRate: number | null;
  priorWindow: number;
  bw: number;
  /** Largest delivery rate of the last ProbeBW cycle and of the present one. */
  maxBwFilter: (number | null)[];
  bwShortterm: number | null;
  inflightShortterm: number | null;
  inflightLongterm: number | null;
  bwLatest: number;
  inflightLatest: number;
  nextRoundDelivered: number;
  roundCount: number;
  isRoundStart: boolean;
  /** Sums over the samples of the present round: round trips, and what delivery rates are made of. */
  roundRtts: number;
  roundRttSumMs: number;
  roundDelivered: number;
  roundAckMs: number;
  roundSendMs: number;
  roundMaxRate: number;
  /** Delivery rate of the last round. */
  roundRate: number;
  isLossInRound: boolean;
  isLossRoundStart: boolean;
  lossRoundDelivered: number;
  /** Refusals in the round, and how many of them stood apart from the one before. */
  lossEventsInRound: number;
  lastLostSequence: number;
  /** Refusals since an item was last done. */
  refusedInARow: number;
  fullBw: number;
  fullBwCount: number;
  isFullBwNow: boolean;
  isFullBwReached: boolean;
  drainStartRound: number;
  ackPhase: AckPhase;
  isBwProbeSample: boolean;
  /** Smoothed round trip when the probe began. */
  upRttMs: number;
  bwProbeUpAcked: number;
  probeUpAckedPerInc: number | null;
  bwProbeUpRounds: number;
  roundsSinceProbeUp: number;
  bwProbeWaitMs: number;
  cycleAtMs: number;
  isPrevProbeTooHigh: boolean;
  isPrevProbePrecautionary: boolean;
  minRttMs: number | null;
  minRttAtMs: number;
  probeRttMinMs: number | null;
  probeRttMinAtMs: number;
  probeRttDoneAtMs: number | null;
  isProbeRttRoundDone: boolean;
  isIdleRestart: boolean;
  extraAckedFromMs: number;
  extraAckedDelivered: number;
  /** Windowed maximum: pairs of round and value, values falling. */
  extraAckedFilter: (number | null)[];
};

export function freshBbrState(limits: Limits): BbrState {
  return {
    mode: "startup",
    window: limits.initialWindow,
    pacingRate: null,
    priorWindow: 0,
    bw: 0,
    maxBwFilter: [0, 0],
    bwShortterm: null,
    inflightShortterm: null,
    inflightLongterm: null,
    bwLatest: 0,
    inflightLatest: 0,
    nextRoundDelivered: 0,
    roundCount: 0,
    isRoundStart: false,
    roundRtts: 0,
    roundRttSumMs: 0,
    roundDelivered: 0,
    roundAckMs: 0,
    roundSendMs: 0,
    roundMaxRate: 0,
    roundRate: 0,
    isLossInRound: false,
    isLossRoundStart: false,
    lossRoundDelivered: 0,
    lossEventsInRound: 0,
    lastLostSequence: 0,
    refusedInARow: 0,
    fullBw: 0,
    fullBwCount: 0,
    isFullBwNow: false,
    isFullBwReached: false,
    drainStartRound: 0,
    ackPhase: "init",
    isBwProbeSample: false,
    upRttMs: 0,
    bwProbeUpAcked: 0,
    probeUpAckedPerInc: null,
    bwProbeUpRounds: 0,
    roundsSinceProbeUp: 0,
    bwProbeWaitMs: 0,
    cycleAtMs: 0,
    isPrevProbeTooHigh: false,
    isPrevProbePrecautionary: false,
    minRttMs: null,
    minRttAtMs: 0,
    probeRttMinMs: null,
    probeRttMinAtMs: 0,
    probeRttDoneAtMs: null,
    isProbeRttRoundDone: false,
    isIdleRestart: false,
    extraAckedFromMs: 0,
    extraAckedDelivered: 0,
    extraAckedFilter: [],
  };
}

/** Least window, so that a round trip always carries some items. MinPipeCwnd */
export const MIN_PIPE_WINDOW = 4;
/** Part of a round trip's items that may be refused before that counts as too much. LossThresh */
export const LOSS_THRESHOLD = 0.02;
/** Part that stays after too much. Beta */
export const BETA = 0.7;
/** Part of inflight_longterm left free for others while cruising. Headroom */
export const HEADROOM = 0.15;

/** How fast and how much to send in each mode, relative to the model. Section 5.6.1 */
export const GAINS: Readonly<Record<BbrMode, { readonly pacing: number; readonly window: number }>> = {
  startup: { pacing: 2.77, window: 2 },
  drain: { pacing: 0.5, window: 2 },
  down: { pacing: 0.9, window: 2 },
  cruise: { pacing: 1, window: 2 },
  refill: { pacing: 1, window: 2 },
  up: { pacing: 1.25, window: 2.25 },
  probe_rtt: { pacing: 1, window: 0.5 },
};

/** Largest bandwidth of the last two cycles, items per second. */
export function maxBw(state: BbrState): number {
  return Math.max(state.maxBwFilter[0] ?? 0, state.maxBwFilter[1] ?? 0);
}

/** Whether it goes through the phases of probing for bandwidth (IsInAProbeBWState). */
export function isInProbeBw(state: BbrState): boolean {
  return state.mode === "down" || state.mode === "cruise" || state.mode === "refill" || state.mode === "up";
}

/** Whether the present mode tries to send more than before (IsProbingBW). */
export function isProbingBw(state: BbrState): boolean {
  return state.mode === "startup" || state.mode === "refill" || state.mode === "up";
}

/** A round ends with the first ack of an item sent after this. StartRound */
export function startRound(state: BbrState, delivered: number): void {
  state.nextRoundDelivered = delivered;
}
