import { finiteOrNull } from "./finite.ts";
import { FINGERPRINT_WORDS, slotOf } from "./fingerprint.ts";
import type { KnownGroup, KnownIds, KnownSource } from "./id-handover.ts";
import { type IdGroup, IdMemory } from "./id-memory.ts";
import { SeenFilter } from "./seen-filter.ts";
import { MAX_SOURCES, type Source, type Sources } from "./sources.ts";
import { BUCKET_MS, bucketOf, StoredSpans } from "./stored-spans.ts";

/** Ids are remembered at least this far behind each source's newest event, memory permitting. */
export const HORIZON_MS = 15 * 60_000;
/** Ids whose event has no time of its own are remembered this long by receive time (a documented limit). */
export const ASSIGNED_HORIZON_MS = 24 * 3_600_000;
/** Group owner of the ids above; no real source has this index. */
export const ASSIGNED_OWNER = MAX_SOURCES + 8;

export type Verdict = "new" | "duplicate" | "unknown";

/** What the decision about one event needs besides its fingerprint. Times are epoch ms. */
export interface Candidate {
  readonly source: Source;
  readonly timestamp: number;
  readonly receivedAt: number;
  readonly timestampAssigned: boolean;
}

/** Called with a newly remembered id: its words at `words[at]…` and its group. */
export type OnRemembered = (words: Uint32Array, at: number, group: IdGroup) => void;

/** What another shard knows of one source of ours. */
interface Claim {
  readonly source: Source;
  readonly stored: readonly number[];
  readonly groups: ReadonlyMap<number, Uint32Array>;
}

/**
 * Decides whether an event id was seen before.
 *
 * A group of ids (source, 10 s of event time) is remembered completely or not at all. Known fingerprint: duplicate. Group
 * remembered, or nothing ever stored in it: new. Otherwise unknown: new if the filter of all ids never saw it (`isUnseen`), else the
 * caller looks the id up in the store (the slow path).
 * So correctness never depends on how much is remembered, only speed does.
 */
export class Deduplicator {
  readonly memory: IdMemory;
  readonly seen: SeenFilter;
  readonly #sources: Sources;
  #newestReceived: number;
  /** Assigned-time ids received up to here were forgotten under pressure. */
  #assignedForgottenThrough: number;

  constructor(
    sources: Sources,
    state: DeduplicatorState = { newestReceived: null, assignedForgottenThrough: null },
    memory = new IdMemory(),
    seen = SeenFilter.givenUp(),
  ) {
    this.#sources = sources;
    this.memory = memory;
    this.seen = seen;
    this.#newestReceived = state.newestReceived ?? -Infinity;
    this.#assignedForgottenThrough = state.assignedForgottenThrough ?? -Infinity;
  }

  judge(words: Uint32Array, at: number, event: Candidate): Verdict {
    if (this.memory.has(words, at)) return "duplicate";
    if (event.timestampAssigned) {
      const from = event.receivedAt - ASSIGNED_HORIZON_MS;
      return this.#assignedForgottenThrough > from ? "unknown" : "new";
    }
    const bucket = bucketOf(event.timestamp);
    if (this.memory.group(event.source.index, bucket) >= 0) return "new";
    return event.source.stored.has(bucket) ? "unknown" : "new";
  }

  /** True when an id judged unknown is new all the same: no event with it was ever stored, whatever its time. */
  isUnseen(words: Uint32Array, at: number): boolean {
    return this.seen.isUnseen(words, at);
  }

  /**
   * Notes that a new event is stored from now on. Its id is remembered if its group is complete: then later copies are
   * recognised here; if not, they take the slow path and are found in the store.
   * @returns the group it went to, or undefined
   */
  remember(words: Uint32Array, at: number, event: Candidate): IdGroup | undefined {
    this.#newestReceived = Math.max(this.#newestReceived, event.receivedAt);
    this.seen.add(words, at);
    const bucket = bucketOf(event.timestampAssigned ? event.receivedAt : event.timestamp);
    const owner = event.timestampAssigned ? ASSIGNED_OWNER : event.source.index;
    let group = this.memory.group(owner, bucket);
    if (group < 0 && (event.timestampAssigned || !event.source.stored.has(bucket))) {
      if (this.memory.isFull(0)) this.#shrink();
      group = this.memory.openGroup(owner, bucket);
    }
    event.source.stored.add(bucketOf(event.timestamp));
    if (group < 0) return undefined;
    if (this.memory.isFull(1)) {
      this.#shrink();
      group = this.memory.group(owner, bucket);
      if (group < 0) return undefined;
    }
    this.memory.add(words, at, group);
    return this.memory.groupAt(group);
  }

