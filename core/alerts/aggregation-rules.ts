// The rules of one aggregation, moved over its closed windows.
import type { ClosedWindow } from "../windows/window-json.ts";
import { moveCursor, turnOf } from "./cursor.ts";
import type { Cursor } from "./cursor.ts";
import { evaluateNext, evaluateRevision, occasionOf, refreshShown } from "./evaluate.ts";
import type { Means, Occasion, Outcome, RuleLogic, Transition } from "./evaluate.ts";
import type { Values } from "./group.ts";
import type { Instances } from "./instance.ts";
import { MAX_PREVIOUS_GROUPS, MAX_SHOWN_VALUES_CHARS } from "./limits.ts";

/** What a window's groups had, kept for `previous`: only the measures that a condition reads. */
export interface Remembered {
  /** The window's end, epoch ms. */
  readonly end: number;
  readonly values: ReadonlyMap<string, Values>;
}

/** What went wrong in a rule's evaluations, for its user to see. Counts since the rule was last changed. */
export interface Trouble {
  /** Groups whose condition could not be evaluated, and why the newest one could not. */
  readonly errors: number;
  readonly lastError: string | null;
  /** Groups that opened no alert because of a limit. */
  readonly refused: number;
}

/** Where the rules of one aggregation stand. Never changed in place. */
export interface AggregationState {
  readonly cursor: Cursor | null;
  /** Open alerts by rule id; a rule without any may be missing. */
  readonly instances: ReadonlyMap<string, Instances>;
  /** The newest window and the one before it, oldest first. A revision of the newest needs the one before. */
  readonly remembered: readonly Remembered[];
  readonly troubles: ReadonlyMap<string, Trouble>;
}

export const NO_INSTANCES: Instances = new Map();
export const EMPTY_STATE: AggregationState = {
  cursor: null,
  instances: new Map(),
  remembered: [],
  troubles: new Map(),
};

export interface RuleTransition extends Transition {
  readonly ruleId: string;
}

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
  if (turn === "repeat") return { state, transitions: [], opened: 0 };
  const previous = state.remembered.find(({ end }) => end === window.start)?.values ?? new Map<string, Values>();
  const occasion = occasionOf(window, state.cursor, previous);
  const remembered = remember(rules, state.remembered, occasion, turn === "next");
  if (turn === "older") {
    return { state: { ...state, instances: refreshAll(state, occasion), remembered }, transitions: [], opened: 0 };
  }
  const evaluate = turn === "next" ? evaluateNext : evaluateRevision;
  const instances = new Map(state.instances);
  const troubles = new Map(state.troubles);
  const transitions: RuleTransition[] = [];
  let opened = 0;
  for (const rule of rules) {
    const before = instances.get(rule.id) ?? NO_INSTANCES;
    const outcome = evaluate(rule, before, occasion, { ...means, room: means.room - opened });
    opened += outcome.instances.size - before.size;
    instances.set(rule.id, outcome.instances);
    noteTrouble(troubles, rule.id, outcome);
    for (const transition of outcome.transitions) transitions.push({ ...transition, ruleId: rule.id });
  }
  return { state: { cursor: moveCursor(state.cursor, window), instances, remembered, troubles }, transitions, opened };
}

/** The state without one alert, which somebody resolved by hand. */
export function withoutInstance(state: AggregationState, ruleId: string, key: string): AggregationState {
  const left = new Map(state.instances.get(ruleId));
  left.delete(key);
  return { ...state, instances: new Map(state.instances).set(ruleId, left) };
}

/** The state with a rule as if new: no open alerts, no troubles. */
export function withoutRule(state: AggregationState, ruleId: string): AggregationState {
  const troubles = new Map(state.troubles);
  troubles.delete(ruleId);
  return { ...state, instances: new Map(state.instances).set(ruleId, NO_INSTANCES), troubles };
}

function refreshAll(state: AggregationState, occasion: Occasion): AggregationState["instances"] {
  return new Map([...state.instances].map(([ruleId, instances]) => [ruleId, refreshShown(instances, occasion)]));
}

function remember(
  rules: readonly RuleLogic[],
  remembered: readonly Remembered[],
  { groups, window }: Occasion,
  isNext: boolean,
): readonly Remembered[] {
  const measures = new Set(rules.flatMap(({ condition }) => condition.previousMeasures));
  if (measures.size === 0) return [];
  const isKept = remembered.some(({ end }) => end === window.end);
  if (!isNext && !isKept) return remembered;
  const values = new Map(
    groups.slice(0, MAX_PREVIOUS_GROUPS).map(({ key, values: all }) => [key, pick(all, measures)]),
  );
  return [...remembered.filter(({ end }) => end !== window.end), { end: window.end, values }]
    .sort((a, b) => a.end - b.end)
    .slice(-2);
}

function pick(values: Values, measures: ReadonlySet<string>): Values {
  const picked = Object.entries(values).filter(([name]) => measures.has(name));
  return Object.fromEntries(picked.filter(([, value]) => JSON.stringify(value).length <= MAX_SHOWN_VALUES_CHARS));
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
