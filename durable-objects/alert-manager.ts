import { DurableObject } from "cloudflare:workers";
import type { AlertJson } from "../core/alerts/alert.ts";
import type { Hand } from "../core/alerts/alert-life.ts";
import { hearsAcknowledgements } from "../core/alerts/channel.ts";
import type { ChannelTarget } from "../core/alerts/channel.ts";
import { silenceJson } from "../core/alerts/dispatch/silence.ts";
import type { SilenceJson } from "../core/alerts/dispatch/silence.ts";
import { MAX_OUTBOX, MAX_RULES, MAX_SILENCES } from "../core/alerts/limits.ts";
import { liveHubName, tenantOf } from "../core/events/names.ts";
import { MAX_OPEN_LISTED } from "../core/live/protocol.ts";
import { MAX_LIVE_RESOLVED } from "../core/live/topics.ts";
import type { ClosedWindow } from "../core/windows/window-json.ts";
import type { EarlyWindow } from "./aggregator/early-watch.ts";
import { alertFile } from "./alerts/alert-file.ts";
import type { AlertQuery, AlertStats } from "./alerts/alert-log.ts";
import type {
  ActionAnswer,
  AlertFile,
  ChannelAnswer,
  ChannelDraft,
  ChannelRemoval,
  ChannelView,
  Claim,
  DeliveryReport,
  RuleAnswer,
  RuleDraft,
  RuleView,
  SilenceAnswer,
  SilenceDraft,
} from "./alerts/answers.ts";
import { ChannelBook } from "./alerts/channel-book.ts";
import { ChannelDesk } from "./alerts/channel-desk.ts";
import { ChannelHealth } from "./alerts/channel-health.ts";
import { Deliveries } from "./alerts/deliveries.ts";
import { AlertDesk } from "./alerts/desk.ts";
import { FollowUp } from "./alerts/follow-up.ts";
import { LiveNotices } from "./alerts/live-notices.ts";
import type { Notification, NotificationKey } from "./alerts/outbox.ts";
import { PushKeys } from "./alerts/push-keys.ts";
import type { StoredRule } from "./alerts/rule-book.ts";
import { createTables, Settings } from "./alerts/tables.ts";
import { WatchList } from "./alerts/watch-list.ts";
import { logFailure } from "./failure-log.ts";
import { windowAggregator } from "./remote.ts";

/**
 * A tenant's rules, channels and alerts. What follows from a change is written with it: notifications into the outbox, from
 * where they go to the queue after the commit or, should that fail, by the alarm.
 */
