// One rule on one window, group by group: what opens, holds and ends.
import type { ClosedWindow } from "../windows/window-json.ts";
import type { ConditionInput, LookBackName } from "./condition.ts";
import type { Cursor, Span } from "./cursor.ts";
import type { Group, Values, WindowTime } from "./group.ts";
import { noDataKey, shownValues } from "./instance.ts";
import type { Instance, Instances } from "./instance.ts";
import { MAX_OPEN_PER_RULE } from "./limits.ts";
import type { RuleLogic } from "./rule-logic.ts";
import { whenFalse, whenTrue } from "./timer.ts";
import type { Timer } from "./timer.ts";

/** One group of a window, with its key. */
export interface KeyedGroup {
  readonly key: string;
  readonly group: Group;
  readonly values: Values;
}

/** A window as all rules of its aggregation see it. */
export interface Occasion {
  readonly window: ClosedWindow;
  readonly groups: readonly KeyedGroup[];
  /** Groups left out because their key is too long. */
  readonly oversized: number;
  /** The cursor before this window. */
  readonly cursor: Cursor | null;
  /** Values of earlier windows by look-back, then group key. */
  readonly past: ReadonlyMap<LookBackName, ReadonlyMap<string, Values>>;
}

/** Why an alert changed: what the evaluation found of its group. `returned` ends an alert of a group that was quiet. */
export type Cause = "condition" | "no_data" | "returned";

/**
 * A change in the life of an alert. `dropped` ends a pending alert that never fired.
 * `window` and `values` are those that were evaluated; a group without data has no values.
 */
export interface Transition {
  readonly kind: "pending" | "firing" | "resolved" | "dropped";
  /** Why it ended; null when it did not end. */
  readonly reason: Cause | null;
  readonly instance: Instance;
  readonly window: WindowTime;
  readonly values: Values;
}

/** What one window did to the alerts of one rule. */
export interface Outcome {
  readonly instances: Instances;
  /** In the order in which they happened, per group. */
  readonly transitions: readonly Transition[];
  /** Groups whose condition could not be evaluated, and why the first one could not. */
  readonly errors: number;
  readonly firstError: string | null;
  /** Groups that should have opened an alert but found a limit reached. */
  readonly refused: number;
}

/** What an evaluation needs beside the rule and the window. */
export interface Means {
  /** Makes the id of a new alert. */
  readonly newId: () => string;
  /** Alerts that the tenant may still open, ≥ 0. */
  readonly room: number;
}

/** What an evaluation starts from, beside the window. */
export interface Standing {
  readonly instances: Instances;
  /** Groups whose alert was resolved by hand, and the end (epoch ms) of the newest window in which none may open again. */
  readonly settled: ReadonlyMap<string, number>;
}

export function timeOf({ start, end }: ClosedWindow): WindowTime {
  return { start, end };
}

/** The evaluation of one rule on one window. Works on a copy: a failed transaction leaves what was. */
export class Round {
  readonly #rule: RuleLogic;
  readonly #settled: Standing["settled"];
  readonly #occasion: Occasion;
  readonly #window: WindowTime;
  readonly #means: Means;
  readonly #before: Instances;
  /** Made when something changes. */
  #instances: Map<string, Instance> | undefined;
  readonly #transitions: Transition[] = [];
  #errors = 0;
  #firstError: string | null = null;
  #refused: number;

  constructor(rule: RuleLogic, { instances, settled }: Standing, occasion: Occasion, means: Means) {
    this.#rule = rule;
    this.#settled = settled;
    this.#occasion = occasion;
    this.#window = timeOf(occasion.window);
    this.#means = means;
    this.#before = instances;
    this.#refused = occasion.oversized;
  }

