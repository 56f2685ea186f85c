import type { AlertRecord } from "../alert.ts";
import type { HistoryEntry } from "../alert-life.ts";
import { instanceKey } from "../instance.ts";
import { agreementOf, textOf } from "../matcher.ts";
import { MAX_MEMBERS } from "./bundle.ts";
import type { Bundle } from "./bundle.ts";
import type { RulePolicy } from "./rule-policy.ts";
import type { DispatchShelf, Ended, Written } from "./terms.ts";
import { newTrack } from "./track.ts";
import type { Track } from "./track.ts";

/** What one change has made of alerts, bundles and tracks so far: read from the shelf at first, and from here once changed. */
export class Work {
  readonly #shelf: DispatchShelf;
  readonly #alerts = new Map<string, Written>();
  /** By key; null: nothing is left of it. */
  readonly bundles = new Map<string, Bundle | null>();
  readonly #tracks = new Map<string, Track>();

  constructor(shelf: DispatchShelf) {
    this.#shelf = shelf;
  }

  get alerts(): Written[] {
    return [...this.#alerts.values()];
  }

  get tracks(): Track[] {
    return [...this.#tracks.values()];
  }

  isWaiting(messageId: string, channelId: string): boolean {
    return this.#shelf.isWaiting(messageId, channelId);
  }

  isChanged(id: string): boolean {
    return this.#alerts.has(id);
  }

  alert(id: string): AlertRecord | null {
    return this.#alerts.get(id)?.record ?? this.#shelf.alert(id);
  }

  put(record: AlertRecord, ...entries: readonly HistoryEntry[]): void {
    const known = this.#alerts.get(record.id);
    this.#alerts.set(record.id, { record, entries: [...(known?.entries ?? []), ...entries] });
  }

  /** An alert that has ended, and how. */
  ended(id: string): Ended | null {
    const record = this.alert(id);
    if (record === null) return null;
    const entry = this.#alerts.get(id)?.entries.findLast(({ kind }) => kind === "resolved");
    return { record, entry: entry ?? this.#shelf.ending(id) };
  }

  /** Alerts that fired and have not ended: of one rule, or all. */
  firing(ruleId: string | null): AlertRecord[] {
    const stored = this.#shelf.firing(ruleId).filter(({ id }) => !this.#alerts.has(id));
    const changed = this.alerts.map(({ record }) => record).filter(isFiring);
    return [...stored, ...changed.filter((record) => ruleId === null || record.ruleId === ruleId)];
  }

  bundle(key: string): Bundle | null {
    const known = this.bundles.get(key);
    return known === undefined ? this.#shelf.bundle(key) : known;
  }

  bundleOf({ bundle }: AlertRecord): Bundle | null {
    return bundle === undefined ? null : this.bundle(bundle);
  }

  /** The bundle that a new alert belongs to; one that is full has another beside it. */
  bundleFor(record: AlertRecord, { groupBy, bundle: policy }: RulePolicy, newId: () => string): Bundle {
    const { ruleId, channels } = record;
    const name = groupBy === null ? record.id : `${ruleId} ${JSON.stringify(channels)} ${agreementOf(record, groupBy)}`;
    let key = name;
    let known = this.bundle(key);
    for (let nth = 2; known !== null && known.members.length >= MAX_MEMBERS; nth++) {
      key = `${name} ${nth}`;
      known = this.bundle(key);
    }
    if (known !== null) return known;
    const common = groupBy === null ? null : Object.fromEntries(groupBy.map((path) => [path, textOf(record, path)]));
    const id = groupBy === null ? record.id : newId();
    const start = { members: [], told: null, lookedAt: null, dueAt: null, sent: 0, newest: {} };
    return { key, id, ruleId, channels, groupBy: common, policy, ...start };
  }

  /** What is remembered of an alert's group; nothing, unless its rule asks for it. */
  track(record: AlertRecord): Track {
    const key = instanceKey(record);
    const track = newTrack(record.ruleId, key);
    const policy = this.#shelf.policy(record.ruleId);
    if (policy === undefined || (policy.flap === null && policy.suppressionMs === 0)) return track;
    return this.#tracks.get(nameOf(track)) ?? this.#shelf.track(record.ruleId, key) ?? track;
  }

  putTrack(track: Track): void {
    this.#tracks.set(nameOf(track), track);
  }
}

/** Whether an alert has fired and not ended; muted ones too. */
export function isFiring({ firedAt, status }: AlertRecord): boolean {
  return firedAt !== null && status !== "resolved";
}

function nameOf({ ruleId, key }: Pick<Track, "ruleId" | "key">): string {
  return `${ruleId} ${key}`;
}
