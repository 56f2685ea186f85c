import {
  EMPTY_STATE,
  NO_INSTANCES,
  awaitsTime,
  takeOpenWindow,
  takeWindow,
  withoutInstance,
  withoutRule,
} from "../../core/alerts/aggregation-rules.ts";
import type { AggregationState, RuleTransition } from "../../core/alerts/aggregation-rules.ts";
import { afterAcknowledgement } from "../../core/alerts/alert-life.ts";
import type { Hand } from "../../core/alerts/alert-life.ts";
import type { AlertJson, AlertRecord } from "../../core/alerts/alert.ts";
import { cursorAt } from "../../core/alerts/cursor.ts";
import type { Dispatch } from "../../core/alerts/dispatch/dispatch.ts";
import type { Silence } from "../../core/alerts/dispatch/silence.ts";
import { compileSilence } from "../../core/alerts/dispatch/silence.ts";
import type { RuleLogic } from "../../core/alerts/evaluate.ts";
import { instanceKey } from "../../core/alerts/instance.ts";
import type { Instance } from "../../core/alerts/instance.ts";
import { MAX_OPEN_PER_TENANT } from "../../core/alerts/limits.ts";
import { settlementOf } from "../../core/alerts/rule.ts";
import type { ClosedWindow } from "../../core/windows/window-json.ts";
import type { EarlyWindow } from "../aggregator/early-watch.ts";
import { AlertLog } from "./alert-log.ts";
import { Changes, newId } from "./changes.ts";
import { DispatchStore } from "./dispatch-store.ts";
import { EvaluationStore } from "./evaluation-store.ts";
import { Outbox } from "./outbox.ts";
import { RuleBook } from "./rule-book.ts";
import type { StoredRule } from "./rule-book.ts";
import { SilenceBook } from "./silence-book.ts";

/** A window and what is done with it. */
interface Turn {
  readonly window: ClosedWindow;
  readonly rules: readonly RuleLogic[];
  readonly take: typeof takeWindow;
}

const NOBODY: Hand = { by: null, comment: null };

/**
 * What the AlertManager does to rules, alerts and silences, each in one transaction with the notifications that follow from it.
 * Memory changes only after the transaction has committed. Methods return the alerts that changed, for live readers.
 */
export class AlertDesk {
  readonly rules: RuleBook;
  readonly log: AlertLog;
  readonly outbox: Outbox;
  readonly silences: SilenceBook;
  readonly #evaluations: EvaluationStore;
  readonly #dispatches: DispatchStore;
  readonly #changes: Changes;
  readonly #storage: DurableObjectStorage;