export class AlertManager extends DurableObject<Env> {
  readonly #desk: AlertDesk;
  readonly #channels: ChannelBook;
  readonly #channelDesk: ChannelDesk;
  readonly #health: ChannelHealth;
  readonly #deliveries: Deliveries;
  readonly #watchList: WatchList;
  readonly #live: LiveNotices;
  readonly #followUp: FollowUp;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { storage } = ctx;
    const tenant = tenantOf(ctx.id.name);
    createTables(storage.sql);
    const settings = new Settings(storage.sql);
    const channels = new ChannelBook(storage.sql, tenant, env.ENCRYPTION_KEY);
    this.#channels = channels;
    this.#desk = new AlertDesk(storage, (id) => hearsAcknowledgements(channels.typeOf(id) ?? ""));
    this.#health = new ChannelHealth(storage.sql, Math.random);
    const { rules, outbox } = this.#desk;
    const pushKeys = new PushKeys(settings, tenant, env.ENCRYPTION_KEY);
    this.#channelDesk = new ChannelDesk({ channels, health: this.#health, pushKeys, outbox, rules });
    this.#watchList = new WatchList(settings, rules, async (watches) => {
      await windowAggregator(env, tenant).watchRules(watches);
    });
    this.#live = new LiveNotices(async (alerts) => {
      await env.LIVE_HUB.getByName(liveHubName(tenant)).publish([{ topic: "alerts", data: { alerts } }]);
    });
    this.#followUp = new FollowUp({
      tenant,
      dueAt: () => this.#desk.dueAt,
      takeTime: () => this.#takeTime(),
      outbox,
      health: this.#health,
      watchList: this.#watchList,
      send: async (messages) => {
        await env.NOTIFICATIONS.sendBatch(messages.map((body) => ({ body, contentType: "json" })));
      },
      setAlarm: async (at) => await storage.setAlarm(at),
      now: () => Date.now(),
      report: (what, error) => logFailure(ctx.id.name, what, error),
    });
    this.#deliveries = new Deliveries({
      transaction: (work) => storage.transactionSync(work),
      outbox,
      channels,
      health: this.#health,
      followUp: this.#followUp,
      hasThread: (id) => this.#desk.hasThread(id),
      inBackground: (work) => ctx.waitUntil(work),
      now: () => Date.now(),
    });
    if (hasNewQueue(env, settings)) outbox.expireLeases(Date.now());
    void ctx.blockConcurrencyWhile(async () => await this.#followUp.start(await storage.getAlarm()));
  }

  /**
   * Evaluates closed windows, in order of end per aggregation. Repeats are harmless.
   * @returns `open`: aggregations with open alerts. Of these empty windows must be told too, so that the alerts can end
   * @throws when too many notifications wait: nothing is taken, and the caller must come again
   */
  async windowsClosed(batch: readonly ClosedWindow[]): Promise<{ open: string[] }> {
    this.#refuseWhenFull();
    await this.#follow(this.#desk.takeWindows(batch, Date.now()));
    return { open: this.#desk.openAggregations };
  }

  /** Evaluates windows that are still open, for rules that cannot become false in them. Repeats are harmless. Otherwise like `windowsClosed`. */
  async windowsOpen(batch: readonly EarlyWindow[]): Promise<{ open: string[] }> {
    this.#refuseWhenFull();
    await this.#follow(this.#desk.takeOpenWindows(batch, Date.now()));
    return { open: this.#desk.openAggregations };
  }

  /** Makes a rule or replaces one. What that does to open alerts: `settlementOf`. */
  async putRule(draft: RuleDraft): Promise<RuleAnswer> {
    const now = Date.now();
    const known = draft.id === null ? undefined : this.#desk.rules.get(draft.id);
    if (draft.id !== null && known === undefined) return { ok: false, reason: "not_found" };
    if (known === undefined && this.#desk.rules.size >= MAX_RULES) return { ok: false, reason: "too_many" };
    for (const field of ["channels", "escalation_channels"] as const) {
      const index = (draft.spec[field] ?? []).findIndex((id) => !this.#channels.has(id));
      if (index !== -1) return { ok: false, reason: "unknown_channel", field, index };
    }
    const { spec, measures, watermark } = draft;
    const rule = {
      id: known?.id ?? crypto.randomUUID(),
      spec,
      measures,
      createdAt: known?.createdAt ?? now,
      updatedAt: now,
    };
    const changed = this.#desk.putRule(rule, watermark, now);
    await this.#rulesChanged(changed, now);
    return { ok: true, view: this.#view(rule) };
  }

  listRules(): RuleView[] {
    return this.#desk.rules.list().map((rule) => this.#view(rule));
  }

  getRule(id: string): RuleView | null {
    const rule = this.#desk.rules.get(id);
    return rule === undefined ? null : this.#view(rule);
  }

  /** Deletes a rule and resolves its open alerts. @returns false when there is no such rule */
  async deleteRule(id: string): Promise<boolean> {
    const rule = this.#desk.rules.get(id);
    if (rule === undefined) return false;
    const now = Date.now();
    const changed = this.#desk.deleteRule(rule, now);
    await this.#rulesChanged(changed, now);
    return true;
  }

  /** Makes a channel; its secrets can never be read again. */
  async addChannel(draft: ChannelDraft): Promise<ChannelAnswer> {
    return await this.#channelDesk.add(draft);
  }

  /** What a browser subscribes to push messages with, base64url. Null when there is no encryption key to keep its private half. */
  async pushKey(): Promise<string | null> {
    return await this.#channelDesk.pushKey();
  }

  listChannels(): ChannelView[] {
    return this.#channelDesk.list(Date.now());
  }

  deleteChannel(id: string): ChannelRemoval {
    return this.#channelDesk.remove(id);
  }

  /** For the sender alone: where a channel's messages go. Null when there is no such channel or it cannot be decrypted. */
  async channelTarget(id: string): Promise<ChannelTarget | null> {
    return await this.#channels.target(id);
  }

  listAlerts(query: AlertQuery): AlertJson[] {
    return this.#desk.log.list(query).map((record) => this.#desk.json(record));
  }

  getAlert(id: string): AlertFile | null {
    const record = this.#desk.log.find(id);
    return record === null ? null : alertFile(record, this.#desk, this.#health, Date.now());
  }

  /** Acknowledges a firing alert; the first acknowledgement stays. */
  async acknowledge(id: string, hand: Hand): Promise<ActionAnswer> {
    const record = this.#desk.log.find(id);
    if (record === null) return { ok: false, reason: "not_found" };
    if (record.status === "acknowledged") return { ok: true, alert: this.#desk.json(record) };
    if (record.status !== "firing" && record.status !== "suppressed") return { ok: false, reason: "not_firing" };
    const changed = this.#desk.acknowledge(record, hand, Date.now());
    await this.#follow(changed);
    return { ok: true, alert: changed.find((alert) => alert.id === id) ?? this.#desk.json(record) };
  }

  /** Resolves an open alert by hand; one that is resolved stays as it is. */
  async resolve(id: string, hand: Hand): Promise<ActionAnswer> {
    const record = this.#desk.log.find(id);
    if (record === null) return { ok: false, reason: "not_found" };
    const changed = record.status === "resolved" ? [] : this.#desk.resolve(record, hand, Date.now());
    await this.#follow(changed);
    return { ok: true, alert: changed.find((alert) => alert.id === id) ?? this.#desk.json(record) };
  }

  alertStats(): AlertStats {
    return this.#desk.log.stats((id) => this.#desk.rules.get(id)?.spec.name, Date.now());
  }

  listSilences(): SilenceJson[] {
    const now = Date.now();
    return this.#desk.silences.list().map((silence) => silenceJson(silence, now));
  }

  /** Makes a silence. @param startsAt epoch ms; null begins now */
  async addSilence({ startsAt, ...draft }: SilenceDraft): Promise<SilenceAnswer> {
    const now = Date.now();
    if (draft.endsAt <= now) return { ok: false, reason: "has_ended" };
    if (this.#desk.silences.countLive(now) >= MAX_SILENCES) return { ok: false, reason: "too_many" };
    const silence = { id: crypto.randomUUID(), createdAt: now, startsAt: startsAt ?? now, ...draft };
    await this.#follow(this.#desk.putSilence(silence, now));
    return { ok: true, silence: silenceJson(silence, now) };
  }

  /** Ends a silence now; one that has not begun is forgotten. @returns false when there is no such silence */
  async endSilence(id: string): Promise<boolean> {
    const now = Date.now();
    const silence = this.#desk.silences.find(id);
    if (silence === null) return false;
    if (silence.startsAt > now) this.#desk.dropSilence(id);
    else if (silence.endsAt > now) await this.#follow(this.#desk.putSilence({ ...silence, endsAt: now }, now));
    return true;
  }

  /** The live topic `alerts`: the most urgent of what is open, and what was last resolved. */
  snapshot(): { alerts: AlertJson[] } {
    const resolved = { statuses: ["resolved" as const], levels: [], ruleId: null, from: null, to: null, before: null };
    const records = [
      ...this.#desk.log.listOpen(MAX_OPEN_LISTED),
      ...this.#desk.log.list({ ...resolved, limit: MAX_LIVE_RESOLVED }),
    ];
    return { alerts: records.map((record) => this.#desk.json(record)) };
  }

  /** For the sender: what to deliver, unless it was settled already or its channel is held. */
  async claimDelivery(key: NotificationKey): Promise<Claim> {
    return await this.#deliveries.claim(key);
  }

  /** For the sender: writes an attempt down. */
  async recordDelivery(report: DeliveryReport): Promise<void> {
    await this.#deliveries.record(report);
  }

  /** For the sender: what it was given and had no time to begin goes on the queue again. */
  putBack(keys: readonly NotificationKey[]): void {
    this.#deliveries.putBack(keys);
  }

  /**
   * Takes notifications that were given up for another round of attempts.
   * @returns for each whether it is on its way: not when its alert or its channel is gone
   */
  requeue(list: readonly Notification[]): boolean[] {
    return this.#deliveries.requeue(list);
  }

  /** A test reached the channel: what was held back for it goes now. */
  channelWorks(id: string): void {
    this.#deliveries.release(id);
  }

  override async alarm(): Promise<void> {
    await this.#followUp.alarm();
  }

  #takeTime(): void {
    const changed = this.#desk.takeTime(Date.now());
    if (changed.length > 0) this.ctx.waitUntil(this.#live.tell(changed));
  }

  #refuseWhenFull(): void {
    if (this.#desk.outbox.size < MAX_OUTBOX) return;
    this.#deliveries.makeRoom();
    throw new Error(`${MAX_OUTBOX} notifications wait for their delivery`);
  }

  #view(rule: StoredRule): RuleView {
    const { cursor, instances, troubles } = this.#desk.state(rule.spec.aggregation);
    const trouble = troubles.get(rule.id);
    return {
      rule,
      openAlerts: instances.get(rule.id)?.size ?? 0,
      evaluatedThrough: cursor?.end ?? null,
      errors: trouble?.errors ?? 0,
      lastError: this.#desk.rules.problem(rule.id) ?? trouble?.lastError ?? null,
      refused: trouble?.refused ?? 0,
    };
  }

  /** Waits for the aggregator to hear of it, so that a rule's answer means that windows which close from now on are evaluated. */
  async #rulesChanged(changed: readonly AlertJson[], now: number): Promise<void> {
    this.#watchList.changed(now);
    await this.#follow(changed);
    await this.#followUp.announce();
  }

  /** What follows a committed change. Only the alarm is waited for: it makes sure of the rest. */
  async #follow(changed: readonly AlertJson[]): Promise<void> {
    if (changed.length > 0) this.ctx.waitUntil(this.#live.tell(changed));
    const armed = this.#followUp.arm();
    this.ctx.waitUntil(this.#followUp.run());
    await armed;
  }
}

/** Whether the queue is another than before: the local one lives in memory and is new with each start. Absent in production. */
function hasNewQueue(env: Env, settings: Settings): boolean {
  const epoch = "QUEUE_EPOCH" in env && typeof env.QUEUE_EPOCH === "string" ? env.QUEUE_EPOCH : null;
  if (epoch === null || epoch === settings.read("queue_epoch")) return false;
  settings.write("queue_epoch", epoch);
  return true;
}
