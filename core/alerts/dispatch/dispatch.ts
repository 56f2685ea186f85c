// What follows when alerts fire, end, are taken or kept quiet: their status, their bundles, their escalation, and what is told to whom.
//
// One `Dispatch` is one change: what happened is noted, `finish` draws the conclusions, and whoever made it writes the result down in
// one transaction. All times are the clock's (epoch ms) and are in what is written, so that a restart changes nothing.
import type { AlertRecord, AlertStatus, Escalation } from "../alert.ts";
import type { HistoryEntry } from "../alert-life.ts";
import { instanceKey } from "../instance.ts";
import type { Matchable } from "../matcher.ts";
import { agreementOf, textOf } from "../matcher.ts";
import { look, MAX_MEMBERS, withMember } from "./bundle.ts";
import type { Bundle, Member, Telling } from "./bundle.ts";
import { Inhibitor } from "./inhibitor.ts";
import { muteOf } from "./mutes.ts";
import type { MuteReason } from "./mutes.ts";
import type { RulePolicy } from "./rule-policy.ts";
import type { CompiledSilence } from "./silence.ts";
import { afterFiring, newTrack } from "./track.ts";
import type { Track } from "./track.ts";

/** What is on disk. */
export interface DispatchShelf {
  alert(id: string): AlertRecord | null;
  /** Alerts that fired and have not ended: of one rule, or all. */
  firing(ruleId: string | null): readonly AlertRecord[];
  /** How an alert ended; null when it has not. */
  ending(id: string): HistoryEntry | null;
  bundle(key: string): Bundle | null;
  track(ruleId: string, key: string): Track | null;
  /** Undefined when the rule is gone. */
  policy(ruleId: string): RulePolicy | undefined;
  /** Policies of enabled rules that others can inhibit. */
  inhibited(): readonly RulePolicy[];
  silences(): readonly CompiledSilence[];
}

/** Something to tell. */
export interface DispatchMessage {
  /** The webhook-id: the same for every attempt and every channel. */
  readonly id: string;
  /** Messages of one thread reach a channel in their order. */
  readonly threadId: string;
  readonly kind: "firing" | "acknowledged" | "resolved" | "bundle";
  readonly channels: readonly string[];
  /** The message that a channel must have had before, by channel. */
  readonly after: Readonly<Record<string, string>>;
  /** Nothing new: not worth waiting for if the channel still owes an answer. */
  readonly isRepeat: boolean;
  /** The alerts as they are when it is made; one, unless it is a bundle's. */
  readonly firing: readonly AlertRecord[];
  readonly resolved: readonly Ended[];
  readonly bundle: Bundle;
}

/** An alert that ended, with the line of its history that says how. */
export interface Ended {
  readonly record: AlertRecord;
  readonly entry: HistoryEntry | null;
}

/** An alert as it is now, with the lines its history gained. */
export interface Written {
  readonly record: AlertRecord;
  readonly entries: readonly HistoryEntry[];
}

/** What is to be written down. */
export interface DispatchResult {
  readonly alerts: readonly Written[];
  /** By key; null: deleted. */
  readonly bundles: ReadonlyMap<string, Bundle | null>;
  readonly tracks: readonly Track[];
  readonly messages: readonly DispatchMessage[];
}

export interface DispatchMeans {
  readonly nowMs: number;
  readonly newId: () => string;
  /** Whether a channel is told of acknowledgements. */
  readonly hearsAcknowledgements: (channelId: string) => boolean;
}

export class Dispatch {
  readonly #shelf: DispatchShelf;
  readonly #means: DispatchMeans;
  readonly #alerts = new Map<string, { record: AlertRecord; readonly entries: HistoryEntry[] }>();
  readonly #bundles = new Map<string, Bundle | null>();
  readonly #tracks = new Map<string, Track>();
  readonly #messages: DispatchMessage[] = [];
  /** Ids of alerts to review. */
  readonly #open = new Set<string>();
  /** Alerts that began or ceased to fire: others may have been inhibited by them. */
  readonly #moved: AlertRecord[] = [];