  /** @param hearsAcknowledgements whether a channel is told of acknowledgements */
  constructor(storage: DurableObjectStorage, hearsAcknowledgements: (channelId: string) => boolean) {
    const { sql } = storage;
    this.#storage = storage;
    this.rules = new RuleBook(sql);
    this.log = new AlertLog(sql);
    this.outbox = new Outbox(sql);
    this.silences = new SilenceBook(sql, Date.now());
    this.#evaluations = new EvaluationStore(sql, (aggregation) => this.rules.idsOn(aggregation));
    this.#dispatches = new DispatchStore(sql, this);
    const [evaluations, dispatches] = [this.#evaluations, this.#dispatches];
    const { rules, log, outbox } = this;
    this.#changes = new Changes({ storage, rules, log, outbox, evaluations, dispatches, hearsAcknowledgements });
  }

  state(aggregation: string): AggregationState {
    return this.#evaluations.state(aggregation);
  }

  /** Aggregations whose rules must hear of windows without events too. */
  get openAggregations(): string[] {
    return this.#evaluations.aggregations.filter((name) => awaitsTime(this.rules.watching(name), this.state(name)));
  }

  /** Epoch ms at which `takeTime` has something to do, or null. */
  get dueAt(): number | null {
    return this.#dispatches.dueAt;
  }

  /** Whether messages go by this id: that of an alert or of a bundle. */
  hasThread(id: string): boolean {
    return this.log.find(id) !== null || this.#dispatches.hasThread(id);
  }

  /** Does what the clock asks for: silences that begin and end, escalations, repeats. */
  takeTime(nowMs: number): AlertJson[] {
    const alerts = this.#dispatches.dueAlerts(nowMs);
    const bundles = this.#dispatches.dueBundles(nowMs);
    if (alerts.length + bundles.length === 0) return [];
    const note = (dispatch: Dispatch): void => {
      for (const record of alerts) dispatch.review(record);
      for (const bundle of bundles) dispatch.revisit(bundle);
    };
    return this.#changes.make({ note }, nowMs);
  }

  /** Makes a silence, or ends one by giving it an end that has passed. */
  putSilence(silence: Silence, nowMs: number): AlertJson[] {
    const { matches } = compileSilence(silence);
    const wasQuiet = `silence:${silence.id}`;
    const concerned = this.log
      .listFiring(null)
      .filter((record) => record.mutedBy?.includes(wasQuiet) === true || matches(record));
    this.#storage.transactionSync(() => this.silences.write(silence));
    this.silences.hold(silence);
    const note = (dispatch: Dispatch): void => {
      for (const record of concerned) dispatch.review(record);
    };
    const changed = this.#changes.make({ note }, nowMs);
    this.#storage.transactionSync(() => this.silences.prune(nowMs));
    return changed;
  }

  /** Forgets a silence that has not begun. */
  dropSilence(id: string): void {
    this.silences.erase(id);
    this.silences.drop(id);
  }

  /** An alert with the values of its newest window. */
  json(record: AlertRecord): AlertJson {
    return this.#changes.json(record);
  }

  /** Evaluates closed windows, in order of end per aggregation; repeats change nothing. */
  takeWindows(batch: readonly ClosedWindow[], nowMs: number): AlertJson[] {
    const turns = batch.map((window) => ({ window, rules: this.rules.watching(window.aggregation), take: takeWindow }));
    return this.#evaluate(turns, nowMs);
  }

  /** Evaluates windows that are still open, each for one rule, unless the rule has changed since it was tried on it. */
  takeOpenWindows(batch: readonly EarlyWindow[], nowMs: number): AlertJson[] {
    const turns = batch.map(({ ruleId, version, window }) => {
      const rule = this.rules.enabled(ruleId, version);
      return { window, rules: rule === undefined ? [] : [rule], take: takeOpenWindow };
    });
    return this.#evaluate(turns, nowMs);
  }

  #evaluate(turns: readonly Turn[], nowMs: number): AlertJson[] {
    const states = new Map<string, AggregationState>();
    const transitions: RuleTransition[] = [];
    let room = MAX_OPEN_PER_TENANT - this.#evaluations.openAlerts;
    for (const { window, rules, take } of turns) {
      if (rules.length === 0) continue;
      const before = states.get(window.aggregation) ?? this.state(window.aggregation);
      const step = take(rules, before, window, { newId: () => newId(nowMs), room });
      room -= step.opened;
      if (step.state !== before) states.set(window.aggregation, step.state);
      transitions.push(...step.transitions);
    }
    const refreshed = this.#changes.refreshed(states);
    const note = (dispatch: Dispatch): void => {
      for (const transition of transitions) this.#changes.noteTransition(dispatch, transition, nowMs);
    };
    const changed = this.#changes.make({ states, note }, nowMs);
    return [...new Map([...refreshed, ...changed].map((alert) => [alert.id, alert])).values()];
  }

