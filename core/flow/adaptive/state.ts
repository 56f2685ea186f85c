import type { Limits } from "../algorithm.ts";
import { freshLatency, type LatencyState } from "./latency.ts";
import { freshWall, type WallState } from "./wall.ts";

/** Rounds from one look for a lower base to the next, while looking pays. */
export const DRAIN_EVERY_ROUNDS = 8;

/** All that ADAPTIVE remembers. Times are ms on the controller's clock. */
export type AdaptiveState = LatencyState &
  WallState & {
    window: number;
    /** Doubling each round trip, until the first sign of a queue or a refusal. */
    isStarting: boolean;
    /** Below it the window doubles as well: half of where an episode of refusals began. 0 when there is none. */
    recoverTo: number;
    /** The last change has not reached the answers yet; those to items up to `changedThrough` say nothing. */
    isSettling: boolean;
    changedThrough: number;
    roundEndsAfter: number;
    /** Whether the window was made use of in this round. */
    isUsed: boolean;
    grownRounds: number;
    isDraining: boolean;
    windowBeforeDrain: number;
    baseBeforeDrainMs: number;
    roundsToDrain: number;
    drainEveryRounds: number;
    drainedAtMs: number;
    /** A run of cuts for delay: mean and window before the first, and the mean it aimed at. null when none is under way. */
    cutFromMs: number | null;
    cutToMs: number;
    windowBeforeCuts: number;
  };

export function freshAdaptiveState(limits: Limits): AdaptiveState {
  return {
    ...freshLatency(),
    ...freshWall(),
    window: limits.initialWindow,
    isStarting: true,
    recoverTo: 0,
    isSettling: false,
    changedThrough: 0,
    roundEndsAfter: 0,
    isUsed: false,
    grownRounds: 0,
    isDraining: false,
    windowBeforeDrain: 0,
    baseBeforeDrainMs: 0,
    roundsToDrain: DRAIN_EVERY_ROUNDS,
    drainEveryRounds: DRAIN_EVERY_ROUNDS,
    drainedAtMs: 0,
    cutFromMs: null,
    cutToMs: 0,
    windowBeforeCuts: 0,
  };
}
