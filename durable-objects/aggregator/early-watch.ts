// Fires on windows that are still open.
//
// Problem: "more than 100 errors in a minute" is known with the 101st error, and waiting for the close costs the rest of the minute
// and the out-of-orderness on top.
// Rule: a rule whose condition can only become truer (core/alerts/rising.ts) is tried on the groups of every open window that
// changed, here where the windows are, at most four times a second per aggregation. Groups for which it holds are told, each
// once; the AlertManager opens alerts, and the window's close confirms them. Nothing of this is kept: after a restart every
// open window counts as changed, and what is told again opens nothing twice.
import { compileCondition } from "../../core/alerts/condition.ts";
import type { Condition } from "../../core/alerts/condition.ts";
import { canOnlyRise } from "../../core/alerts/rising.ts";
import type { EarlyRule, RuleWatch } from "../../core/alerts/watch.ts";
import { type Aggregation, groupJson, valuesOf } from "../../core/windows/aggregation.ts";
import type { Plan } from "../../core/windows/plan.ts";
import type { Effect } from "../../core/windows/shard-machine.ts";
import type { ClosedWindow, WindowGroup } from "../../core/windows/window-json.ts";
import type { WindowView } from "../../core/windows/window-set.ts";
import type { GroupState } from "../../core/windows/window-state.ts";

/** An aggregation is looked at four times a second at most … */
const MIN_PAUSE_MS = 250;
/** … and less often when a look concerns more groups than this. */
const GROUPS_PER_LOOK = 5_000;
/** Groups told in one call. */
const GROUPS_PER_CALL = 5_000;
/** Pause after a failed call. */
const RETRY_AFTER_MS = 2_000;

/** Groups of an open window for which a rule's condition holds. */
export interface EarlyWindow {
  readonly ruleId: string;
  readonly version: number;
  readonly window: ClosedWindow;
}

export interface EarlyWatchDeps {
  readonly deliverEarly: (windows: readonly EarlyWindow[]) => Promise<void>;
  readonly later: (work: () => void, delayMs: number) => void;
  readonly now: () => number;
  readonly report: (what: string, error: unknown) => void;
}

/** A rule of the aggregation as it is now, ready to be tried. */
interface Trial {
  readonly rule: EarlyRule;
  readonly condition: Condition;
  /** Window starts and group keys that were told. */
  readonly told: Set<string>;
}

/** Groups of a window for which a rule holds and that were not told of yet. */
interface Finding {
  readonly trial: Trial;
  readonly window: WindowView;
  readonly groups: readonly GroupState[];
}

/** One aggregation's rules and changed windows. */
class Lookout {
  readonly aggregation: Aggregation;
  readonly trials: readonly Trial[];
  readonly changed = new Set<WindowView>();
  isScheduled = false;
  /** Epoch ms before which it is not looked at again. */
  restUntil = 0;

  constructor(aggregation: Aggregation, rules: readonly EarlyRule[]) {
    this.aggregation = aggregation;
    this.trials = rules.flatMap((rule) => trialOf(aggregation.plan, rule) ?? []);
  }

  /** What is to be told now. @returns also how many groups were tried */
  look(): { readonly tried: number; readonly found: readonly Finding[] } {
    const found: Finding[] = [];
    let tried = 0;
    for (const window of this.changed) {
      if (window.closed) continue;
      tried += window.groups.size * this.trials.length;
      found.push(...this.#lookAt(window));
    }
    this.changed.clear();
    return { tried, found };
  }

  /** Groups one at a time: those of a large window are decoded as they are read, and not kept. */
  #lookAt(window: WindowView): Finding[] {
    const { plan } = this.aggregation;
    const findings = this.trials.map((trial) => ({ trial, window, groups: new Array<GroupState>() }));
    for (const group of window.groups.values()) {
      const name = nameOf(window, group);
      for (const { trial, groups } of findings) {
        if (!trial.told.has(name) && holds(trial.condition, plan, window, group)) groups.push(group);
      }
    }
    return findings.filter(({ groups }) => groups.length > 0);
  }
}

/** Tells of open windows for which rules already hold. */
export class EarlyWatch {
  readonly #deps: EarlyWatchDeps;
  #rules: ReadonlyMap<string, readonly EarlyRule[]> = new Map();
  readonly #lookouts = new Map<string, Lookout>();

  constructor(deps: EarlyWatchDeps) {
    this.#deps = deps;
  }

