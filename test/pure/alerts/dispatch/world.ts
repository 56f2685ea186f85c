import {
  EMPTY_STATE,
  takeOpenWindow,
  takeWindow,
  withoutInstance,
  withoutRule,
} from "../../../../core/alerts/aggregation-rules.ts";
import type { AggregationState, RuleTransition } from "../../../../core/alerts/aggregation-rules.ts";
import { afterAcknowledgement, afterEnding, afterTransition } from "../../../../core/alerts/alert-life.ts";
import type { HistoryEntry } from "../../../../core/alerts/alert-life.ts";
import type { AlertRecord } from "../../../../core/alerts/alert.ts";
import type { Bundle } from "../../../../core/alerts/dispatch/bundle.ts";
import { Dispatch } from "../../../../core/alerts/dispatch/dispatch.ts";
import type { DispatchShelf } from "../../../../core/alerts/dispatch/terms.ts";
import { policyOf } from "../../../../core/alerts/dispatch/rule-policy.ts";
import type { RulePolicy } from "../../../../core/alerts/dispatch/rule-policy.ts";
import { compileSilence } from "../../../../core/alerts/dispatch/silence.ts";
import type { CompiledSilence, Silence } from "../../../../core/alerts/dispatch/silence.ts";
import type { Track } from "../../../../core/alerts/dispatch/track.ts";
import { packInstances, unpackInstances } from "../../../../core/alerts/instance.ts";
import type { Instance } from "../../../../core/alerts/instance.ts";
import { compileRule } from "../../../../core/alerts/rule-logic.ts";
import type { RuleLogic } from "../../../../core/alerts/rule-logic.ts";
import { ruleSchema } from "../../../../core/alerts/rule.ts";
import type { RuleSpec } from "../../../../core/alerts/rule.ts";
import type { ClosedWindow } from "../../../../core/windows/window-json.ts";

/** What was told, by group: `firing`, `escalated`, `resolved`. */
export interface Heard {
  readonly at: number;
  readonly what: string;
  readonly alertId: string;
  readonly group: string;
  readonly messageId: string;
}

const nobody = { by: null, comment: null };

/** The alert manager without its object: rules, dispatch and their rows, kept in maps and read back from JSON at each restart. */
export class World implements DispatchShelf {
  readonly spec: RuleSpec;
  now = 0;
  readonly heard: Heard[] = [];
  #logic: RuleLogic;
  #policy: RulePolicy;
  #state: AggregationState = EMPTY_STATE;
  #alerts = new Map<string, { record: AlertRecord; history: HistoryEntry[] }>();
  #bundles = new Map<string, Bundle>();
  #tracks = new Map<string, Track>();
  #silences: CompiledSilence[] = [];
  #made = 0;

  constructor(more: Partial<RuleSpec>) {
    const rule = { name: "r", aggregation: "a", condition: "value > 5", level: "error", channels: ["c"], ...more };
    this.spec = ruleSchema.parse(rule);
    const compiled = compileRule("rule", this.spec, ["value"]);
    if (!compiled.ok) throw new Error(compiled.message);
    this.#logic = compiled.logic;
    this.#policy = policyOf("rule", this.spec);
  }

  /** Epoch ms at which the alarm is due, or null. */
  get dueAt(): number | null {
    const alerts = [...this.#alerts.values()].map(({ record }) => record.nextAt ?? Infinity);
    const bundles = [...this.#bundles.values()].map(({ dueAt }) => dueAt ?? Infinity);
    const due = Math.min(...alerts, ...bundles);
    return Number.isFinite(due) ? due : null;
  }

  /** Ids of alerts that fire, by group. */
  get firingIds(): ReadonlyMap<string, string> {
    return new Map(this.firing().map((record) => [nameOf(record), record.id]));
  }

  /** Takes closed windows, all in one change. */
  close(...windows: readonly ClosedWindow[]): void {
    this.#evaluate(takeWindow, windows);
  }

  open(window: ClosedWindow): void {
    this.#evaluate(takeOpenWindow, [window]);
  }

  alarm(): void {
    this.#change((dispatch) => {
      for (const { record } of this.#alerts.values())
        if ((record.nextAt ?? Infinity) <= this.now) dispatch.review(record);
      for (const bundle of this.#bundles.values()) if ((bundle.dueAt ?? Infinity) <= this.now) dispatch.revisit(bundle);
    });
  }

  silence(silence: Silence): void {
    this.#silences = [...this.#silences, compileSilence(silence)];
    this.#change((dispatch) => {
      for (const record of this.firing()) dispatch.review(record);
    });
  }