  constructor(shelf: DispatchShelf, means: DispatchMeans) {
    this.#shelf = shelf;
    this.#means = means;
  }

  /** An alert as it is after everything noted so far, with what follows from that. Null when there is no such alert. */
  alert(id: string): AlertRecord | null {
    // One that fires and ends in one change is told of both.
    if (this.#open.delete(id)) {
      this.#review(id, this.#inhibitor());
      const record = this.#alert(id);
      const bundle = record === null ? null : this.#bundleOf(record);
      if (bundle !== null) this.#look(bundle);
    }
    return this.#alert(id);
  }

  /** Notes what happened to an alert. @param record made from what `alert` said */
  note(record: AlertRecord, entry: HistoryEntry): void {
    this.#put(record, entry);
    if (entry.kind === "firing") this.#fire(record);
    if (entry.kind === "acknowledged") this.#take(record);
    if (entry.kind === "resolved" && record.firedAt !== null) this.#end(record);
  }

  /** An alert is to be reviewed: its time has come, or a silence came or went. */
  review(record: AlertRecord): void {
    if (!this.#alerts.has(record.id)) this.#put(record);
    this.#open.add(record.id);
  }

  /** A bundle is to be looked at. */
  revisit(bundle: Bundle): void {
    if (!this.#bundles.has(bundle.key)) this.#bundles.set(bundle.key, bundle);
  }

  /** Draws the conclusions. Call it once. */
  finish(): DispatchResult {
    const inhibitor = this.#inhibitor();
    for (const id of this.#open) this.#review(id, inhibitor);
    for (const bundle of this.#bundles.values()) if (bundle !== null) this.#look(bundle);
    return {
      alerts: [...this.#alerts.values()],
      bundles: this.#bundles,
      tracks: [...this.#tracks.values()],
      messages: this.#messages,
    };
  }

  #fire(record: AlertRecord): void {
    const policy = this.#shelf.policy(record.ruleId);
    if (policy === undefined) return;
    const { nowMs } = this.#means;
    let isFlapping = false;
    if (policy.flap !== null) {
      const { track, startsFlapping } = afterFiring(this.#track(record), policy.flap, nowMs);
      this.#tracks.set(trackName(track), track);
      isFlapping = startsFlapping;
    }
    const bundle = this.#bundleFor(record, policy);
    const { escalation: chain } = policy;
    const escalation = chain === null ? null : { ...chain, step: 0, at: null };
    this.#put({ ...record, bundle: bundle.key, thread: bundle.id, escalation, isFlapping });
    this.#bundles.set(bundle.key, bundle);
    this.#open.add(record.id);
    this.#moved.push(record);
  }

  #take(record: AlertRecord): void {
    const taken = { ...record, escalation: stopped(record) };
    this.#put(taken);
    this.#open.add(record.id);
    const bundle = this.#bundleOf(record);
    if (bundle === null || bundle.told?.firing.includes(record.id) !== true) return;
    // A bundle's incident has other alerts in it that nobody has taken.
    const own = bundle.groupBy === null ? bundle.channels : [];
    const channels = [...new Set([...own, ...escalatedTo(record)])].filter(this.#means.hearsAcknowledgements);
    this.#tell(bundle, {
      id: messageIdOf(record.id, "acknowledged"),
      kind: "acknowledged",
      channels,
      firing: [record.id],
    });
  }

  #end(record: AlertRecord): void {
    this.#put({ ...record, escalation: stopped(record), nextAt: null, mutedBy: [] });
    this.#open.delete(record.id);
    this.#moved.push(record);
    const { nowMs } = this.#means;
    const bundle = this.#bundleOf(record);
    if (bundle === null) return;
    const { flapsUntil } = this.#track(record);
    const holdsUntil = flapsUntil !== null && flapsUntil > nowMs ? flapsUntil : null;
    const member = { id: record.id, isFiring: false, isMuted: false, isTaken: false, holdsUntil };
    this.#bundles.set(bundle.key, withMember(bundle, member, holdsUntil ?? nowMs));
    if (!bundle.policy.tellsEnds) return;
    const others = escalatedTo(record).filter((id) => !bundle.channels.includes(id));
    this.#tell(bundle, {
      id: messageIdOf(record.id, "resolved"),
      kind: "resolved",
      channels: others,
      resolved: [record.id],
    });
  }

  #review(id: string, inhibitor: Inhibitor): void {
    const known = this.#alerts.get(id)?.record;
    if (known === undefined || !isFiring(known)) return;
    const { nowMs } = this.#means;
    const { reasons, until } = this.#muteOf(known, inhibitor);
    const record = this.#escalated({ ...known, mutedBy: reasons, status: statusOf(known, reasons) });
    const dues = [until, reasons.length === 0 ? (record.escalation?.at ?? null) : null].filter((at) => at !== null);
    this.#put({ ...record, nextAt: dues.length === 0 ? null : Math.min(...dues) }, ...changeOf(known, reasons, nowMs));
    const bundle = this.#bundleOf(record);
    if (bundle === null) return;
    const isTaken = record.acknowledgedAt !== null;
    const member = { id, isFiring: true, isMuted: reasons.length > 0, isTaken, holdsUntil: null };
    const before = bundle.members.find((one) => one.id === id);
    if (before !== undefined && isSame(before, member)) return;
    this.#bundles.set(bundle.key, withMember(bundle, member, nowMs));
  }

