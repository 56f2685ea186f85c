// What follows when alerts fire, end, are taken or kept quiet: their status, their bundles, their escalation, and what is told to whom.
//
// One `Dispatch` is one change: what happened is noted, `finish` draws the conclusions, and whoever made it writes the result down in
// one transaction. All times are the clock's (epoch ms) and are in what is written, so that a restart changes nothing.
import type { AlertRecord, AlertStatus, Escalation } from "../alert.ts";
import type { HistoryEntry } from "../alert-life.ts";
import { look, withMember } from "./bundle.ts";
import type { Bundle, Member } from "./bundle.ts";
import { Inhibitor } from "./inhibitor.ts";
import { muteOf } from "./mutes.ts";
import type { Mute, MuteReason } from "./mutes.ts";
import { messageIdOf, Teller } from "./teller.ts";
import type { DispatchMeans, DispatchResult, DispatchShelf } from "./terms.ts";
import { afterFiring } from "./track.ts";
import { isFiring, Work } from "./work.ts";

/** What follows from one change. */
export class Dispatch {
  readonly #shelf: DispatchShelf;
  readonly #means: DispatchMeans;
  readonly #work: Work;
  readonly #teller: Teller;
  /** Ids of alerts to review. */
  readonly #open = new Set<string>();
  /** Alerts that began or ceased to fire: others may have been inhibited by them. */
  readonly #moved: AlertRecord[] = [];

  constructor(shelf: DispatchShelf, means: DispatchMeans) {
    this.#shelf = shelf;
    this.#means = means;
    this.#work = new Work(shelf);
    this.#teller = new Teller(this.#work);
  }

  /** An alert as it is after everything noted so far, with what follows from that. Null when there is no such alert. */
  alert(id: string): AlertRecord | null {
    // One that fires and ends in one change is told of both.
    if (this.#open.delete(id)) {
      this.#review(id, this.#inhibitor());
      const record = this.#work.alert(id);
      const bundle = record === null ? null : this.#work.bundleOf(record);
      if (bundle !== null) this.#look(bundle);
    }
    return this.#work.alert(id);
  }

  /** Notes what happened to an alert. @param record made from what `alert` said */
  note(record: AlertRecord, entry: HistoryEntry): void {
    this.#work.put(record, entry);
    if (entry.kind === "firing") this.#fire(record);
    if (entry.kind === "acknowledged") this.#take(record);
    if (entry.kind === "resolved" && record.firedAt !== null) this.#end(record);
  }

  /** An alert is to be reviewed: its time has come, or a silence came or went. */
  review(record: AlertRecord): void {
    if (!this.#work.isChanged(record.id)) this.#work.put(record);
    this.#open.add(record.id);
  }

  /** A bundle is to be looked at. */
  revisit(bundle: Bundle): void {
    if (!this.#work.bundles.has(bundle.key)) this.#work.bundles.set(bundle.key, bundle);
  }

  /** Draws the conclusions. Call it once. */
  finish(): DispatchResult {
    const inhibitor = this.#inhibitor();
    for (const id of this.#open) this.#review(id, inhibitor);
    for (const bundle of this.#work.bundles.values()) if (bundle !== null) this.#look(bundle);
    const { alerts, bundles, tracks } = this.#work;
    return { alerts, bundles, tracks, messages: this.#teller.messages };
  }

  #fire(record: AlertRecord): void {
    const policy = this.#shelf.policy(record.ruleId);
    if (policy === undefined) return;
    const { nowMs } = this.#means;
    let isFlapping = false;
    if (policy.flap !== null) {
      const { track, startsFlapping } = afterFiring(this.#work.track(record), policy.flap, nowMs);
      this.#work.putTrack(track);
      isFlapping = startsFlapping;
    }
    const bundle = this.#work.bundleFor(record, policy, this.#means.newId);
    const { escalation: chain } = policy;
    const escalation = chain === null ? null : { ...chain, step: 0, at: null };
    this.#work.put({ ...record, bundle: bundle.key, thread: bundle.id, escalation, isFlapping });
    // Whether it may be told is for its review to say.
    const member = { id: record.id, isFiring: true, isMuted: true, isTaken: false, holdsUntil: null };
    this.#work.bundles.set(bundle.key, withMember(bundle, member, nowMs));
    this.#open.add(record.id);
    this.#moved.push(record);
  }

  #take(record: AlertRecord): void {
    const taken = { ...record, escalation: stopped(record) };
    this.#work.put(taken);
    this.#open.add(record.id);
    const bundle = this.#work.bundleOf(record);
    if (bundle === null || bundle.told?.firing.includes(record.id) !== true) return;
    // A bundle's incident has other alerts in it that nobody has taken.
    const own = bundle.groupBy === null ? bundle.channels : [];
    const channels = [...new Set([...own, ...escalatedTo(record)])].filter(this.#means.hearsAcknowledgements);
    this.#teller.tell(bundle, {
      id: messageIdOf(record.id, "acknowledged"),
      kind: "acknowledged",
      channels,
      firing: [record.id],
    });
  }

  #end(record: AlertRecord): void {
    this.#work.put({ ...record, escalation: stopped(record), nextAt: null, mutedBy: [] });
    this.#open.delete(record.id);
    this.#moved.push(record);
    const { nowMs } = this.#means;
    const bundle = this.#work.bundleOf(record);
    if (bundle === null) return;
    const { flapsUntil } = this.#work.track(record);
    const holdsUntil = flapsUntil !== null && flapsUntil > nowMs ? flapsUntil : null;
    const member = { id: record.id, isFiring: false, isMuted: false, isTaken: false, holdsUntil };
    const ended = withMember(bundle, member, holdsUntil ?? nowMs);
    this.#work.bundles.set(bundle.key, ended);
    // Told before anything that happens after it; the ends of a bundle are told together.
    if (bundle.groupBy === null) this.#look(ended);
    if (!bundle.policy.tellsEnds) return;
    const others = escalatedTo(record).filter((id) => !bundle.channels.includes(id));
    this.#teller.tell(bundle, {
      id: messageIdOf(record.id, "resolved"),
      kind: "resolved",
      channels: others,
      resolved: [record.id],
    });
  }

