// The rules of one aggregation, moved over its windows.
import type { ClosedWindow } from "../windows/window-json.ts";
import { moveCursor, skipped, turnOf } from "./cursor.ts";
import type { Cursor } from "./cursor.ts";
import { evaluateNext, evaluateOpen, evaluateQuiet, evaluateRevision, occasionOf, refreshShown } from "./evaluate.ts";
import type { Means, Occasion, Outcome, RuleLogic, Standing, Transition } from "./evaluate.ts";
import type { Group } from "./group.ts";
import { noDataKey } from "./instance.ts";
import type { Instances } from "./instance.ts";
import { MAX_SETTLED_PER_RULE } from "./limits.ts";
import { afterRevision, afterWindow, NOBODY_SEEN, withoutGroup } from "./presence.ts";
import type { Presence } from "./presence.ts";

/** What went wrong in a rule's evaluations, for its user to see. Counts since the rule was last changed. */
export interface Trouble {
  /** Groups whose condition could not be evaluated, and why the newest one could not. */
  readonly errors: number;
  readonly lastError: string | null;
  /** Groups that opened no alert because of a limit. */
  readonly refused: number;
}

/** Groups whose alert was resolved by hand: the end (epoch ms) of the newest window in which none may open again, by key. */
export type Settled = ReadonlyMap<string, number>;

/** Where the rules of one aggregation stand. Never changed in place. */
export interface AggregationState {
  readonly cursor: Cursor | null;
  /** Open alerts by rule id; a rule without any may be missing. */
  readonly instances: ReadonlyMap<string, Instances>;
  /** By rule id; a rule without any is missing. */
  readonly settled: ReadonlyMap<string, Settled>;
  /** Empty unless some rule has `no_data`. */
  readonly presence: Presence;
  readonly troubles: ReadonlyMap<string, Trouble>;
}

export const NO_INSTANCES: Instances = new Map();
const NOTHING_SETTLED: Settled = new Map();
/** The rules of an aggregation before its first window. */
export const EMPTY_STATE: AggregationState = {
  cursor: null,
  instances: new Map(),
  settled: new Map(),
  presence: NOBODY_SEEN,
  troubles: new Map(),
};

/** What happened to an alert, and by which rule. */
export interface RuleTransition extends Transition {
  readonly ruleId: string;
}

/** What a window did. */
export interface Step {
  /** The same object when the window changed nothing. */
  readonly state: AggregationState;
  readonly transitions: readonly RuleTransition[];
  /** Alerts opened minus alerts ended. */
  readonly opened: number;
}

/** Takes one closed window, which may be a repeat. @param rules all that watch this aggregation */
export function takeWindow(
  rules: readonly RuleLogic[],
  state: AggregationState,
  window: ClosedWindow,
  means: Means,
): Step {
  const turn = turnOf(state.cursor, window);
  const gap = turn === "next" ? emptyRunBefore(state.cursor, window) : null;
  if (gap !== null) {
    // As if the run had been told: alerts end in it, and groups are missed, though all may be back in this window.
    const before = takeWindow(rules, state, gap, means);
    const after = takeWindow(rules, before.state, window, { ...means, room: means.room - before.opened });
    const transitions = [...before.transitions, ...after.transitions];
    return { state: after.state, transitions, opened: before.opened + after.opened };
  }
  if (turn === "repeat") return { state, transitions: [], opened: 0 };
  const occasion = occasionOf(window, state.cursor);
  if (turn === "older") {
    return { state: { ...state, instances: refreshAll(state, occasion) }, transitions: [], opened: 0 };
  }
  const cursor = moveCursor(state.cursor, window);
  const isNext = turn === "next";
  const presence = presenceAfter(rules, state, occasion, isNext);
  const moved = {
    ...state,
    cursor,
    presence,
    settled: isNext ? stillSettled(state.settled, window.end) : state.settled,
  };
  const first = evaluateAll(rules, moved, means, isNext ? evaluateNext : evaluateRevision, occasion);
  if (!isNext || presence.quiet.size === 0) return first;
  const quiet = { ...means, presence, stepMs: cursor.sizeMs, room: means.room - first.opened };
  const second = evaluateAll(
    rules.filter(({ noData }) => noData !== null),
    first.state,
    quiet,
    (rule, standing, seen, { room }) => evaluateQuiet(rule, standing, seen, { ...quiet, room }),
    { ...occasion, oversized: 0 },
  );
  return {
    state: second.state,
    transitions: [...first.transitions, ...second.transitions],
    opened: first.opened + second.opened,
  };
}

/** The windows without events between the cursor and `window` that nobody told of, as one; null when there is none. */
function emptyRunBefore(cursor: Cursor | null, window: ClosedWindow): ClosedWindow | null {
  const gap = skipped(cursor, window);
  if (cursor === null || gap === null) return null;
  const { aggregation, version, stepMs } = window;
  const run = { aggregation, version, start: cursor.end, end: gap.lastEnd, revision: 0, groups: [] };
  return stepMs === undefined ? run : { ...run, stepMs };
}

/**
 * Takes a window that is still open, with those of its groups that may already be decided.
 * @param rules those whose condition can only become truer while the window is open
 */