  #muteOf(record: AlertRecord, inhibitor: Inhibitor): ReturnType<typeof muteOf> {
    const policy = this.#shelf.policy(record.ruleId);
    const { toldAt, flapsUntil } = this.#track(record);
    const hasSuppression = policy !== undefined && policy.suppressionMs > 0;
    // What silenced this very alert's group is an earlier alert's telling, never its own.
    const isSuppressed = hasSuppression && toldAt !== null && (record.toldAt ?? null) === null;
    return muteOf(
      record,
      {
        silences: this.#shelf.silences(),
        calendar: policy?.calendar ?? null,
        suppressedUntil: isSuppressed ? toldAt + policy.suppressionMs : null,
        flapsUntil: record.isFlapping === true ? null : flapsUntil,
        inhibitedBy: policy === undefined ? null : inhibitor.inhibitorOf(record, policy),
      },
      this.#means.nowMs,
    );
  }

  /** Tells the next channel of the chain, if its time has come and nothing keeps the alert quiet. */
  #escalated(record: AlertRecord): AlertRecord {
    const { escalation, mutedBy = [] } = record;
    const { nowMs } = this.#means;
    const channel = escalation?.channels[escalation.step];
    if (escalation === undefined || escalation === null || channel === undefined) return record;
    if (escalation.at === null || escalation.at > nowMs || mutedBy.length > 0 || record.acknowledgedAt !== null)
      return record;
    const bundle = this.#bundleOf(record);
    if (bundle === null) return record;
    const step = escalation.step + 1;
    const at = step < escalation.channels.length ? nowMs + escalation.everyMs : null;
    const told = { ...record, escalation: { ...escalation, step, at } };
    this.#put(told, { ...entryAt(nowMs), kind: "escalated", details: [channel] });
    const id = `${messageIdOf(record.id, "escalation")}_${step}`;
    this.#tell(bundle, { id, kind: "firing", channels: [channel], firing: [record.id] });
    return told;
  }

  #look(bundle: Bundle): void {
    const { nowMs } = this.#means;
    if (bundle.dueAt === null || bundle.dueAt > nowMs) return;
    const looked = look({ ...bundle, members: bundle.members.map((member) => this.#stillHeld(member)) }, nowMs);
    this.#bundles.set(bundle.key, looked.bundle);
    if (looked.telling !== null) this.#announce(looked.bundle ?? bundle, looked.telling, bundle.sent + 1);
  }

  /** A group that went on flapping since is held back for longer. */
  #stillHeld(member: Member): Member {
    if (member.isFiring || member.holdsUntil === null) return member;
    const record = this.#alert(member.id);
    return record === null ? member : { ...member, holdsUntil: this.#track(record).flapsUntil };
  }

  /** @param nth how manieth message of the bundle it is */
  #announce(bundle: Bundle, telling: Telling, nth: number): void {
    for (const id of telling.fresh) this.#noteTold(id);
    const { firing, resolved, isRepeat } = telling;
    const { groupBy, channels, id } = bundle;
    if (groupBy !== null) {
      this.#tell(bundle, { id: messageIdOf(id, String(nth)), kind: "bundle", channels, firing, resolved, isRepeat });
      return;
    }
    const kind = firing.length > 0 ? ("firing" as const) : ("resolved" as const);
    const messageId = isRepeat ? `${messageIdOf(id, kind)}_${nth}` : messageIdOf(id, kind);
    this.#tell(bundle, { id: messageId, kind, channels, firing, resolved, isRepeat });
  }

  /** From now on the clock of the escalation runs, and that of the suppression of its group. */
  #noteTold(id: string): void {
    const record = this.#alert(id);
    if (record === null) return;
    const { nowMs } = this.#means;
    const policy = this.#shelf.policy(record.ruleId);
    if (policy !== undefined && policy.suppressionMs > 0) {
      const track = { ...this.#track(record), toldAt: nowMs };
      this.#tracks.set(trackName(track), track);
    }
    const { escalation = null } = record;
    const isRunning = escalation !== null && escalation.step === 0 && record.acknowledgedAt === null;
    if (!isRunning || record.status === "resolved") return this.#put({ ...record, toldAt: nowMs });
    const at = nowMs + escalation.everyMs;
    const nextAt = Math.min(at, record.nextAt ?? at);
    this.#put({ ...record, toldAt: nowMs, escalation: { ...escalation, at }, nextAt });
  }

  #tell(bundle: Bundle, message: Draft): void {
    if (message.channels.length === 0) return;
    const known = this.#bundles.get(bundle.key) ?? bundle;
    const after = Object.fromEntries(
      message.channels.flatMap((channel) => {
        const earlier = known.newest[channel];
        return earlier === undefined ? [] : [[channel, earlier]];
      }),
    );
    const newest = { ...known.newest, ...Object.fromEntries(message.channels.map((channel) => [channel, message.id])) };
    // A bundle of which nothing is left has nothing more to say.
    if (this.#bundles.get(bundle.key) !== null) this.#bundles.set(bundle.key, { ...known, newest });
    const { firing = [], resolved = [], isRepeat = false } = message;
    this.#messages.push({
      ...message,
      isRepeat,
      threadId: known.id,
      after,
      firing: firing.flatMap((alert) => this.#alert(alert) ?? []),
      resolved: resolved.flatMap((alert) => this.#ended(alert) ?? []),
      bundle: known,
    });
  }

  #inhibitor(): Inhibitor {
    const inhibited = this.#shelf.inhibited();
    const firing = (ruleId: string | null): AlertRecord[] => this.#firing(ruleId);
    const inhibitor = new Inhibitor(inhibited, () => firing(null));
    for (const policy of inhibited) {
      if (!this.#moved.some((record) => inhibitor.concerns(record, policy))) continue;
      for (const record of firing(policy.ruleId)) this.review(record);
    }
    return inhibitor;
  }

  #firing(ruleId: string | null): AlertRecord[] {
    const stored = this.#shelf.firing(ruleId).filter(({ id }) => !this.#alerts.has(id));
    const changed = [...this.#alerts.values()].map(({ record }) => record);
    return [
      ...stored,
      ...changed.filter((record) => isFiring(record) && (ruleId === null || record.ruleId === ruleId)),
    ];
  }

  #bundleFor(record: AlertRecord, policy: RulePolicy): Bundle {
    const { groupBy } = policy;
    const name = groupBy === null ? record.id : bundleKey(record, groupBy);
    let key = name;
    let known = this.#bundle(key);
    for (let nth = 2; known !== null && known.members.length >= MAX_MEMBERS; nth++) {
      key = `${name} ${nth}`;
      known = this.#bundle(key);
    }
    if (known !== null) return known;
    return {
      key,
      id: groupBy === null ? record.id : this.#means.newId(),
      ruleId: record.ruleId,
      channels: record.channels,
      groupBy: groupBy === null ? null : Object.fromEntries(groupBy.map((name) => [name, textOf(record, name)])),
      policy: policy.bundle,
      members: [],
      told: null,
      lookedAt: null,
      dueAt: null,
      sent: 0,
      newest: {},
    };
  }

  #bundleOf({ bundle }: AlertRecord): Bundle | null {
    return bundle === undefined ? null : this.#bundle(bundle);
  }

  #bundle(key: string): Bundle | null {
    const known = this.#bundles.get(key);
    return known === undefined ? this.#shelf.bundle(key) : known;
  }

  #track(record: AlertRecord): Track {
    const key = instanceKey(record);
    const track = newTrack(record.ruleId, key);
    const policy = this.#shelf.policy(record.ruleId);
    if (policy === undefined || (policy.flap === null && policy.suppressionMs === 0)) return track;
    return this.#tracks.get(trackName(track)) ?? this.#shelf.track(record.ruleId, key) ?? track;
  }

  #ended(id: string): Ended | null {
    const record = this.#alert(id);
    if (record === null) return null;
    const entry = this.#alerts.get(id)?.entries.findLast(({ kind }) => kind === "resolved");
    return { record, entry: entry ?? this.#shelf.ending(id) };
  }

  #alert(id: string): AlertRecord | null {
    return this.#alerts.get(id)?.record ?? this.#shelf.alert(id);
  }

  #put(record: AlertRecord, ...entries: readonly HistoryEntry[]): void {
    const known = this.#alerts.get(record.id);
    this.#alerts.set(record.id, { record, entries: [...(known?.entries ?? []), ...entries] });
  }
}

