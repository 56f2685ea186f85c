/**
 * The groups of one window or slice, of which there may be hundreds of thousands.
 *
 * Problem: a group's state takes some hundred bytes to some kilobytes as objects, and 20 to 80 encoded; reading all groups of an
 * open window at a start takes seconds; and writing them all when ten have changed writes megabytes for nothing.
 * Rule: groups lie on pages by the hash of their key. A page is encoded until one of its groups is touched, and only that group
 * is decoded; it is encoded again when the page is written, or when many are decoded. Pages are read from storage when they
 * are first needed, and only those that changed are written. A window of few groups is one page.
 */
import { hashValue } from "../aggregates/hash.ts";
import { ByteReader, ByteWriter, CorruptStateError } from "../bytes.ts";
import { PackedGroups, writeGroup } from "./packed-groups.ts";
import type { Plan } from "./plan.ts";
import { emptyGroup, type Groups, type GroupState, groupBytes, OVERFLOW_KEY } from "./window-state.ts";

/** Pages are halved beyond so many groups or bytes on average: a changed group has a page of this size written. */
const GROUPS_PER_PAGE = 2048;
const BYTES_PER_PAGE = 64_000;
/** No page may be larger, whatever the average: a row holds 2 MB at most. */
const MAX_PAGE_BYTES = 1_000_000;
const MAX_PAGES = 1 << 16;

const VERSION = 2;

interface Page {
  /** Decoded groups, by key. */
  readonly live: Map<string, GroupState>;
  /** Undefined while the page has not been read from storage. */
  packed: PackedGroups | undefined;
  /** True when storage has it otherwise. */
  dirty: boolean;
}

/** Reads one page from storage. */
export type LoadPage = (page: number) => Uint8Array | undefined;

/** What else is kept with a window's first page. */
export interface WindowHead {
  readonly flags: number;
  readonly revision: number;
}

export class GroupPages implements Groups {
  readonly #plan: Plan;
  readonly #load: LoadPage;
  #pages: Page[];
  #size: number;
  /** The size as storage has it: it lies on the first page. */
  #storedSize: number;

  private constructor(plan: Plan, load: LoadPage, pages: Page[], size: number) {
    this.#plan = plan;
    this.#load = load;
    this.#pages = pages;
    this.#size = size;
    this.#storedSize = size;
  }

  static empty(plan: Plan): GroupPages {
    return GroupPages.of(plan, []);
  }

  /** Groups with different keys; they belong to it from now on. */
  static of(plan: Plan, groups: Iterable<GroupState>): GroupPages {
    const pages = new GroupPages(plan, () => undefined, [emptyPage()], 0);
    for (const group of groups) pages.#put(group);
    return pages;
  }

  /**
   * Groups as storage has them; only the first page is read now.
   * @throws CorruptStateError when it was not written by `encode`
   */
  static read(plan: Plan, first: Uint8Array, load: LoadPage): { groups: GroupPages; head: WindowHead } {
    const reader = new ByteReader(first);
    if (reader.u8() !== VERSION) throw new CorruptStateError("unknown version of a window");
    const head = { flags: reader.u8(), revision: reader.varint() };
    const count = 2 ** reader.u8();
    if (count > MAX_PAGES) throw new CorruptStateError(`${count} pages`);
    const size = reader.varint();
    const pages = Array.from({ length: count }, (): Page => ({ live: new Map(), packed: undefined, dirty: false }));
    const packed = PackedGroups.read(first.subarray(reader.position), plan);
    if (count === 1 && packed.size !== size) throw new CorruptStateError(`${packed.size} groups instead of ${size}`);
    if (pages[0] !== undefined) pages[0].packed = packed;
    return { groups: new GroupPages(plan, load, pages, size), head };
  }

  get size(): number {
    return this.#size;
  }

  /** How many pages there are. */
  get pages(): number {
    return this.#pages.length;
  }

  /** Groups that are decoded. */
  get decoded(): number {
    return this.#pages.reduce((sum, { live }) => sum + live.size, 0);
  }

  /** Groups spread over several pages are packed now and then; those of a single page stay as they are while they are in use. */
  get isLarge(): boolean {
    return this.#pages.length > 1;
  }

  /** Bytes of memory, roughly. */
  retainedBytes(): number {
    let bytes = 0;
    for (const { live, packed } of this.#pages) {
      bytes += packed?.retainedBytes ?? 0;
      for (const group of live.values()) bytes += groupBytes(group);
    }
    return bytes;
  }

