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
import { afterAcknowledgement, afterEnding, afterTransition } from "../../core/alerts/alert-life.ts";
import type { Chapter, Hand } from "../../core/alerts/alert-life.ts";
import { alertJson } from "../../core/alerts/alert.ts";
import type { AlertJson, AlertRecord, EndReason } from "../../core/alerts/alert.ts";
import { cursorAt } from "../../core/alerts/cursor.ts";
import type { RuleLogic } from "../../core/alerts/evaluate.ts";
import { instanceKey } from "../../core/alerts/instance.ts";
import type { Instance } from "../../core/alerts/instance.ts";
import { MAX_OPEN_PER_TENANT } from "../../core/alerts/limits.ts";
import { notificationBody } from "../../core/alerts/notification.ts";
import type { NotificationData, NotificationKind } from "../../core/alerts/notification.ts";
import { settlementOf } from "../../core/alerts/rule.ts";
import { uuidv7 } from "../../core/events/uuid.ts";
import type { ClosedWindow } from "../../core/windows/window-json.ts";
import type { EarlyWindow } from "../aggregator/early-watch.ts";
import { AlertLog } from "./alert-log.ts";
import { EvaluationStore } from "./evaluation-store.ts";
import { messageIdOf, Outbox } from "./outbox.ts";
import { RuleBook } from "./rule-book.ts";
import type { StoredRule } from "./rule-book.ts";

/** A window and what is done with it. */
interface Turn {
  readonly window: ClosedWindow;
  readonly rules: readonly RuleLogic[];
  readonly take: typeof takeWindow;
}

/** Open alerts whose values alone changed that one call tells live readers of. */
const MAX_REFRESHED = 100;
const NOBODY: Hand = { by: null, comment: null };

/**
 * What the AlertManager does to rules and alerts, each in one transaction with the notifications that follow from it.
 * Memory changes only after the transaction has committed. Methods return the alerts that changed, for live readers.
 */