  /** A group that a closed window has. */
  present(keyed: KeyedGroup): void {
    const { key, values } = keyed;
    const { end } = this.#window;
    this.#endQuiet(key, values);
    const open = this.#open.get(key);
    if (isAhead(open, end)) return;
    if (this.#holds(keyed, open)) this.#hold(keyed, open);
    else this.#fail(key, { firstEnd: end, lastEnd: end }, this.#window, values, "condition");
  }

  /** A group that an open window has. */
  early(keyed: KeyedGroup): void {
    if (this.#open.has(keyed.key) || !this.#isTrue(keyed)) return;
    this.#hold(keyed, undefined, this.#window.end);
  }

  /** A group without data in the windows of `span`: its condition does not hold, whatever it says. */
  absent(key: string, span: Span, window: WindowTime): void {
    const open = this.#open.get(key);
    if (open?.kind === "no_data" || isAhead(open, span.lastEnd)) return;
    const firstEnd = Math.max(span.firstEnd, open?.earlyEnd ?? span.firstEnd);
    this.#fail(key, { firstEnd, lastEnd: span.lastEnd }, window, {}, "no_data");
  }

  /** A group that has been without data for too long. */
  quiet(key: string, group: Group): void {
    const own = noDataKey(key);
    if (this.#open.has(own)) return;
    const timer: Timer = { phase: "firing", since: this.#window.end, falseSince: null };
    this.#set(own, { kind: "no_data", group, timer, values: {} }, undefined);
  }

  outcome(): Outcome {
    return {
      instances: this.#open,
      transitions: this.#transitions,
      errors: this.#errors,
      firstError: this.#firstError,
      refused: this.#refused,
    };
  }

  get #open(): Instances {
    return this.#instances ?? this.#before;
  }

  #change(): Map<string, Instance> {
    this.#instances ??= new Map(this.#before);
    return this.#instances;
  }

  /** An alert that fires holds until its rule says otherwise, if the rule says when. */
  #holds(keyed: KeyedGroup, open: Instance | undefined): boolean {
    if (this.#isTrue(keyed)) return true;
    const { resolve } = this.#rule;
    if (resolve === null || open?.timer.phase !== "firing") return false;
    const input = this.#inputOf(keyed);
    const verdict = resolve.verdict(input);
    if (verdict === "error") this.#noteError(() => resolve.explain(input));
    return verdict !== "pass";
  }

  #isTrue(keyed: KeyedGroup): boolean {
    const { condition } = this.#rule;
    const input = this.#inputOf(keyed);
    const verdict = condition.verdict(input);
    if (verdict === "error") this.#noteError(() => condition.explain(input));
    return verdict === "pass";
  }

  #inputOf({ key, group, values }: KeyedGroup): ConditionInput {
    const { past } = this.#occasion;
    return { group, values, window: this.#window, past: (name) => past.get(name)?.get(key) };
  }

  #noteError(explain: () => string): void {
    this.#errors++;
    this.#firstError ??= explain();
  }

  /** @param earlyEnd end of the window when it is still open */
  #hold({ key, group, values }: KeyedGroup, open: Instance | undefined, earlyEnd?: number): void {
    const timer = whenTrue(open?.timer ?? null, this.#window.end, this.#rule);
    const seen = { group, timer, values: shownValues(values), ...(earlyEnd === undefined ? {} : { earlyEnd }) };
    this.#set(key, seen, open);
  }

  #set(
    key: string,
    seen: Pick<Instance, "group" | "timer" | "values" | "kind" | "earlyEnd">,
    open: Instance | undefined,
  ): void {
    if (open === undefined && !this.#mayOpen(key)) return;
    const window = this.#window;
    const instance: Instance = {
      alertId: open?.alertId ?? this.#means.newId(),
      ...seen,
      window,
      revision: this.#occasion.window.revision,
    };
    this.#change().set(key, instance);
    if (seen.timer.phase === open?.timer.phase) return;
    this.#transitions.push({ kind: seen.timer.phase, reason: null, instance, window, values: instance.values });
  }

  #fail(key: string, span: Span, window: WindowTime, values: Values, reason: Cause): void {
    const open = this.#open.get(key);
    if (open === undefined) return;
    const timer = whenFalse(open.timer, span.firstEnd, span.lastEnd, this.#rule);
    if (timer === null) this.#end(key, open, window, values, reason);
    else if (timer !== open.timer || open.earlyEnd !== undefined)
      this.#change().set(key, confirmed({ ...open, timer }));
  }

  #endQuiet(key: string, values: Values): void {
    if (this.#rule.noData === null) return;
    const own = noDataKey(key);
    const open = this.#open.get(own);
    if (open !== undefined) this.#end(own, open, this.#window, values, "returned");
  }

  #end(key: string, open: Instance, window: WindowTime, values: Values, reason: Cause): void {
    this.#change().delete(key);
    const kind = open.timer.phase === "firing" ? "resolved" : "dropped";
    this.#transitions.push({ kind, reason, instance: open, window, values: shownValues(values) });
  }

  #mayOpen(key: string): boolean {
    if ((this.#settled.get(key) ?? -Infinity) >= this.#window.end) return false;
    const opened = this.#open.size - this.#before.size;
    const hasRoom = opened < this.#means.room && this.#open.size < MAX_OPEN_PER_RULE;
    if (!hasRoom) this.#refused++;
    return hasRoom;
  }
}

/** Opened on a window that was still open and that has not been told as closed: windows before it say nothing about it. */
function isAhead(open: Instance | undefined, end: number): boolean {
  return open?.earlyEnd !== undefined && end < open.earlyEnd;
}

function confirmed(instance: Instance): Instance {
  return { ...instance, earlyEnd: undefined };
}
