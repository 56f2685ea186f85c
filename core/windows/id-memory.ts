import { FINGERPRINT_WORDS } from "./fingerprint.ts";

/** Words per slot: a fingerprint and its group + 1 (0 = free). */
const SLOT_WORDS = FINGERPRINT_WORDS + 1;
const SLOT_BYTES = SLOT_WORDS * 4;
const MIN_SLOTS = 1 << 12;
/** 2^21 slots of 16 bytes = 32 MB: about a million and a half ids, a quarter of an object's memory. */
export const MAX_SLOTS = 1 << 21;
const MAX_LOAD = 0.75;
/** Groups (source × 10 s) kept; each costs about 80 bytes. */
const MAX_GROUPS = 65_536;

/** A stretch of event time of one source whose ids are all remembered. */
export interface IdGroup {
  readonly source: number;
  readonly bucket: number;
  ids: number;
}

/**
 * Remembers event ids of groups (source, bucket of event time), completely or not at all.
 *
 * Open addressing with linear probing over one Uint32Array: a Set of strings costs five times the bytes and a pause of the garbage
 * collector. Forgetting is by group, in the order the caller decides, and rebuilds the table.
 */
export class IdMemory {
  #slots = new Uint32Array(MIN_SLOTS * SLOT_WORDS);
  #mask = MIN_SLOTS - 1;
  #used = 0;
  readonly #maxSlots: number;
  readonly #maxGroups: number;
  #groups: (IdGroup | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #byKey = new Map<number, number>();

  constructor(maxSlots: number = MAX_SLOTS, maxGroups: number = MAX_GROUPS) {
    this.#maxSlots = maxSlots;
    this.#maxGroups = maxGroups;
  }

  get size(): number {
    return this.#used;
  }

  get bytes(): number {
    return this.#slots.length * 4 + this.#byKey.size * 80;
  }

  /** True when ids of an average group no longer fit: call `forget` first. */
  isFull(moreIds: number): boolean {
    return this.#used + moreIds > this.#maxSlots * MAX_LOAD || this.#byKey.size >= this.#maxGroups;
  }

  has(words: Uint32Array, at: number): boolean {
    return this.#slots[this.#find(words, at) + FINGERPRINT_WORDS] !== 0;
  }

  /** Handle of a remembered group, or −1. */
  group(source: number, bucket: number): number {
    return this.#byKey.get(keyOf(source, bucket)) ?? -1;
  }

  openGroup(source: number, bucket: number): number {
    const handle = this.#free.pop() ?? this.#groups.length;
    this.#groups[handle] = { source, bucket, ids: 0 };
    this.#byKey.set(keyOf(source, bucket), handle);
    return handle;
  }

  /** Remembers an id that `has` denied. */
  add(words: Uint32Array, at: number, group: number): void {
    if ((this.#used + 1) * (1 / MAX_LOAD) > this.#mask + 1) this.#rebuild((this.#mask + 1) * 2);
    const slots = this.#slots;
    const slot = freeSlot(slots, this.#mask, words[at + 1] ?? 0);
    for (let k = 0; k < FINGERPRINT_WORDS; k++) slots[slot + k] = words[at + k] ?? 0;
    slots[slot + FINGERPRINT_WORDS] = group + 1;
    this.#used++;
    const entry = this.#groups[group];
    if (entry !== undefined) entry.ids++;
  }

  *groups(): IterableIterator<IdGroup> {
    for (const handle of this.#byKey.values()) {
      const group = this.#groups[handle];
      if (group !== undefined) yield group;
    }
  }

  groupAt(handle: number): IdGroup | undefined {
    return this.#groups[handle];
  }

  /** Drops whole groups and compacts the table. */
  forget(doomed: Iterable<IdGroup>): void {
    for (const group of doomed) {
      const handle = this.#byKey.get(keyOf(group.source, group.bucket));
      if (handle === undefined) continue;
      this.#byKey.delete(keyOf(group.source, group.bucket));
      this.#groups[handle] = undefined;
      // Not reused before the rebuild below has dropped the slots that still name it.
      this.#free.push(handle);
    }
    let kept = 0;
    for (const group of this.groups()) kept += group.ids;
    let slots = MIN_SLOTS;
    while (slots * MAX_LOAD < kept * 1.5) slots *= 2;
    this.#rebuild(Math.min(slots, this.#maxSlots));
  }

  /** Calls back with every remembered fingerprint: its words at `slots[at]…` and its group. */
  forEach(visit: (slots: Uint32Array, at: number, group: IdGroup) => void): void {
    for (let at = 0; at < this.#slots.length; at += SLOT_WORDS) {
      const group = this.#groups[(this.#slots[at + FINGERPRINT_WORDS] ?? 0) - 1];
      if (group !== undefined) visit(this.#slots, at, group);
    }
  }

  #find(words: Uint32Array, at: number): number {
    const a = words[at] ?? 0;
    const b = words[at + 1] ?? 0;
    const c = words[at + 2] ?? 0;
    let slot = (b & this.#mask) * SLOT_WORDS;
    const slots = this.#slots;
    while (slots[slot + 3] !== 0 && (slots[slot] !== a || slots[slot + 1] !== b || slots[slot + 2] !== c)) {
      slot += SLOT_WORDS;
      if (slot === slots.length) slot = 0;
    }
    return slot;
  }

  #rebuild(slotCount: number): void {
    const old = this.#slots;
    const groups = this.#groups;
    const slots = new Uint32Array(slotCount * SLOT_WORDS);
    const mask = slotCount - 1;
    let used = 0;
    for (let at = 0; at < old.length; at += SLOT_WORDS) {
      const handle = (old[at + FINGERPRINT_WORDS] ?? 0) - 1;
      if (handle < 0 || groups[handle] === undefined) continue;
      const slot = freeSlot(slots, mask, old[at + 1] ?? 0);
      for (let k = 0; k < SLOT_WORDS; k++) slots[slot + k] = old[at + k] ?? 0;
      used++;
    }
    this.#slots = slots;
    this.#mask = mask;
    this.#used = used;
  }
}

/** Where an id with this second word goes that is surely not there. */
function freeSlot(slots: Uint32Array, mask: number, word: number): number {
  let slot = (word & mask) * SLOT_WORDS;
  while (slots[slot + FINGERPRINT_WORDS] !== 0) {
    slot += SLOT_WORDS;
    if (slot === slots.length) slot = 0;
  }
  return slot;
}

export const BYTES_PER_ID = SLOT_BYTES / MAX_LOAD;

/** One exact number per (source ≤ 1000, bucket of 10 s): buckets stay below 2^40 until the year 350,000. */
function keyOf(source: number, bucket: number): number {
  return source * 2 ** 41 + bucket;
}