export class AlertDesk {
  readonly rules: RuleBook;
  readonly log: AlertLog;
  readonly outbox: Outbox;
  readonly #evaluations: EvaluationStore;
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.rules = new RuleBook(storage.sql);
    this.log = new AlertLog(storage.sql);
    this.outbox = new Outbox(storage.sql);
    this.#evaluations = new EvaluationStore(storage.sql, (aggregation) => this.rules.idsOn(aggregation));
  }

  state(aggregation: string): AggregationState {
    return this.#evaluations.state(aggregation);
  }

  /** Aggregations whose rules must hear of windows without events too. */
  get openAggregations(): string[] {
    return this.#evaluations.aggregations.filter((name) => awaitsTime(this.rules.watching(name), this.state(name)));
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
    const refreshed = this.#refreshed(states);
    const changed = this.#commit(states, () =>
      transitions.map((transition) => this.#writeTransition(transition, nowMs)),
    );
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
    const changed = this.#commit(states, () => {
      this.rules.write(rule);
      return reason === null ? [] : ended.map((instance) => this.#end(instance, reason, NOBODY, nowMs));
    });
    this.rules.hold(rule);
    this.#dropUnwatched(before?.spec.aggregation);
    return changed;
  }

  /** Deletes a rule; its open alerts end with it. */
  deleteRule(rule: StoredRule, nowMs: number): AlertJson[] {
    const states = new Map<string, AggregationState>();
    const ended = this.#openOf(rule);
    this.#withdraw(rule, states);
    const changed = this.#commit(states, () => {
      this.rules.erase(rule.id);
      return ended.map((instance) => this.#end(instance, "rule_deleted", NOBODY, nowMs));
    });
    this.rules.forget(rule.id);
    this.#dropUnwatched(rule.spec.aggregation);
    return changed;
  }

  /**
   * @param record a firing alert
   * @param hearers ids of those of its channels that are told
   */
  acknowledge(record: AlertRecord, hand: Hand, hearers: readonly string[], nowMs: number): AlertJson {
    const chapter = afterAcknowledgement(record, hand, nowMs);
    const alert = this.json(chapter.record);
    this.#storage.transactionSync(() => {
      this.log.write(chapter);
      this.#tell("acknowledged", hearers, { alert, window: record.window, values: record.values }, nowMs);
    });
    return alert;
  }

  /** Ends an open alert by hand. Should its condition hold in a later window, that is a new alert. */
  resolve(record: AlertRecord, hand: Hand, nowMs: number): AlertJson[] {
    const instance = this.#instanceOf(record);
    const aggregation = this.rules.get(record.ruleId)?.spec.aggregation;
    if (instance === undefined || aggregation === undefined) return [];
    const state = withoutInstance(this.state(aggregation), record.ruleId, instanceKey(record));
    return this.#commit(new Map([[aggregation, state]]), () => [this.#end(instance, "manual", hand, nowMs)]);
  }

  /** An alert with the values of its newest window. */
  json(record: AlertRecord): AlertJson {
    return alertJson(record, this.#instanceOf(record));
  }

  #instanceOf(record: AlertRecord): Instance | undefined {
    const aggregation = this.rules.get(record.ruleId)?.spec.aggregation;
    if (record.status === "resolved" || aggregation === undefined) return undefined;
    return this.state(aggregation).instances.get(record.ruleId)?.get(instanceKey(record));
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

  #commit(states: ReadonlyMap<string, AggregationState>, write: () => AlertJson[]): AlertJson[] {
    const changed = this.#storage.transactionSync(() => {
      for (const [aggregation, state] of states) this.#evaluations.write(aggregation, state);
      const alerts = write();
      if (alerts.some(({ status }) => status === "resolved")) this.log.prune();
      return alerts;
    });
    for (const [aggregation, state] of states) this.#evaluations.hold(aggregation, state);
    return changed;
  }

  #writeTransition(transition: RuleTransition, nowMs: number): AlertJson {
    const rule = this.rules.get(transition.ruleId);
    if (rule === undefined) throw new Error(`no rule ${transition.ruleId}`);
    const record = this.log.find(transition.instance.alertId);
    const chapter = afterTransition(record, transition, { ...rule.spec, id: rule.id }, nowMs);
    return this.#write(chapter, transition, nowMs);
  }

  #end(instance: Instance, reason: EndReason, hand: Hand, nowMs: number): AlertJson {
    const record = this.log.find(instance.alertId);
    if (record === null) throw new Error(`no alert ${instance.alertId}`);
    const shown = { ...record, window: instance.window, values: instance.values };
    return this.#write(afterEnding(shown, reason, hand, nowMs), instance, nowMs);
  }

  /** An alert that ends without having fired leaves no record and tells no channel. */
  #write(chapter: Chapter, { window, values }: Pick<NotificationData, "window" | "values">, nowMs: number): AlertJson {
    const { record, entry } = chapter;
    const alert = alertJson(record);
    if (record.firedAt === null && entry.kind === "resolved") {
      this.log.erase(record.id);
      return alert;
    }
    this.log.write(chapter);
    if (entry.kind !== "firing" && entry.kind !== "resolved") return alert;
    this.#tell(entry.kind, record.channels, { alert, window, values }, nowMs);
    return alert;
  }

  #tell(kind: NotificationKind, channels: readonly string[], data: NotificationData, nowMs: number): void {
    const body = notificationBody(kind, nowMs, data);
    const alertId = data.alert.id;
    const messageId = messageIdOf(alertId, kind);
    for (const channelId of channels) this.outbox.add({ messageId, channelId, alertId, body }, nowMs);
  }

  #refreshed(states: ReadonlyMap<string, AggregationState>): AlertJson[] {
    const refreshed: AlertJson[] = [];
    for (const [aggregation, after] of states) {
      const before = this.state(aggregation);
      for (const [ruleId, instances] of after.instances) {
        for (const [key, instance] of instances) {
          const was = before.instances.get(ruleId)?.get(key);
          if (was === undefined || was === instance || was.alertId !== instance.alertId) continue;
          if (refreshed.length >= MAX_REFRESHED) return refreshed;
          const record = this.log.find(instance.alertId);
          if (record !== null) refreshed.push(alertJson(record, instance));
        }
      }
    }
    return refreshed;
  }
}

/** Ids sort by time, so that alerts are listed by it. */
function newId(nowMs: number): string {
  return uuidv7(nowMs, crypto.getRandomValues(new Uint8Array(16)));
}
