import type { AggregationState, RuleTransition } from "../../core/alerts/aggregation-rules.ts";
import { afterEnding, afterTransition } from "../../core/alerts/alert-life.ts";
import type { Hand } from "../../core/alerts/alert-life.ts";
import { alertJson } from "../../core/alerts/alert.ts";
import type { AlertJson, AlertRecord, EndReason } from "../../core/alerts/alert.ts";
import { Dispatch } from "../../core/alerts/dispatch/dispatch.ts";
import type { DispatchMessage } from "../../core/alerts/dispatch/terms.ts";
import { instanceKey } from "../../core/alerts/instance.ts";
import type { Instance } from "../../core/alerts/instance.ts";
import { uuidv7 } from "../../core/events/uuid.ts";
import type { AlertLog } from "./alert-log.ts";
import type { DispatchStore } from "./dispatch-store.ts";
import type { EvaluationStore } from "./evaluation-store.ts";
import { bodyOf } from "./message-body.ts";
import type { Outbox } from "./outbox.ts";
import type { RuleBook } from "./rule-book.ts";

/** What one change does beside what follows from it. */
export interface Change {
  readonly states?: ReadonlyMap<string, AggregationState>;
  /** Notes what happens to alerts. */
  readonly note: (dispatch: Dispatch) => void;
  /** Writes more, in the same transaction. */
  readonly write?: () => void;
}

/** Open alerts whose values alone changed that one call tells live readers of. */
const MAX_REFRESHED = 100;

/** What a change is made with. */
export interface ChangeMeans {
  readonly storage: DurableObjectStorage;
  readonly rules: RuleBook;
  readonly log: AlertLog;
  readonly outbox: Outbox;
  readonly evaluations: EvaluationStore;
  readonly dispatches: DispatchStore;
  /** Whether a channel is told of acknowledgements. */
  readonly hearsAcknowledgements: (channelId: string) => boolean;
}

/** Changes of alerts, each written down together with what follows from it. */
export class Changes {
  readonly #means: ChangeMeans;

  constructor(means: ChangeMeans) {
    this.#means = means;
  }

  /** An alert with the values of its newest window. */
  json(record: AlertRecord): AlertJson {
    return alertJson(record, this.instanceOf(record));
  }

  /** Makes a change: what happens to alerts, what follows from it, and the messages that tell of it, in one transaction. */
  make({ states = new Map(), note, write }: Change, nowMs: number): AlertJson[] {
    const { storage, log, evaluations, dispatches, hearsAcknowledgements } = this.#means;
    const means = { nowMs, newId: () => newId(nowMs), hearsAcknowledgements };
    const dispatch = new Dispatch(dispatches, means);
    const result = storage.transactionSync(() => {
      note(dispatch);
      const concluded = dispatch.finish();
      for (const [aggregation, state] of states) evaluations.write(aggregation, state);
      write?.();
      dispatches.write(concluded, nowMs);
      for (const message of concluded.messages) this.#post(message, states, nowMs);
      if (concluded.alerts.some(({ record }) => record.status === "resolved")) log.prune();
      return concluded;
    });
    for (const [aggregation, state] of states) evaluations.hold(aggregation, state);
    return result.alerts.map(({ record }) => this.json(record));
  }

  noteTransition(dispatch: Dispatch, transition: RuleTransition, nowMs: number): void {
    const { rules } = this.#means;
    const rule = rules.get(transition.ruleId);
    if (rule === undefined) throw new Error(`no rule ${transition.ruleId}`);
    const before = dispatch.alert(transition.instance.alertId);
    const { record, entry } = afterTransition(before, transition, { ...rule.spec, id: rule.id }, nowMs);
    dispatch.note(record, entry);
  }

  noteEnd(dispatch: Dispatch, instance: Instance, reason: EndReason, hand: Hand, nowMs: number): void {
    const before = dispatch.alert(instance.alertId);
    if (before === null) throw new Error(`no alert ${instance.alertId}`);
    const shown = { ...before, window: instance.window, values: instance.values };
    const { record, entry } = afterEnding(shown, reason, hand, nowMs);
    dispatch.note(record, entry);
  }

  /** Open alerts whose values alone change, as they will be. */
  refreshed(states: ReadonlyMap<string, AggregationState>): AlertJson[] {
    const { log, evaluations } = this.#means;
    const refreshed: AlertJson[] = [];
    for (const [aggregation, after] of states) {
      const before = evaluations.state(aggregation);
      for (const [ruleId, instances] of after.instances) {
        for (const [key, instance] of instances) {
          const was = before.instances.get(ruleId)?.get(key);
          if (was === undefined || was === instance || was.alertId !== instance.alertId) continue;
          if (refreshed.length >= MAX_REFRESHED) return refreshed;
          const record = log.find(instance.alertId);
          if (record !== null) refreshed.push(alertJson(record, instance));
        }
      }
    }
    return refreshed;
  }

  /** The instance that an open alert belongs to. @param states those that are about to be written, before those that are */
  instanceOf(record: AlertRecord, states?: ReadonlyMap<string, AggregationState>): Instance | undefined {
    const { rules, evaluations } = this.#means;
    const aggregation = rules.get(record.ruleId)?.spec.aggregation;
    if (record.status === "resolved" || aggregation === undefined) return undefined;
    const state = states?.get(aggregation) ?? evaluations.state(aggregation);
    const instance = state.instances.get(record.ruleId)?.get(instanceKey(record));
    return instance?.alertId === record.id ? instance : undefined;
  }

  #post(message: DispatchMessage, states: ReadonlyMap<string, AggregationState>, nowMs: number): void {
    const { outbox } = this.#means;
    const body = bodyOf(message, (record) => this.instanceOf(record, states), nowMs);
    if (body === null) return;
    const { id: messageId, threadId: alertId, after } = message;
    for (const channelId of message.channels) {
      const waitsFor = after[channelId] ?? null;
      outbox.add({ messageId, channelId, alertId, body, waitsFor }, nowMs);
    }
  }
}

/** Ids sort by time, so that alerts are listed by it. */
export function newId(nowMs: number): string {
  return uuidv7(nowMs, crypto.getRandomValues(new Uint8Array(16)));
}
