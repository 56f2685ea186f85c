// What refusals say. Where a downstream refuses at a fixed level (a pool, a quota, a queue of a few items) latency tells
// nothing, and adding one item per round trip runs into that wall every few round trips. Rule: remember the level; when it
// is met again, it is a wall: go near it, wait, go one step further, wait again, and be forgotten once it is passed.
// A single refusal now and then is chance and costs nothing.

/** A refusal is forgiven for every hundred items done, and one may be saved up. */
const CREDIT_PER_ITEM = 0.01;
const MOST_CREDIT = 1;
/** A refusal counts as the same wall from this part of its level on, less one item. */
const SAME_WALL = 0.95;
/** Refusals that go on after a cut show the wall to be lower, but no lower than this part of where they began. */
const LOWEST_WALL = 0.7;
/** Part of the wall up to which the window grows freely; the rest is left to others until waited for. */
const FREE_PART = 0.925;
/** Round trips waited before a step towards the wall; twice, four times as many when it was met again. */
const WAIT_ROUNDS = 16;
const MOST_DOUBLINGS = 2;
/** After each step that was not refused the wait shrinks. */
const WAIT_DECAY = 0.75;
/** Steps from the free part to the wall, at least one item each. */
const STEPS = 4;
/** Rounds within which a further refusal belongs to the same episode. */
const EPISODE_ROUNDS = 2;

/** What is remembered of refusals. Levels are items in flight. */
export type WallState = {
  credit: number;
  /** Level of the wall, items; null while none is known. */
  wall: number | null;
  /** How often it was met again. */
  wallHits: number;
  waitRounds: number;
  waitedRounds: number;
  /** Level at which the present episode of refusals began, and rounds since its last cut. */
  episodeLevel: number;
  roundsSinceCut: number;
  roundsSinceGrowth: number;
};

export function freshWall(): WallState {
  return {
    credit: MOST_CREDIT,
    wall: null,
    wallHits: 0,
    waitRounds: 0,
    waitedRounds: 0,
    episodeLevel: 0,
    roundsSinceCut: 0,
    roundsSinceGrowth: 0,
  };
}

/** An item was done. */
export function earnCredit(state: WallState): void {
  state.credit = Math.min(MOST_CREDIT, state.credit + CREDIT_PER_ITEM);
}

/** Whether a refusal may pass for chance; spends the credit for it. */
export function isForgiven(state: WallState): boolean {
  if (state.credit < 1) return false;
  state.credit--;
  return true;
}

/** A round trip is over. */
export function countRound(state: WallState): void {
  state.roundsSinceCut++;
  state.roundsSinceGrowth++;
}

/**
 * Learns from a refusal that is no chance.
 * @param level items in flight at which it happened
 * @returns true when it begins an episode, false when it continues one
 */
export function noteRefusal(state: WallState, level: number): boolean {
  const isNew = state.wall === null || state.roundsSinceCut > EPISODE_ROUNDS;
  if (isNew) {
    const isOurs = state.roundsSinceGrowth <= 1;
    const isSame = state.wall !== null && level >= state.wall * SAME_WALL - 1;
    // Refused without a step of ours, we met others who share the path. To wait for them would leave them what they have.
    state.wallHits = isOurs && isSame ? state.wallHits + 1 : 0;
    state.wall = level;
    state.episodeLevel = level;
    if (isOurs) state.waitedRounds = 0;
  } else {
    state.wall = Math.max(level, LOWEST_WALL * state.episodeLevel);
    state.wallHits = Math.max(1, state.wallHits);
  }
  state.waitRounds = WAIT_ROUNDS * 2 ** Math.min(Math.max(0, state.wallHits - 1), MOST_DOUBLINGS);
  state.roundsSinceCut = 0;
  return isNew;
}

/** How far the window may grow this round, given how far it would like to: 0 while waiting before a wall. */
export function allowedStep(state: WallState, window: number, wanted: number): number {
  if (state.wall === null || state.wallHits === 0) return wanted;
  if (window > state.wall + 1) {
    state.wall = null;
    state.wallHits = 0;
    return Math.min(1, wanted);
  }
  if (window + wanted <= state.wall * FREE_PART) return wanted;
  state.waitedRounds++;
  if (state.waitedRounds < state.waitRounds) return 0;
  state.waitedRounds = 0;
  state.waitRounds = Math.max(1, state.waitRounds * WAIT_DECAY);
  return Math.max(1, (state.wall * (1 - FREE_PART)) / STEPS);
}