  acknowledge(group: string): void {
    const record = this.firing().find((one) => nameOf(one) === group);
    if (record === undefined || record.acknowledgedAt !== null) return;
    this.#change((dispatch) => {
      const { record: taken, entry } = afterAcknowledgement(record, { by: "ada", comment: null }, this.now);
      dispatch.note(taken, entry);
    });
  }

  resolve(group: string): void {
    const found = [...(this.#state.instances.get("rule") ?? [])].find(([, instance]) => nameOf(instance) === group);
    if (found === undefined) return;
    this.#state = withoutInstance(this.#state, "rule", found[0]);
    this.#change((dispatch) => this.#end(dispatch, found[1], "manual"));
  }

  /** The rule is written anew in a way that ends its alerts. */
  edit(): void {
    const open = [...(this.#state.instances.get("rule") ?? new Map<string, Instance>()).values()];
    this.#state = withoutRule(this.#state, "rule");
    this.#change((dispatch) => {
      for (const instance of open) this.#end(dispatch, instance, "rule_changed");
    });
  }

  restart(): void {
    this.#alerts = reread(this.#alerts);
    this.#bundles = reread(this.#bundles);
    this.#tracks = reread(this.#tracks);
    const pages = [...this.#state.instances].map(
      ([id, open]) => [id, unpackInstances(packInstances(open, 300))] as const,
    );
    this.#state = { ...this.#state, instances: new Map(pages) };
  }

  alert(id: string): AlertRecord | null {
    return this.#alerts.get(id)?.record ?? null;
  }

  firing(): AlertRecord[] {
    const records = [...this.#alerts.values()].map(({ record }) => record);
    return records.filter(({ firedAt, status }) => firedAt !== null && status !== "resolved");
  }

  ending(id: string): HistoryEntry | null {
    return this.#alerts.get(id)?.history.findLast(({ kind }) => kind === "resolved") ?? null;
  }

  bundle(key: string): Bundle | null {
    return this.#bundles.get(key) ?? null;
  }

  track(ruleId: string, key: string): Track | null {
    return this.#tracks.get(`${ruleId} ${key}`) ?? null;
  }

  policy(): RulePolicy {
    return this.#policy;
  }

  inhibited(): readonly RulePolicy[] {
    return [];
  }

  silences(): readonly CompiledSilence[] {
    return this.#silences;
  }

  isWaiting(): boolean {
    return false;
  }

  #evaluate(take: typeof takeWindow, windows: readonly ClosedWindow[]): void {
    const transitions = windows.flatMap((window) => {
      const step = take([this.#logic], this.#state, window, { newId: () => `alert-${this.#made++}`, room: 20_000 });
      this.#state = step.state;
      return step.transitions;
    });
    this.#change((dispatch) => {
      for (const transition of transitions) this.#transition(dispatch, transition);
    });
  }

  #transition(dispatch: Dispatch, transition: RuleTransition): void {
    const before = dispatch.alert(transition.instance.alertId);
    const { record, entry } = afterTransition(before, transition, { ...this.spec, id: "rule" }, this.now);
    dispatch.note(record, entry);
  }

  #end(dispatch: Dispatch, instance: Instance, reason: "manual" | "rule_changed"): void {
    const before = dispatch.alert(instance.alertId);
    if (before === null) throw new Error(`no alert ${instance.alertId}`);
    const { record, entry } = afterEnding(before, reason, nobody, this.now);
    dispatch.note(record, entry);
  }

  #change(note: (dispatch: Dispatch) => void): void {
    const means = { nowMs: this.now, newId: () => `bundle-${this.#made++}`, hearsAcknowledgements: () => false };
    const dispatch = new Dispatch(this, means);
    note(dispatch);
    const { alerts, bundles, tracks, messages } = dispatch.finish();
    for (const { record, entries } of alerts) {
      const history = [...(this.#alerts.get(record.id)?.history ?? []), ...entries];
      if (record.status === "resolved" && record.firedAt === null) this.#alerts.delete(record.id);
      else this.#alerts.set(record.id, { record, history });
    }
    for (const [key, bundle] of bundles) {
      if (bundle === null) this.#bundles.delete(key);
      else this.#bundles.set(key, bundle);
    }
    for (const track of tracks) this.#tracks.set(`${track.ruleId} ${track.key}`, track);
    for (const { id: messageId, firing, resolved, channels } of messages) {
      const what = channels.includes("c") ? "firing" : "escalated";
      const hear = (record: AlertRecord, kind: string): void =>
        void this.heard.push({ at: this.now, what: kind, alertId: record.id, group: nameOf(record), messageId });
      for (const record of firing) hear(record, what);
      for (const { record } of resolved) hear(record, channels.includes("c") ? "resolved" : "resolved to the chain");
    }
  }
}

/** Through JSON, as rows go. */
function reread<T>(map: ReadonlyMap<string, T>): Map<string, T> {
  return new Map(JSON.parse(JSON.stringify([...map])));
}

function nameOf({ group }: Pick<AlertRecord, "group">): string {
  return String(group["instance"]);
}