/** A message before what is known of its alerts is added. */
interface Draft extends Pick<DispatchMessage, "id" | "kind" | "channels"> {
  readonly firing?: readonly string[];
  readonly resolved?: readonly string[];
  readonly isRepeat?: boolean;
}

function isFiring({ firedAt, status }: AlertRecord): boolean {
  return firedAt !== null && status !== "resolved";
}

/** The webhook-id of what happened to an alert or a bundle. */
export function messageIdOf(id: string, what: string): string {
  return `msg_${id}_${what}`;
}

function statusOf(record: AlertRecord, reasons: readonly MuteReason[]): AlertStatus {
  if (record.acknowledgedAt !== null) return "acknowledged";
  return reasons.length > 0 ? "suppressed" : "firing";
}

/** A line for the history when an alert falls quiet or speaks again; not when only the reason is another. */
function changeOf({ mutedBy = [] }: AlertRecord, reasons: readonly MuteReason[], nowMs: number): HistoryEntry[] {
  if (mutedBy.length === 0 && reasons.length > 0) return [{ ...entryAt(nowMs), kind: "suppressed", details: reasons }];
  if (mutedBy.length > 0 && reasons.length === 0)
    return [{ ...entryAt(nowMs), kind: "unsuppressed", details: mutedBy }];
  return [];
}

function entryAt(nowMs: number): Omit<HistoryEntry, "kind"> {
  return { at: nowMs, by: null, comment: null, reason: null, window: null, values: null };
}

function escalatedTo({ escalation }: AlertRecord): readonly string[] {
  return escalation?.channels.slice(0, escalation.step) ?? [];
}

function stopped({ escalation = null }: AlertRecord): Escalation | null {
  return escalation === null ? null : { ...escalation, at: null };
}

function bundleKey(record: Matchable & AlertRecord, groupBy: readonly string[]): string {
  return `${record.ruleId} ${JSON.stringify(record.channels)} ${agreementOf(record, groupBy)}`;
}

function trackName({ ruleId, key }: Pick<Track, "ruleId" | "key">): string {
  return `${ruleId} ${key}`;
}

function isSame(a: Member, b: Member): boolean {
  return a.isFiring === b.isFiring && a.isMuted === b.isMuted && a.isTaken === b.isTaken;
}