export function takeOpenWindow(
  rules: readonly RuleLogic[],
  state: AggregationState,
  window: ClosedWindow,
  means: Means,
): Step {
  // It may have closed while it was on its way.
  if (state.cursor !== null && window.end <= state.cursor.end) return { state, transitions: [], opened: 0 };
  const step = evaluateAll(rules, state, means, evaluateOpen, occasionOf(window, state.cursor));
  return step.transitions.length === 0 ? { ...step, state } : step;
}

type Evaluate = (rule: RuleLogic, standing: Standing, occasion: Occasion, means: Means) => Outcome;

function evaluateAll(
  rules: readonly RuleLogic[],
  state: AggregationState,
  means: Means,
  evaluate: Evaluate,
  occasion: Occasion,
): Step {
  const instances = new Map(state.instances);
  const troubles = new Map(state.troubles);
  const transitions: RuleTransition[] = [];
  let opened = 0;
  for (const rule of rules) {
    const before = instances.get(rule.id) ?? NO_INSTANCES;
    const standing = { instances: before, settled: state.settled.get(rule.id) ?? NOTHING_SETTLED };
    const outcome = evaluate(rule, standing, occasion, { ...means, room: means.room - opened });
    opened += outcome.instances.size - before.size;
    instances.set(rule.id, outcome.instances);
    noteTrouble(troubles, rule.id, outcome);
    for (const transition of outcome.transitions) transitions.push({ ...transition, ruleId: rule.id });
  }
  return { state: { ...state, instances, troubles }, transitions, opened };
}

/**
 * The state without one alert, which somebody resolved by hand. It does not open again in the windows evaluated so far; a
 * group that is quiet is forgotten until it returns.
 * @param key of the instance
 */
export function withoutInstance(state: AggregationState, ruleId: string, key: string): AggregationState {
  const left = new Map(state.instances.get(ruleId));
  const ended = left.get(key);
  left.delete(key);
  const instances = new Map(state.instances).set(ruleId, left);
  if (ended === undefined) return { ...state, instances };
  if (ended.kind === "no_data") {
    return { ...state, instances, presence: withoutGroup(state.presence, key.slice(key.indexOf(" ") + 1)) };
  }
  const through = Math.max(ended.window.end, state.cursor?.end ?? ended.window.end);
  const settled = [...(state.settled.get(ruleId) ?? NOTHING_SETTLED), [key, through] as const];
  const kept = new Map(settled.slice(-MAX_SETTLED_PER_RULE));
  return { ...state, instances, settled: new Map(state.settled).set(ruleId, kept) };
}

/** The state with a rule as if new: no open alerts, no troubles. */
export function withoutRule(state: AggregationState, ruleId: string): AggregationState {
  const troubles = new Map(state.troubles);
  troubles.delete(ruleId);
  const settled = new Map(state.settled);
  settled.delete(ruleId);
  return { ...state, instances: new Map(state.instances).set(ruleId, NO_INSTANCES), settled, troubles };
}

/** Whether windows without events matter: some alert may end in one, or some group may have gone quiet. */
export function awaitsTime(rules: readonly RuleLogic[], { instances, presence }: AggregationState): boolean {
  for (const open of instances.values()) for (const { kind } of open.values()) if (kind !== "no_data") return true;
  const listening = rules.filter(({ noData }) => noData !== null);
  if (listening.length === 0) return false;
  if (presence.active.size > 0) return true;
  return listening.some(({ id }) => {
    const told = instances.get(id) ?? NO_INSTANCES;
    return [...presence.quiet.keys()].some((key) => !told.has(noDataKey(key)));
  });
}

function refreshAll(state: AggregationState, occasion: Occasion): AggregationState["instances"] {
  return new Map([...state.instances].map(([ruleId, instances]) => [ruleId, refreshShown(instances, occasion)]));
}

function presenceAfter(
  rules: readonly RuleLogic[],
  { presence, cursor }: AggregationState,
  { groups, window }: Occasion,
  isNext: boolean,
): Presence {
  if (rules.every(({ noData }) => noData === null)) return NOBODY_SEEN;
  // What does not fit into the limit of groups is counted together: it is no group that could go quiet.
  const own = groups.filter(({ group }) => group["overflow"] !== true);
  const seen = new Map<string, Group>(own.map(({ key, group }) => [key, group]));
  return isNext ? afterWindow(presence, seen, cursor?.end ?? window.start) : afterRevision(presence, seen);
}

/** A revision of the window that was evaluated last may still open. */
function stillSettled(settled: AggregationState["settled"], end: number): AggregationState["settled"] {
  if (settled.size === 0) return settled;
  const left = [...settled].map(
    ([ruleId, keys]) => [ruleId, new Map([...keys].filter(([, through]) => through >= end))] as const,
  );
  return new Map(left.filter(([, keys]) => keys.size > 0));
}

function noteTrouble(troubles: Map<string, Trouble>, ruleId: string, { errors, firstError, refused }: Outcome): void {
  if (errors === 0 && refused === 0) return;
  const before = troubles.get(ruleId);
  troubles.set(ruleId, {
    errors: (before?.errors ?? 0) + errors,
    lastError: firstError ?? before?.lastError ?? null,
    refused: (before?.refused ?? 0) + refused,
  });
}
