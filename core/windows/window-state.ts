import type { Accumulator } from "../aggregates/accumulator.ts";
import { ByteReader, ByteWriter, CorruptStateError } from "../bytes.ts";
import type { Plan, PlannedMeasure } from "./plan.ts";

/** Key of the group that takes what exceeds the group limit; no JSON list looks like this. */
export const OVERFLOW_KEY = "*";

export interface GroupState {
  readonly key: string;
  readonly accumulators: readonly Accumulator[];
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
  groups: Map<string, GroupState>;
  /** True when it differs from its checkpoint. */
  dirty: boolean;
  /** Encoded size at the last checkpoint or load; 0 before. */
  storedBytes: number;
  storedParts: number;
}

const VERSION = 1;
const CLOSED = 1;
const PARTIAL = 2;
/** Well under the 2 MB a row may hold. */
const MAX_PART_BYTES = 1_000_000;

/** Encodes a window as one or more parts of at most about 1 MB, each readable by itself. */
export function encodeWindow(window: WindowState): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let groups: Uint8Array[] = [];
  let bytes = 0;
  const flush = (): void => {
    const writer = new ByteWriter();
    writer.u8(VERSION);
    writer.u8((window.closed ? CLOSED : 0) | (window.partial ? PARTIAL : 0));
    writer.varint(window.revision);
    writer.varint(groups.length);
    for (const group of groups) writer.bytes(group);
    parts.push(writer.toUint8Array());
    groups = [];
    bytes = 0;
  };
  for (const group of window.groups.values()) {
    const encoded = encodeGroup(group);
    if (bytes + encoded.length > MAX_PART_BYTES && groups.length > 0) flush();
    groups.push(encoded);
    bytes += encoded.length;
  }
  flush();
  return parts;
}

function encodeGroup({ key, accumulators }: GroupState): Uint8Array {
  const writer = new ByteWriter();
  writer.string(key);
  for (const accumulator of accumulators) accumulator.encode(writer);
  return writer.toUint8Array();
}

/** @throws CorruptStateError when a part was not written by `encodeWindow` for these measures */
export function decodeWindow(
  start: number,
  end: number,
  parts: readonly Uint8Array[],
  measures: readonly PlannedMeasure[],
): WindowState {
  const groups = new Map<string, GroupState>();
  let flags = 0;
  let revision = 0;
  let storedBytes = 0;
  for (const part of parts) {
    const reader = new ByteReader(part);
    if (reader.u8() !== VERSION) throw new CorruptStateError("unknown window version");
    flags = reader.u8();
    revision = reader.varint();
    const count = reader.varint();
    for (let k = 0; k < count; k++) {
      const group = new ByteReader(reader.bytes());
      const key = group.string();
      groups.set(key, { key, accumulators: measures.map(({ measure }) => measure.decode(group)) });
    }
    storedBytes += part.length;
  }
  return {
    start,
    end,
    session: null,
    closed: (flags & CLOSED) !== 0,
    revision,
    partial: (flags & PARTIAL) !== 0,
    groups,
    dirty: false,
    storedBytes,
    storedParts: parts.length,
  };
}