  /** The group's state, to be changed; made if there is none, and that of the overflow group where the limit is reached. */
  open(key: string): GroupState {
    const hash = this.isLarge ? hashOf(key) : null;
    const k = this.#numberOf(hash);
    const page = this.#pageAt(k);
    const known = page.live.get(key) ?? this.#unpack(page, k, key, hash);
    if (known === undefined && this.#size >= this.#plan.maxGroups && key !== OVERFLOW_KEY)
      return this.open(OVERFLOW_KEY);
    page.dirty = true;
    if (known !== undefined) return known;
    const group = emptyGroup(key, this.#plan);
    page.live.set(key, group);
    this.#size++;
    return group;
  }

  /** The group's state, to be looked at. */
  get(key: string): GroupState | undefined {
    const hash = hashOf(key);
    const k = this.#numberOf(hash);
    const page = this.#pageAt(k);
    return page.live.get(key) ?? this.#peek(page, k).get(key, hash);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  /** Every group, decoded one at a time: nothing of it stays in memory. */
  *values(): IterableIterator<GroupState> {
    for (const [k, page] of this.#pages.entries()) {
      yield* page.live.values();
      yield* this.#peek(page, k).values();
    }
  }

  *keys(): IterableIterator<string> {
    for (const [k, page] of this.#pages.entries()) {
      yield* page.live.keys();
      yield* this.#peek(page, k).keys();
    }
  }

  *[Symbol.iterator](): IterableIterator<[string, GroupState]> {
    for (const group of this.values()) yield [group.key, group];
  }

  /** Encodes what is decoded, to save memory. */
  pack(): void {
    for (const [k, page] of this.#pages.entries()) this.#pack(page, k);
    while (this.#isCrowded(this.#pages.map(({ packed }) => packed?.bytes ?? 0))) this.#spread();
  }

  /**
   * Pages by number, null for those that storage has as they are; they count as written.
   * @param isHeadNew whether what is kept with the first page differs from storage
   */
  encode(head: WindowHead, isHeadNew: boolean): (Uint8Array | null)[] {
    for (;;) {
      const [first] = this.#pages;
      if (first !== undefined && (isHeadNew || this.#size !== this.#storedSize)) first.dirty = true;
      const parts = this.#pages.map((page, k) => (page.dirty ? this.#encodePage(page, k, head) : null));
      if (!this.#isCrowded(parts.map((part, k) => part?.length ?? this.#pages[k]?.packed?.bytes ?? 0))) {
        for (const page of this.#pages) page.dirty = false;
        this.#storedSize = this.#size;
        return parts;
      }
      this.#spread();
    }
  }

  #encodePage(page: Page, k: number, { flags, revision }: WindowHead): Uint8Array {
    if (this.isLarge) this.#pack(page, k);
    const writer = new ByteWriter();
    if (k === 0) {
      writer.u8(VERSION);
      writer.u8(flags);
      writer.varint(revision);
      writer.u8(Math.log2(this.#pages.length));
      writer.varint(this.#size);
    }
    this.#packedOf(page, k).copyTo(writer);
    for (const group of page.live.values()) writeGroup(writer, hashOf(group.key), group);
    return writer.toUint8Array();
  }

  /** Has twice as many pages. */
  #spread(): void {
    const { length } = this.#pages;
    const writers = Array.from({ length: length * 2 }, () => new ByteWriter());
    for (const [k, page] of this.#pages.entries()) {
      this.#pack(page, k);
      this.#packedOf(page, k).spread((hash) => writers[hash & (length * 2 - 1)]);
    }
    this.#pages = writers.map((writer) => ({
      live: new Map(),
      packed: PackedGroups.read(writer.toUint8Array(), this.#plan),
      dirty: true,
    }));
  }

  /** @param bytes of each page, 0 where it was not read */
  #isCrowded(bytes: readonly number[]): boolean {
    const { length } = this.#pages;
    if (length >= MAX_PAGES || this.#size < 2) return false;
    const all = bytes.reduce((sum, size) => sum + size, 0);
    return (
      this.#size > GROUPS_PER_PAGE * length ||
      all > BYTES_PER_PAGE * length ||
      bytes.some((size) => size > MAX_PAGE_BYTES)
    );
  }

  #put(group: GroupState): void {
    const page = this.#pageAt(this.#numberOf(hashOf(group.key)));
    page.live.set(group.key, group);
    page.dirty = true;
    this.#size++;
  }

  #numberOf(hash: number | null): number {
    return hash === null ? 0 : hash & (this.#pages.length - 1);
  }

  #pageAt(k: number): Page {
    const page = this.#pages[k];
    if (page === undefined) throw new RangeError(`no page ${k}`);
    return page;
  }

  /** The page's packed groups, from memory or for good from storage. */
  #packedOf(page: Page, k: number): PackedGroups {
    page.packed ??= this.#read(k);
    return page.packed;
  }

  /** The same for a look: what is read now is not kept. */
  #peek(page: Page, k: number): PackedGroups {
    return page.packed ?? this.#read(k);
  }

  #read(k: number): PackedGroups {
    const bytes = this.#load(k);
    if (bytes === undefined) throw new CorruptStateError(`page ${k} of a window is missing`);
    return PackedGroups.read(bytes, this.#plan);
  }

  #unpack(page: Page, k: number, key: string, hash: number | null): GroupState | undefined {
    const packed = this.#packedOf(page, k);
    if (packed.size === 0) return undefined;
    const group = packed.take(key, hash ?? hashOf(key));
    if (group !== undefined) page.live.set(key, group);
    return group;
  }

  #pack(page: Page, k: number): void {
    if (page.live.size === 0) return;
    const writer = new ByteWriter();
    this.#packedOf(page, k).copyTo(writer);
    for (const group of page.live.values()) writeGroup(writer, hashOf(group.key), group);
    page.packed = PackedGroups.read(writer.toUint8Array(), this.#plan);
    page.live.clear();
  }
}

function emptyPage(): Page {
  return { live: new Map(), packed: PackedGroups.none, dirty: true };
}

const words = new Uint32Array(2);

function hashOf(key: string): number {
  hashValue(key, words, 0);
  return words[0] ?? 0;
}