  /** True while a copy of an event in this group must be recognised without a look-up: such ids go into checkpoints. */
  isWithinHorizon(group: IdGroup): boolean {
    return this.#age(group) < 1;
  }

  /** Puts back one checkpointed id; groups past the horizon or once forgotten stay forgotten. */
  restore(words: Uint32Array, at: number, owner: number, bucket: number): void {
    const group: IdGroup = { source: owner, bucket, ids: 0 };
    const floor =
      owner === ASSIGNED_OWNER
        ? bucketOf(this.#assignedForgottenThrough)
        : (this.#sources.at(owner)?.forgottenThrough ?? Infinity);
    if (bucket <= floor || !this.isWithinHorizon(group) || this.memory.has(words, at)) return;
    const handle = this.memory.group(owner, bucket);
    this.memory.add(words, at, handle >= 0 ? handle : this.memory.openGroup(owner, bucket));
  }

  /** What is known of the ids in these slots. */
  known(slots: ReadonlySet<number>): KnownIds {
    const words = new Map<IdGroup, number[]>();
    for (const group of this.memory.groups()) words.set(group, []);
    this.memory.forEach((table, at, group) => {
      if (slots.has(slotOf(table, at))) words.get(group)?.push(...table.subarray(at, at + FINGERPRINT_WORDS));
    });
    return {
      ...this.toJSON(),
      sources: [...this.#sources].map(({ name, newest, stored }) => ({
        name,
        newest: finiteOrNull(newest),
        stored: stored.toJSON(),
      })),
      groups: [...words].map(([{ source, bucket }, list]) => ({
        owner: source,
        bucket,
        words: Uint32Array.from(list),
      })),
    };
  }

  /**
   * Takes over what another shard knows of the ids in some slots: from now on their events are judged here.
   *
   * A group stays complete only if both sides knew theirs completely; where one of them had forgotten, both forget, and copies are
   * found in the store. Doing it again changes nothing that matters.
   * @param onTaken called with each id that is remembered from now on
   * @returns true when groups were forgotten: a checkpoint that has their ids must be replaced as a whole
   */
  adopt({ newestReceived, assignedForgottenThrough, sources, groups }: KnownIds, onTaken: OnRemembered): boolean {
    // Only the giver's store knows all ids that it ever took.
    this.seen.giveUp();
    this.#newestReceived = Math.max(this.#newestReceived, newestReceived ?? -Infinity);
    this.#assignedForgottenThrough = Math.max(this.#assignedForgottenThrough, assignedForgottenThrough ?? -Infinity);
    const groupsOf = Map.groupBy(groups, ({ owner }) => owner);
    const named = sources.slice(1).map((known, k) => this.#claim(known, groupsOf.get(k + 1) ?? []));
    // The sources that share the giver's entry have any name: of the times of their events, nothing is known completely.
    const unnamed = new StoredSpans(sources[0]?.stored);
    const doomed = this.#disputed(named, unnamed);
    if (doomed.length > 0) this.memory.forget(doomed);
    for (const { bucket, words } of groupsOf.get(ASSIGNED_OWNER) ?? [])
      this.#take(ASSIGNED_OWNER, bucket, words, onTaken);
    for (const { source, groups: known, stored } of named) {
      for (const [bucket, words] of known) {
        const isComplete = this.memory.group(source.index, bucket) >= 0 || !source.stored.has(bucket);
        if (isComplete && !unnamed.has(bucket)) this.#take(source.index, bucket, words, onTaken);
      }
      source.stored.addAll(stored);
    }
    const shared = unnamed.toJSON();
    if (shared.length > 0) for (const source of this.#sources) source.stored.addAll(shared);
    return doomed.length > 0;
  }

  /** What the giver knows of one source. Where the source has no entry of its own here, the giver's groups are of no use. */
  #claim({ name, newest, stored }: KnownSource, groups: readonly KnownGroup[]): Claim {
    const source = this.#sources.of(name);
    source.newest = Math.max(source.newest, newest ?? -Infinity);
    const usable = source.index === 0 ? [] : groups;
    return { source, stored, groups: new Map(usable.map(({ bucket, words }) => [bucket, words])) };
  }

  /** Groups remembered here of times of which the giver does not know everything. */
  #disputed(claims: readonly Claim[], unnamed: StoredSpans): IdGroup[] {
    const ofSource = Map.groupBy(
      claims.map((claim) => ({ ...claim, spans: new StoredSpans(claim.stored) })),
      ({ source }) => source.index,
    );
    return [...this.memory.groups()].filter(({ source, bucket }) => {
      if (source === ASSIGNED_OWNER) return false;
      const isForgotten = ofSource.get(source)?.some(({ spans, groups }) => spans.has(bucket) && !groups.has(bucket));
      return isForgotten === true || unnamed.has(bucket);
    });
  }

