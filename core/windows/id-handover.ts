import { ByteReader, ByteWriter, CorruptStateError } from "../bytes.ts";
import { FINGERPRINT_WORDS } from "./fingerprint.ts";

/** What one shard knows of the ids in some slots, for another that takes the slots over. Buckets as in `StoredSpans`. */
export interface KnownIds {
  /** Epoch ms, or null. */
  readonly newestReceived: number | null;
  readonly assignedForgottenThrough: number | null;
  /** In the giver's order: the first is the shared entry. */
  readonly sources: readonly KnownSource[];
  /** All groups the giver remembers, also those without an id in these slots: that there is none is known as well. */
  readonly groups: readonly KnownGroup[];
}

export interface KnownSource {
  readonly name: string;
  /** Epoch ms, or null. */
  readonly newest: number | null;
  /** Where it may have stored events, of any slot: edges of `StoredSpans`. */
  readonly stored: readonly number[];
}

export interface KnownGroup {
  /** Position in `sources`, or ASSIGNED_OWNER. */
  readonly owner: number;
  readonly bucket: number;
  /** Fingerprints one after the other. */
  readonly words: Uint32Array;
}

const VERSION = 1;

export function encodeKnownIds({ newestReceived, assignedForgottenThrough, sources, groups }: KnownIds): Uint8Array {
  const into = new ByteWriter();
  into.u8(VERSION);
  into.f64(newestReceived ?? Number.NaN);
  into.f64(assignedForgottenThrough ?? Number.NaN);
  into.varint(sources.length);
  for (const { name, newest, stored } of sources) {
    into.string(name);
    into.f64(newest ?? Number.NaN);
    into.varint(stored.length);
    for (const edge of stored) into.signedVarint(edge);
  }
  into.varint(groups.length);
  for (const { owner, bucket, words } of groups) {
    into.varint(owner);
    into.signedVarint(bucket);
    into.varint(words.length / FINGERPRINT_WORDS);
    for (const word of words) into.u32(word);
  }
  return into.toUint8Array();
}

/** @throws CorruptStateError when `encodeKnownIds` did not write it */
export function decodeKnownIds(bytes: Uint8Array): KnownIds {
  const from = new ByteReader(bytes);
  from.version(VERSION, "known ids");
  const newestReceived = time(from);
  const assignedForgottenThrough = time(from);
  const sources = from.list(() => ({ name: from.string(), newest: time(from), stored: edges(from) }));
  const groups = from.list(() => ({ owner: from.varint(), bucket: from.signedVarint(), words: words(from) }));
  from.end();
  return { newestReceived, assignedForgottenThrough, sources, groups };
}

function time(from: ByteReader): number | null {
  const value = from.f64();
  if (Math.abs(value) === Infinity) throw new CorruptStateError("a time is not finite");
  return Number.isNaN(value) ? null : value;
}

function edges(from: ByteReader): number[] {
  const list = from.list(() => from.signedVarint());
  if (list.length % 2 !== 0 || list.some((edge, k) => k > 0 && edge <= (list[k - 1] ?? edge)))
    throw new CorruptStateError("edges of stored spans do not rise in pairs");
  return list;
}

function words(from: ByteReader): Uint32Array {
  const count = from.varint(Math.floor(from.remaining / (4 * FINGERPRINT_WORDS))) * FINGERPRINT_WORDS;
  return Uint32Array.from({ length: count }, () => from.u32());
}
