import type { Accumulator } from "../aggregates/accumulator.ts";
import { ByteReader, ByteWriter, CorruptStateError } from "../bytes.ts";
import { GroupPages, type WindowHead } from "./group-pages.ts";
import type { Plan } from "./plan.ts";

/** Key of the group that takes what exceeds the group limit; no JSON list looks like this. */
export const OVERFLOW_KEY = "*";

export interface GroupState {
  readonly key: string;
  readonly accumulators: readonly Accumulator[];
}

/** Groups by key, to be read. */
export interface Groups extends Iterable<readonly [string, GroupState]> {
  readonly size: number;
  get(key: string): GroupState | undefined;
  has(key: string): boolean;
  keys(): Iterable<string>;
  values(): Iterable<GroupState>;
}

/** The group's state, made if there is none; that of the overflow group where the limit is reached. */
export function groupOf(groups: Map<string, GroupState>, key: string, plan: Plan): GroupState {
  const known = groups.get(key);
  if (known !== undefined) return known;
  if (groups.size >= plan.maxGroups && key !== OVERFLOW_KEY) return groupOf(groups, OVERFLOW_KEY, plan);
  const group = emptyGroup(key, plan);
  groups.set(key, group);
  return group;
}

export function emptyGroup(key: string, plan: Plan): GroupState {
  return { key, accumulators: plan.measures.map(({ measure }) => measure.create()) };
}

/** Adds all of `from` to `into`; `from` is left as it is. */
export function mergeGroup(into: GroupState, from: GroupState): void {
  for (const [m, accumulator] of from.accumulators.entries()) into.accumulators[m]?.merge(accumulator);
}

/** A group of its own with the same state. */
export function copyGroup(group: GroupState, plan: Plan): GroupState {
  const copy = emptyGroup(group.key, plan);
  mergeGroup(copy, group);
  return copy;
}

/** True when both hold the same, bit by bit. */
export function isSameGroup(a: GroupState, b: GroupState): boolean {
  const [ours, theirs] = [encodeGroup(a), encodeGroup(b)];
  return ours.length === theirs.length && ours.every((byte, k) => byte === theirs[k]);
}

/** True when both show the same values. @param spanMs what rates are over */
export function showsSame(a: GroupState, b: GroupState, spanMs: number): boolean {
  return a.accumulators.every(
    (state, m) => JSON.stringify(state.result(spanMs)) === JSON.stringify(b.accumulators[m]?.result(spanMs)),
  );
}

function encodeGroup({ key, accumulators }: GroupState): Uint8Array {
  const writer = new ByteWriter();
  writer.string(key);
  for (const accumulator of accumulators) accumulator.encode(writer);
  return writer.toUint8Array();
}

/** A map's entry, the group's object and its list. */
const GROUP_BYTES = 120;

/** Bytes of memory that a group takes, roughly. */
export function groupBytes({ key, accumulators }: GroupState): number {
  return accumulators.reduce((bytes, state) => bytes + state.retainedBytes(), GROUP_BYTES + key.length);
}

/** One tumbling window of one aggregation, or one slice of hopping ones, with its mergeable state. Times are epoch ms. */
export interface WindowState {
  readonly start: number;
  readonly end: number;
  readonly session: null;
  closed: boolean;
  /** 0 until the first close and at it; one more each time late events changed it afterwards. */
  revision: number;
  /** True while events from before the aggregation existed may be missing. */
  partial: boolean;
  groups: GroupPages;
  /** What it took in memory when it was last read or written, roughly. */
  bytes: number;
  /** True when it differs from its checkpoint. */
  dirty: boolean;
  /** Pages that storage has of it. */
  storedParts: number;
  /** What the first of them says of it, −1 when there is none. */
  storedHead: number;
}

const CLOSED = 1;
const PARTIAL = 2;
/** Of windows written before their groups were on pages: all groups one after another, cut into parts. */
const VERSION_WITHOUT_PAGES = 1;

/** What of a window is written: its pages by number, null for those that storage has as they are. They count as written. */
export function encodeWindow(window: WindowState): (Uint8Array | null)[] {
  const flags = (window.closed ? CLOSED : 0) | (window.partial ? PARTIAL : 0);
  const head = { flags, revision: window.revision };
  const parts = window.groups.encode(head, headCode(head) !== window.storedHead);
  window.storedHead = headCode(head);
  window.storedParts = parts.length;
  return parts;
}

const headCode = ({ flags, revision }: WindowHead): number => revision * 4 + flags;

/**
 * @param first the window's first part
 * @param load  its parts in storage, or one of them
 * @throws CorruptStateError when a part was not written by `encodeWindow` for this plan
 */
export function readWindow(
  start: number,
  end: number,
  first: Uint8Array,
  load: (part?: number) => readonly Uint8Array[],
  plan: Plan,
): WindowState {
  if (first[0] === VERSION_WITHOUT_PAGES) return readUnpaged(start, end, load(), plan);
  const { groups, head } = GroupPages.read(plan, first, (page) => load(page)[0]);
  const stored = { bytes: groups.retainedBytes(), dirty: false, storedParts: groups.pages, storedHead: headCode(head) };
  return { start, end, session: null, ...stateOf(head.flags), revision: head.revision, groups, ...stored };
}

function stateOf(flags: number): { closed: boolean; partial: boolean } {
  return { closed: (flags & CLOSED) !== 0, partial: (flags & PARTIAL) !== 0 };
}

function readUnpaged(start: number, end: number, parts: readonly Uint8Array[], plan: Plan): WindowState {
  const groups: GroupState[] = [];
  let flags = 0;
  let revision = 0;
  for (const part of parts) {
    const reader = new ByteReader(part);
    if (reader.u8() !== VERSION_WITHOUT_PAGES) throw new CorruptStateError("unknown window version");
    flags = reader.u8();
    revision = reader.varint();
    const count = reader.varint();
    for (let k = 0; k < count; k++) {
      const group = new ByteReader(reader.bytes());
      const key = group.string();
      groups.push({ key, accumulators: plan.measures.map(({ measure }) => measure.decode(group)) });
    }
  }
  const pages = GroupPages.of(plan, groups);
  return {
    start,
    end,
    session: null,
    ...stateOf(flags),
    revision,
    groups: pages,
    bytes: pages.retainedBytes(),
    dirty: false,
    storedParts: parts.length,
    storedHead: -1,
  };
}