  /**
   * Writes a new rule or a new version of one.
   * @param watermark of its aggregation, epoch ms, null before its first event: only windows that close later are evaluated
   */
  putRule(rule: StoredRule, watermark: number | null, nowMs: number): AlertJson[] {
    const before = this.rules.get(rule.id);
    const reason = before === undefined ? null : settlementOf(before.spec, rule.spec);
    const states = new Map<string, AggregationState>();
    const { aggregation } = rule.spec;
    if (rule.spec.enabled && !this.#evaluations.has(aggregation) && watermark !== null) {
      states.set(aggregation, { ...EMPTY_STATE, cursor: cursorAt(watermark) });
    }
    const ended = before === undefined || reason === null ? [] : this.#openOf(before);
    if (before !== undefined && reason !== null) this.#withdraw(before, states);
    const note = (dispatch: Dispatch): void => {
      if (reason !== null)
        for (const instance of ended) this.#changes.noteEnd(dispatch, instance, reason, NOBODY, nowMs);
    };
    const changed = this.#changes.make({ states, note, write: () => this.rules.write(rule) }, nowMs);
    this.rules.hold(rule);
    this.#dropUnwatched(before?.spec.aggregation);
    return [...changed, ...this.#reviewRule(rule.id, nowMs)];
  }

  /** Deletes a rule; its open alerts end with it. */
  deleteRule(rule: StoredRule, nowMs: number): AlertJson[] {
    const states = new Map<string, AggregationState>();
    const ended = this.#openOf(rule);
    this.#withdraw(rule, states);
    const note = (dispatch: Dispatch): void => {
      for (const instance of ended) this.#changes.noteEnd(dispatch, instance, "rule_deleted", NOBODY, nowMs);
    };
    const changed = this.#changes.make({ states, note, write: () => this.rules.erase(rule.id) }, nowMs);
    this.rules.forget(rule.id);
    this.#dropUnwatched(rule.spec.aggregation);
    return changed;
  }

  /** @param record a firing alert */
  acknowledge(record: AlertRecord, hand: Hand, nowMs: number): AlertJson[] {
    const { record: taken, entry } = afterAcknowledgement(record, hand, nowMs);
    return this.#changes.make({ note: (dispatch) => dispatch.note(taken, entry) }, nowMs);
  }

  /** Ends an open alert by hand. Should its condition hold in a later window, that is a new alert. */
  resolve(record: AlertRecord, hand: Hand, nowMs: number): AlertJson[] {
    const instance = this.#changes.instanceOf(record);
    const aggregation = this.rules.get(record.ruleId)?.spec.aggregation;
    if (instance === undefined || aggregation === undefined) return [];
    const state = withoutInstance(this.state(aggregation), record.ruleId, instanceKey(record));
    const note = (dispatch: Dispatch): void => this.#changes.noteEnd(dispatch, instance, "manual", hand, nowMs);
    return this.#changes.make({ states: new Map([[aggregation, state]]), note }, nowMs);
  }

  #openOf(rule: StoredRule): Instance[] {
    return [...(this.state(rule.spec.aggregation).instances.get(rule.id) ?? NO_INSTANCES).values()];
  }

  #withdraw(rule: StoredRule, states: Map<string, AggregationState>): void {
    const { aggregation } = rule.spec;
    if (!this.#evaluations.has(aggregation)) return;
    states.set(aggregation, withoutRule(states.get(aggregation) ?? this.state(aggregation), rule.id));
  }

  /** A rule that comes back after nobody watched starts afresh, not after a gap that was never told. */
  #dropUnwatched(aggregation: string | undefined): void {
    if (aggregation === undefined || this.rules.watching(aggregation).length > 0) return;
    this.#evaluations.erase(aggregation);
    this.#evaluations.forget(aggregation);
  }

  /** How its alerts are told of may have changed with a rule. */
  #reviewRule(ruleId: string, nowMs: number): AlertJson[] {
    const firing = this.log.listFiring(ruleId);
    if (firing.length === 0) return [];
    const note = (dispatch: Dispatch): void => {
      for (const record of firing) dispatch.review(record);
    };
    return this.#changes.make({ note }, nowMs);
  }
}
