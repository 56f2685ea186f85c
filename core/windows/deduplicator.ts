import { finiteOrNull } from "./finite.ts";
import { FINGERPRINT_WORDS, slotOf } from "./fingerprint.ts";
import type { KnownIds, KnownSource } from "./id-handover.ts";
import { type IdGroup, IdMemory } from "./id-memory.ts";
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

/**
 * Decides whether an event id was seen before.
 *
 * A group of ids (source, 10 s of event time) is remembered completely or not at all. Known fingerprint: duplicate. Group
 * remembered, or nothing ever stored in it: new. Otherwise unknown: the caller looks the id up in the store (the slow path).
 * So correctness never depends on how much is remembered, only speed does.
 */
export class Deduplicator {
  readonly memory: IdMemory;
  readonly #sources: Sources;
  #newestReceived: number;
  /** Assigned-time ids received up to here were forgotten under pressure. */
  #assignedForgottenThrough: number;

  constructor(
    sources: Sources,
    state: DeduplicatorState = { newestReceived: null, assignedForgottenThrough: null },
    memory = new IdMemory(),
  ) {
    this.#sources = sources;
    this.memory = memory;
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

  /**
   * Notes that a new event is stored from now on. Its id is remembered if its group is complete: then later copies are
   * recognised here; if not, they take the slow path and are found in the store.
   * @returns the group it went to, or undefined
   */
  remember(words: Uint32Array, at: number, event: Candidate): IdGroup | undefined {
    this.#newestReceived = Math.max(this.#newestReceived, event.receivedAt);
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
   * found in the store. Doing it again changes nothing that matters. Groups may go that a checkpoint has: the next one must write all.
   */
  adopt({ newestReceived, assignedForgottenThrough, sources, groups }: KnownIds): void {
    this.#newestReceived = Math.max(this.#newestReceived, newestReceived ?? -Infinity);
    this.#assignedForgottenThrough = Math.max(this.#assignedForgottenThrough, assignedForgottenThrough ?? -Infinity);
    const groupsOf = Map.groupBy(groups, ({ owner }) => owner);
    for (const { bucket, words } of groupsOf.get(ASSIGNED_OWNER) ?? []) this.#take(ASSIGNED_OWNER, bucket, words);
    for (const [owner, known] of sources.entries()) {
      if (owner === 0) this.#adoptShared(known);
      else this.#adoptSource(known, new Map((groupsOf.get(owner) ?? []).map(({ bucket, words }) => [bucket, words])));
    }
  }

  #adoptSource({ name, newest, stored }: KnownSource, groups: ReadonlyMap<number, Uint32Array>): void {
    const source = this.#sources.of(name);
    source.newest = Math.max(source.newest, newest ?? -Infinity);
    const spans = new StoredSpans(stored);
    this.#drop((group) => group.source === source.index && spans.has(group.bucket) && !groups.has(group.bucket));
    for (const [bucket, words] of groups) {
      const isComplete = this.memory.group(source.index, bucket) >= 0 || !source.stored.has(bucket);
      if (isComplete) this.#take(source.index, bucket, words);
    }
    source.stored.addAll(stored);
  }

  /** The sources that share the giver's entry have any name: of the times of their events, nothing is known completely. */
  #adoptShared({ stored }: KnownSource): void {
    if (stored.length === 0) return;
    const spans = new StoredSpans(stored);
    this.#drop((group) => group.source !== ASSIGNED_OWNER && spans.has(group.bucket));
    for (const source of this.#sources) source.stored.addAll(stored);
  }

  #drop(isDoomed: (group: IdGroup) => boolean): void {
    const doomed = [...this.memory.groups()].filter(isDoomed);
    if (doomed.length > 0) this.memory.forget(doomed);
  }

  /** Remembers ids of a group, made if there is none; less than all of them only if the group is forgotten meanwhile. */
  #take(owner: number, bucket: number, words: Uint32Array): void {
    if (this.memory.group(owner, bucket) < 0) {
      if (this.memory.isFull(0)) this.#shrink();
      this.memory.openGroup(owner, bucket);
    }
    for (let at = 0; at < words.length; at += FINGERPRINT_WORDS) {
      if (this.memory.isFull(1)) this.#shrink();
      const group = this.memory.group(owner, bucket);
      if (group < 0) return;
      if (!this.memory.has(words, at)) this.memory.add(words, at, group);
    }
  }

  /** Forgets everything, spans too: for a shard that takes no events any more. Whoever takes them now has been told all of it. */
  forgetAll(): void {
    this.memory.forget([...this.memory.groups()]);
    for (const source of this.#sources) source.stored.clear();
  }

  toJSON(): DeduplicatorState {
    return {
      newestReceived: finiteOrNull(this.#newestReceived),
      assignedForgottenThrough: finiteOrNull(this.#assignedForgottenThrough),
    };
  }

  /** Age in horizons: ≥ 1 is past the horizon. */
  #age(group: IdGroup): number {
    const end = (group.bucket + 1) * BUCKET_MS;
    if (group.source === ASSIGNED_OWNER) return (this.#newestReceived - end) / ASSIGNED_HORIZON_MS;
    return ((this.#sources.at(group.source)?.newest ?? Infinity) - end) / HORIZON_MS;
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