  /** Remembers ids of a group, made if there is none; less than all of them only if the group is forgotten meanwhile. */
  #take(owner: number, bucket: number, words: Uint32Array, onTaken: OnRemembered): void {
    if (this.memory.group(owner, bucket) < 0) {
      if (this.memory.isFull(0)) this.#shrink();
      this.memory.openGroup(owner, bucket);
    }
    for (let at = 0; at < words.length; at += FINGERPRINT_WORDS) {
      if (this.memory.isFull(1)) this.#shrink();
      const handle = this.memory.group(owner, bucket);
      const group = this.memory.groupAt(handle);
      if (group === undefined) return;
      if (this.memory.has(words, at)) continue;
      this.memory.add(words, at, handle);
      onTaken(words, at, group);
    }
  }

  /** Forgets everything, spans too: for a shard that takes no events any more. Whoever takes them now has been told all of it. */
  forgetAll(): void {
    this.memory.forget([...this.memory.groups()]);
    this.seen.giveUp();
    for (const source of this.#sources) source.stored.clear();
  }

  toJSON(): DeduplicatorState {
    return {
      newestReceived: finiteOrNull(this.#newestReceived),
      assignedForgottenThrough: finiteOrNull(this.#assignedForgottenThrough),
    };
  }

  /** Age in horizons: ≥ 1 is past the horizon; 0 where no event of its source has been counted here. */
  #age(group: IdGroup): number {
    const end = (group.bucket + 1) * BUCKET_MS;
    if (group.source === ASSIGNED_OWNER) return (this.#newestReceived - end) / ASSIGNED_HORIZON_MS;
    const newest = this.#sources.at(group.source)?.newest ?? Infinity;
    return newest === -Infinity ? 0 : (newest - end) / HORIZON_MS;
  }

  /** Forgets the oldest groups, relative to their own horizon, until half of the memory is free. */
  #shrink(): void {
    const oldestFirst = [...this.memory.groups()].sort((a, b) => this.#age(b) - this.#age(a));
    let toForget = this.memory.size / 2;
    let groupsToForget = oldestFirst.length / 2;
    const doomed: IdGroup[] = [];
    for (const group of oldestFirst) {
      if (toForget <= 0 && groupsToForget <= 0) break;
      toForget -= group.ids;
      groupsToForget--;
      doomed.push(group);
      this.#noteForgotten(group);
    }
    this.memory.forget(doomed);
  }

  #noteForgotten(group: IdGroup): void {
    if (group.source === ASSIGNED_OWNER) {
      this.#assignedForgottenThrough = Math.max(this.#assignedForgottenThrough, (group.bucket + 1) * BUCKET_MS);
      return;
    }
    const source = this.#sources.at(group.source);
    if (source !== undefined) source.forgottenThrough = Math.max(source.forgottenThrough, group.bucket);
  }
}

export interface DeduplicatorState {
  readonly newestReceived: number | null;
  readonly assignedForgottenThrough: number | null;
}
