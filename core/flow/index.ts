import { Adaptive } from "./adaptive/adaptive.ts";
import { freshAdaptiveState } from "./adaptive/state.ts";
import { Aimd, freshAimdState } from "./aimd.ts";
import type { Algorithm, Limits } from "./algorithm.ts";
import { Bbr, BBR_MIN_WINDOW } from "./bbr/bbr.ts";
import { ACK_PHASES, BBR_MODES, type BbrState, freshBbrState } from "./bbr/state.ts";
import { type FlowAlgorithm, FlowController } from "./controller.ts";
import { Cubic, CUBIC_MIN_WINDOW, freshCubicState } from "./cubic.ts";
import { freshSamplerState, Sampler } from "./sampler.ts";
import { checkedState, CorruptSnapshotError, isRecord } from "./snapshot.ts";

export { FLOW_ALGORITHMS } from "./controller.ts";
export type { FlowAlgorithm, FlowController, FlowSnapshot } from "./controller.ts";
export type { FlowToken } from "./sampler.ts";
export { CorruptSnapshotError } from "./snapshot.ts";

/** Settings of a controller. */
export interface FlowOptions {
  readonly algorithm: FlowAlgorithm;
  /** Items, ≥ minWindow. A large one is a burst into an unknown path, a small one costs round trips at the start. */
  readonly initialWindow?: number;
  /** Items, ≥ 1. The window never falls below, however much is refused. */
  readonly minWindow?: number;
  /** Items. The window never grows beyond, however idle the path seems. */
  readonly maxWindow?: number;
}

/** RFC 6928: ten at the start. */
const INITIAL_WINDOW = 10;
const MAX_WINDOW = 10_000;
const MIN_WINDOW: Readonly<Record<FlowAlgorithm, number>> = {
  aimd: 1,
  cubic: CUBIC_MIN_WINDOW,
  bbr: BBR_MIN_WINDOW,
  adaptive: 1,
};

/** Chance that is none, for callers who give no random numbers: probes then come at fixed intervals. */
const evenly = (): number => 0.5;

/**
 * Makes a flow controller.
 * @param nowMs the caller's time; all later times must be of the same clock
 * @param random numbers in [0, 1), to spread out in time what several controllers try
 * @throws RangeError for bounds that are no numbers, below 1 or in the wrong order
 */
export function createFlowController(
  options: FlowOptions,
  nowMs: number,
  random: () => number = evenly,
): FlowController {
  const limits = checkedLimits(options);
  const algorithm = makeAlgorithm(options.algorithm, limits, random);
  const rest = { algorithm: options.algorithm, limits, clockMs: 0 };
  return new FlowController(rest, { algorithm, sampler: new Sampler() }, nowMs);
}

/**
 * A controller that goes on from a snapshot, as if no time had passed since.
 * @param snapshot from `snapshot()`, also after JSON
 * @throws CorruptSnapshotError when it is something else
 */
export function restoreFlowController(snapshot: unknown, nowMs: number, random: () => number = evenly): FlowController {
  if (!isRecord(snapshot) || snapshot["version"] !== 1) throw new CorruptSnapshotError("not a snapshot of version 1");
  const name = snapshot["algorithm"];
  if (!isAlgorithm(name)) throw new CorruptSnapshotError(`unknown algorithm ${String(name)}`);
  const limits = storedLimits(name, snapshot["limits"]);
  const { clockMs } = checkedState({ clockMs: 0 }, { clockMs: snapshot["clockMs"] }, "snapshot");
  const sampler = new Sampler(checkedState(freshSamplerState(), snapshot["sampler"], "sampler"));
  const algorithm = makeAlgorithm(name, limits, random, snapshot["state"] ?? null);
  return new FlowController({ algorithm: name, limits, clockMs }, { algorithm, sampler }, nowMs);
}

function isAlgorithm(name: unknown): name is FlowAlgorithm {
  return typeof name === "string" && Object.hasOwn(MIN_WINDOW, name);
}

/** @param stored state to go on from, of any shape; undefined to start afresh */
function makeAlgorithm(name: FlowAlgorithm, limits: Limits, random: () => number, stored?: unknown): Algorithm {
  const state = <T extends Algorithm["state"]>(fresh: T): T =>
    stored === undefined ? fresh : checkedState(fresh, stored, "state");
  switch (name) {
    case "aimd":
      return new Aimd(limits, state(freshAimdState(limits)));
    case "cubic":
      return new Cubic(limits, state(freshCubicState(limits)));
    case "bbr":
      return new Bbr(limits, random, knownModes(state(freshBbrState(limits))));
    case "adaptive":
      return new Adaptive(limits, state(freshAdaptiveState(limits)));
  }
}

function knownModes(state: BbrState): BbrState {
  if (BBR_MODES.includes(state.mode) && ACK_PHASES.includes(state.ackPhase)) return state;
  throw new CorruptSnapshotError(`unknown mode ${state.mode} or phase ${state.ackPhase}`);
}

function checkedLimits(options: FlowOptions): Limits {
  if (!isAlgorithm(options.algorithm)) throw new RangeError(`unknown algorithm ${String(options.algorithm)}`);
  const maxWindow = options.maxWindow ?? Math.max(MAX_WINDOW, options.initialWindow ?? 0, options.minWindow ?? 0);
  const minWindow = options.minWindow ?? Math.min(MIN_WINDOW[options.algorithm], maxWindow);
  const initialWindow = options.initialWindow ?? Math.min(maxWindow, Math.max(minWindow, INITIAL_WINDOW));
  const isInOrder = 1 <= minWindow && minWindow <= initialWindow && initialWindow <= maxWindow;
  if (!isInOrder || maxWindow === Infinity) {
    const got = `minWindow ${minWindow}, initialWindow ${initialWindow}, maxWindow ${maxWindow}`;
    throw new RangeError(`expected 1 ≤ minWindow ≤ initialWindow ≤ maxWindow < ∞, got ${got}`);
  }
  return { initialWindow, minWindow, maxWindow };
}

function storedLimits(algorithm: FlowAlgorithm, stored: unknown): Limits {
  const limits = checkedState({ initialWindow: 0, minWindow: 0, maxWindow: 0 }, stored, "limits");
  try {
    return checkedLimits({ algorithm, ...limits });
  } catch (cause) {
    throw new CorruptSnapshotError("limits are out of order", { cause });
  }
}