  #review(id: string, inhibitor: Inhibitor): void {
    const known = this.#work.alert(id);
    if (known === null || !isFiring(known)) return;
    const { nowMs } = this.#means;
    const { reasons, until } = this.#muteOf(known, inhibitor);
    const record = this.#escalated({ ...known, mutedBy: reasons, status: statusOf(known, reasons) });
    const dues = [until, reasons.length === 0 ? (record.escalation?.at ?? null) : null].filter((at) => at !== null);
    this.#work.put(
      { ...record, nextAt: dues.length === 0 ? null : Math.min(...dues) },
      ...changeOf(known, reasons, nowMs),
    );
    const bundle = this.#work.bundleOf(record);
    if (bundle === null) return;
    const isTaken = record.acknowledgedAt !== null;
    const member = { id, isFiring: true, isMuted: reasons.length > 0, isTaken, holdsUntil: null };
    const before = bundle.members.find((one) => one.id === id);
    if (before !== undefined && isSame(before, member)) return;
    this.#work.bundles.set(bundle.key, withMember(bundle, member, nowMs));
  }

  #muteOf(record: AlertRecord, inhibitor: Inhibitor): Mute {
    const policy = this.#shelf.policy(record.ruleId);
    const { toldAt, flapsUntil } = this.#work.track(record);
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
    const bundle = this.#work.bundleOf(record);
    if (bundle === null) return record;
    const step = escalation.step + 1;
    const at = step < escalation.channels.length ? nowMs + escalation.everyMs : null;
    const told = { ...record, escalation: { ...escalation, step, at } };
    this.#work.put(told, { ...entryAt(nowMs), kind: "escalated", details: [channel] });
    const id = `${messageIdOf(record.id, "escalation")}_${step}`;
    this.#teller.tell(bundle, { id, kind: "firing", channels: [channel], firing: [record.id] });
    return told;
  }

  #look(bundle: Bundle): void {
    const { nowMs } = this.#means;
    if (bundle.dueAt === null || bundle.dueAt > nowMs) return;
    const looked = look({ ...bundle, members: bundle.members.map((member) => this.#stillHeld(member)) }, nowMs);
    this.#work.bundles.set(bundle.key, looked.bundle);
    if (looked.telling === null) return;
    for (const id of looked.telling.fresh) this.#noteTold(id);
    this.#teller.announce(looked.bundle ?? bundle, looked.telling, bundle.sent + 1);
  }

  /** A group that went on flapping since is held back for longer. */
  #stillHeld(member: Member): Member {
    if (member.isFiring || member.holdsUntil === null) return member;
    const record = this.#work.alert(member.id);
    return record === null ? member : { ...member, holdsUntil: this.#work.track(record).flapsUntil };
  }

  /** From now on the clock of the escalation runs, and that of the suppression of its group. */
  #noteTold(id: string): void {
    const record = this.#work.alert(id);
    if (record === null) return;
    const { nowMs } = this.#means;
    const policy = this.#shelf.policy(record.ruleId);
    if (policy !== undefined && policy.suppressionMs > 0) {
      const track = { ...this.#work.track(record), toldAt: nowMs };
      this.#work.putTrack(track);
    }
    const { escalation = null } = record;
    const isRunning = escalation !== null && escalation.step === 0 && record.acknowledgedAt === null;
    if (!isRunning || record.status === "resolved") return this.#work.put({ ...record, toldAt: nowMs });
    const at = nowMs + escalation.everyMs;
    const nextAt = Math.min(at, record.nextAt ?? at);
    this.#work.put({ ...record, toldAt: nowMs, escalation: { ...escalation, at }, nextAt });
  }

  #inhibitor(): Inhibitor {
    const inhibited = this.#shelf.inhibited();
    const firing = (ruleId: string | null): AlertRecord[] => this.#work.firing(ruleId);
    const inhibitor = new Inhibitor(inhibited, () => firing(null));
    for (const policy of inhibited) {
      if (!this.#moved.some((record) => inhibitor.concerns(record, policy))) continue;
      for (const record of firing(policy.ruleId)) this.review(record);
    }
    return inhibitor;
  }
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

function isSame(a: Member, b: Member): boolean {
  return a.isFiring === b.isFiring && a.isMuted === b.isMuted && a.isTaken === b.isTaken;
}
