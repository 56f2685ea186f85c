import { EMPTY_STATE, takeOpenWindow, takeWindow } from "../../../core/alerts/aggregation-rules.ts";
import type { AggregationState, RuleTransition } from "../../../core/alerts/aggregation-rules.ts";
import { compileCondition } from "../../../core/alerts/condition.ts";
import type { Condition } from "../../../core/alerts/condition.ts";
import type { RuleLogic, Silence } from "../../../core/alerts/rule-logic.ts";
import type { Group, Values } from "../../../core/alerts/group.ts";
import { groupKey } from "../../../core/alerts/group.ts";
import { MAX_OPEN_PER_TENANT } from "../../../core/alerts/limits.ts";
import type { ClosedWindow } from "../../../core/windows/window-json.ts";

export const MINUTE = 60_000;

/** A rule over the measure `value`. Times in minutes. */
export function ruleOf(condition: string, forMinutes = 0, keepMinutes = 0, more: RuleExtras = {}): RuleLogic {
  return {
    id: "rule",
    condition: conditionOf(condition, more.threshold),
    resolve: more.resolve === undefined ? null : conditionOf(more.resolve, more.threshold),
    noData: more.noData ?? null,
    forMs: forMinutes * MINUTE,
    keepFiringForMs: keepMinutes * MINUTE,
  };
}

export interface RuleExtras {
  readonly threshold?: number;
  readonly resolve?: string;
  readonly noData?: Silence;
}

function conditionOf(source: string, threshold: number | undefined): Condition {
  const compiled = compileCondition(source, ["value"], threshold);
  if (!compiled.ok) throw new Error(compiled.message);
  return compiled.condition;
}

/** A closed window with one value per instance; `end` in minutes, `size` too. */
export function windowOf(end: number, values: Readonly<Record<string, number>>, revision = 0, size = 1): ClosedWindow {
  const groups = Object.entries(values).map(([instance, value]) => ({ group: { instance }, values: { value } }));
  return { aggregation: "a", version: 1, start: (end - size) * MINUTE, end: end * MINUTE, revision, groups };
}

/** Feeds windows to rules and remembers what came of it, as the AlertManager does. */
export class Bench {
  readonly #rules: readonly RuleLogic[];
  #nextId = 0;
  state: AggregationState = EMPTY_STATE;
  readonly transitions: RuleTransition[] = [];

  constructor(...rules: readonly RuleLogic[]) {
    this.#rules = rules;
  }

  /** @returns what happened, as `instance kind` */
  take(window: ClosedWindow, room = MAX_OPEN_PER_TENANT): string[] {
    return this.#step(takeWindow, window, room);
  }

  /** Takes a window that is still open. */
  takeOpen(window: ClosedWindow): string[] {
    return this.#step(takeOpenWindow, window, MAX_OPEN_PER_TENANT);
  }

  #step(take: typeof takeWindow, window: ClosedWindow, room: number): string[] {
    const step = take(this.#rules, this.state, window, { newId: () => `alert-${this.#nextId++}`, room });
    this.state = step.state;
    this.transitions.push(...step.transitions);
    return step.transitions.map(({ kind, instance }) => `${nameOf(instance.group)} ${kind}`);
  }

  /** Open alerts of the one rule, as `instance phase`, sorted. */
  get open(): string[] {
    const instances = this.state.instances.get("rule") ?? new Map();
    return [...instances.values()].map(({ group, timer }) => `${nameOf(group)} ${timer.phase}`).sort();
  }

  shown(group: Group): Values | undefined {
    return this.state.instances.get("rule")?.get(groupKey(group))?.values;
  }
}

function nameOf({ instance }: Group): string {
  return typeof instance === "string" ? instance : "";
}
