// Evaluates the rules of one aggregation on one closed window: decisions only, nothing is stored or sent here.
import type { ClosedWindow } from "../windows/window-json.ts";
import type { Group, Values, WindowTime } from "./group.ts";
import { groupKey } from "./group.ts";
import type { Condition } from "./condition.ts";
import { skipped, spanOf } from "./cursor.ts";
import type { Cursor, Span } from "./cursor.ts";
import { shownValues } from "./instance.ts";
import type { Instance, Instances } from "./instance.ts";
import { MAX_GROUP_KEY_CHARS, MAX_OPEN_PER_RULE } from "./limits.ts";
import { whenFalse, whenTrue } from "./timer.ts";
import type { Patience } from "./timer.ts";

/** What is evaluated of a rule. */
export interface RuleLogic extends Patience {
  readonly id: string;
  readonly condition: Condition;
}

/** One group of a closed window, with its key. */
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
  /** The values of the window just before, by group key; empty when it had none or nobody reads them. */
  readonly previous: ReadonlyMap<string, Values>;
}

/**
 * A change in the life of an alert. `dropped` ends a pending alert that never fired.
 * `window` and `values` are those that were evaluated; a group without data has no values.
 */
export interface Transition {
  readonly kind: "pending" | "firing" | "resolved" | "dropped";
  /** Why it ended: the condition did not hold, or its group had no data; null when it did not end. */
  readonly reason: "condition" | "no_data" | null;
  readonly instance: Instance;
  readonly window: WindowTime;
  readonly values: Values;
}

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

/** Keys the groups of a window, once for all rules. */
export function occasionOf(
  window: ClosedWindow,
  cursor: Cursor | null,
  previous: ReadonlyMap<string, Values>,
): Occasion {
  const keyed = window.groups.map(({ group, values }) => ({ key: groupKey(group), group, values }));
  const groups = keyed.filter(({ key }) => key.length <= MAX_GROUP_KEY_CHARS);
  return { window, groups, oversized: keyed.length - groups.length, cursor, previous };
}

/** Evaluates the next window: every group in it, then every open alert whose group is absent from it. */
export function evaluateNext(rule: RuleLogic, instances: Instances, occasion: Occasion, means: Means): Outcome {
  const round = new Round(rule, instances, occasion, means);
  const gap = skipped(occasion.cursor, occasion.window);
  const gapTime = { start: occasion.cursor?.end ?? occasion.window.start, end: occasion.window.start };
  if (gap !== null) for (const key of instances.keys()) round.absent(key, gap, gapTime);
  for (const keyed of occasion.groups) round.present(keyed);
  const present = new Set(occasion.groups.map(({ key }) => key));
  const span = spanOf(occasion.cursor, occasion.window);
  for (const key of instances.keys()) if (!present.has(key)) round.absent(key, span, timeOf(occasion.window));
  return round.outcome();
}

/** Evaluates a revision of the newest window: it may open and resolve. Its groups are all that changed; none can have gone. */
export function evaluateRevision(rule: RuleLogic, instances: Instances, occasion: Occasion, means: Means): Outcome {
  const round = new Round(rule, instances, occasion, means);
  for (const keyed of occasion.groups) round.present(keyed);
  return round.outcome();
}

/** Takes a revision of an older window: an open alert that still shows that window shows its new values. Nothing opens or ends. */
export function refreshShown(instances: Instances, occasion: Occasion): Instances {
  const { window } = occasion;
  let next: Map<string, Instance> | undefined;
  for (const { key, values } of occasion.groups) {
    const instance = instances.get(key);
    if (instance === undefined || instance.window.end !== window.end || instance.revision >= window.revision) continue;
    next ??= new Map(instances);
    next.set(key, { ...instance, values: shownValues(values), revision: window.revision });
  }
  return next ?? instances;
}

function timeOf({ start, end }: ClosedWindow): WindowTime {
  return { start, end };
}

/** The evaluation of one rule on one window. Works on a copy: a failed transaction leaves what was. */
class Round {
  readonly #rule: RuleLogic;
  readonly #occasion: Occasion;
  readonly #means: Means;
  readonly #instances: Map<string, Instance>;
  readonly #transitions: Transition[] = [];
  readonly #sizeBefore: number;
  #errors = 0;
  #firstError: string | null = null;
  #refused: number;

  constructor(rule: RuleLogic, instances: Instances, occasion: Occasion, means: Means) {
    this.#rule = rule;
    this.#occasion = occasion;
    this.#means = means;
    this.#instances = new Map(instances);
    this.#sizeBefore = instances.size;
    this.#refused = occasion.oversized;
  }

  /** A group that the window has. */
  present(keyed: KeyedGroup): void {
    const window = timeOf(this.#occasion.window);
    if (this.#isTrue(keyed, window)) this.#hold(keyed, window);
    else this.#fail(keyed.key, { firstEnd: window.end, lastEnd: window.end }, window, keyed.values, "condition");
  }

  /** A group without data in the windows of `span`: its condition does not hold, whatever it says. */
  absent(key: string, span: Span, window: WindowTime): void {
    this.#fail(key, span, window, {}, "no_data");
  }

  outcome(): Outcome {
    return {
      instances: this.#instances,
      transitions: this.#transitions,
      errors: this.#errors,
      firstError: this.#firstError,
      refused: this.#refused,
    };
  }

  #isTrue({ key, group, values }: KeyedGroup, window: WindowTime): boolean {
    const input = { group, values, window, previous: this.#occasion.previous.get(key) };
    const verdict = this.#rule.condition.verdict(input);
    if (verdict === "error") {
      this.#errors++;
      this.#firstError ??= this.#rule.condition.explain(input);
    }
    return verdict === "pass";
  }

  #hold({ key, group, values }: KeyedGroup, window: WindowTime): void {
    const open = this.#instances.get(key);
    if (open === undefined && !this.#hasRoom()) {
      this.#refused++;
      return;
    }
    const timer = whenTrue(open?.timer ?? null, window.end, this.#rule);
    const instance: Instance = {
      alertId: open?.alertId ?? this.#means.newId(),
      group,
      timer,
      window,
      revision: this.#occasion.window.revision,
      values: shownValues(values),
    };
    this.#instances.set(key, instance);
    if (timer.phase !== open?.timer.phase) {
      this.#transitions.push({ kind: timer.phase, reason: null, instance, window, values: instance.values });
    }
  }

  #fail(key: string, span: Span, window: WindowTime, values: Values, reason: "condition" | "no_data"): void {
    const open = this.#instances.get(key);
    if (open === undefined) return;
    const timer = whenFalse(open.timer, span.firstEnd, span.lastEnd, this.#rule);
    if (timer !== null) {
      if (timer !== open.timer) this.#instances.set(key, { ...open, timer });
      return;
    }
    this.#instances.delete(key);
    const kind = open.timer.phase === "firing" ? "resolved" : "dropped";
    this.#transitions.push({ kind, reason, instance: open, window, values: shownValues(values) });
  }

  #hasRoom(): boolean {
    const opened = this.#instances.size - this.#sizeBefore;
    return opened < this.#means.room && this.#instances.size < MAX_OPEN_PER_RULE;
  }
}