  /** @param aggregations all of them: their open windows count as changed */
  watch(watches: readonly RuleWatch[], aggregations: Iterable<Aggregation>): void {
    this.#rules = new Map(
      watches.filter(({ early }) => early.length > 0).map((watch) => [watch.aggregation, watch.early]),
    );
    this.#lookouts.clear();
    for (const aggregation of aggregations) {
      const lookout = this.#lookoutOf(aggregation);
      if (lookout === undefined) continue;
      for (const window of aggregation.windows.recent()) if (!window.closed) lookout.changed.add(window);
    }
  }

  /** Notes windows that changed. Call `schedule` once the change is on disk. */
  note(effects: readonly Effect[]): void {
    for (const { aggregation, touched, emitted } of effects) {
      const lookout = this.#lookoutOf(aggregation);
      if (lookout === undefined) continue;
      // What ended in a closed window may be due again in an open one.
      if (emitted.length > 0) {
        for (const { told } of lookout.trials) told.clear();
        for (const window of aggregation.windows.recent()) if (!window.closed) lookout.changed.add(window);
      }
      for (const window of touched) if (!window.closed) lookout.changed.add(window);
    }
  }

  /** An aggregation is gone, or another has its name. */
  forget(name: string): void {
    this.#lookouts.delete(name);
  }

  /** Arranges for a look at what changed. */
  schedule(): void {
    for (const lookout of this.#lookouts.values()) {
      if (lookout.isScheduled || lookout.changed.size === 0) continue;
      lookout.isScheduled = true;
      this.#deps.later(() => void this.#look(lookout), Math.max(0, lookout.restUntil - this.#deps.now()));
    }
  }

  #lookoutOf(aggregation: Aggregation): Lookout | undefined {
    const { name } = aggregation.plan.definition;
    const rules = this.#rules.get(name);
    const { type } = aggregation.plan.shape;
    // Hopping windows are many at a time and merged anew for each look; a session's end is not known.
    if (rules === undefined || (type !== "tumbling" && type !== "calendar")) return undefined;
    const known = this.#lookouts.get(name);
    if (known?.aggregation === aggregation) return known.trials.length > 0 ? known : undefined;
    const lookout = new Lookout(aggregation, rules);
    this.#lookouts.set(name, lookout);
    return lookout.trials.length > 0 ? lookout : undefined;
  }

  async #look(lookout: Lookout): Promise<void> {
    const { now, report } = this.#deps;
    const { tried, found } = lookout.look();
    lookout.restUntil = now() + MIN_PAUSE_MS * Math.max(1, Math.ceil(tried / GROUPS_PER_LOOK));
    try {
      for (const { trial, window, groups } of found) await this.#tell(lookout.aggregation, trial, window, groups);
    } catch (error) {
      report("tell alerts early", error);
      for (const { window } of found) lookout.changed.add(window);
      lookout.restUntil = now() + RETRY_AFTER_MS;
    }
    lookout.isScheduled = false;
    if (this.#lookouts.get(lookout.aggregation.plan.definition.name) === lookout) this.schedule();
  }

  async #tell(
    aggregation: Aggregation,
    { rule, told }: Trial,
    window: WindowView,
    groups: readonly GroupState[],
  ): Promise<void> {
    for (let from = 0; from < groups.length; from += GROUPS_PER_CALL) {
      const part = groups.slice(from, from + GROUPS_PER_CALL);
      const early = openWindow(aggregation, window, part);
      await this.#deps.deliverEarly([{ ruleId: rule.id, version: rule.version, window: early }]);
      for (const group of part) told.add(nameOf(window, group));
    }
  }
}

function trialOf(plan: Plan, rule: EarlyRule): Trial | undefined {
  const { measures, filter } = plan.definition;
  const threshold = rule.threshold ?? undefined;
  if (!canOnlyRise(rule.condition, { measures, threshold, filter })) return undefined;
  const compiled = compileCondition(rule.condition, Object.keys(measures), threshold);
  return compiled.ok ? { rule, condition: compiled.condition, told: new Set() } : undefined;
}

function holds(condition: Condition, plan: Plan, window: WindowView, group: GroupState): boolean {
  const spanMs = window.end - window.start;
  const values: Record<string, WindowGroup["values"][string]> = {};
  for (const [m, { name }] of plan.measures.entries()) {
    if (condition.measures.has(name)) values[name] = group.accumulators[m]?.result(spanMs) ?? null;
  }
  const input = { group: groupJson(plan, group.key), values, window, past: () => undefined };
  return condition.verdict(input) === "pass";
}

function openWindow(aggregation: Aggregation, window: WindowView, groups: readonly GroupState[]): ClosedWindow {
  const { plan, version } = aggregation;
  const { start, end } = window;
  const shown = groups.map((group) => {
    return { group: groupJson(plan, group.key), values: valuesOf(plan, group, end - start) };
  });
  return { aggregation: plan.definition.name, version, start, end, revision: window.revision, groups: shown };
}

const nameOf = ({ start }: WindowView, { key }: GroupState): string => `${start} ${key}`;
