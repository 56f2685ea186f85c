import { ByteReader, ByteWriter, CorruptStateError } from "../bytes.ts";
import type { Plan } from "./plan.ts";
import type { GroupState } from "./window-state.ts";

/** Marks a group that has been taken out. */
const TAKEN = 0xffff_ffff;
const HASH_BYTES = 4;

/**
 * Encoded groups, one after another, of which single ones are found by the hash of their key.
 * Each is the hash, the length of the rest, the key, and the state of each measure.
 */
export class PackedGroups {
  readonly #bytes: Uint8Array;
  readonly #plan: Plan | undefined;
  readonly #hashes: Uint32Array;
  /** Where each begins; TAKEN once it is out. */
  readonly #starts: Uint32Array;
  #size: number;

  private constructor(bytes: Uint8Array, plan: Plan | undefined, hashes: Uint32Array, starts: Uint32Array) {
    this.#bytes = bytes;
    this.#plan = plan;
    this.#hashes = hashes;
    this.#starts = starts;
    this.#size = hashes.length;
  }

  static readonly none = new PackedGroups(new Uint8Array(), undefined, new Uint32Array(), new Uint32Array());

  /** @param bytes kept, not copied. @throws CorruptStateError when they were not written by `writeGroup`; a group's state is looked at only when it is read */
  static read(bytes: Uint8Array, plan: Plan): PackedGroups {
    if (bytes.length === 0) return PackedGroups.none;
    const reader = new ByteReader(bytes);
    const hashes: number[] = [];
    const starts: number[] = [];
    while (reader.remaining > 0) {
      starts.push(reader.position);
      hashes.push(reader.u32());
      reader.raw(reader.varint());
    }
    return new PackedGroups(bytes, plan, Uint32Array.from(hashes), Uint32Array.from(starts));
  }

  /** Those that have not been taken. */
  get size(): number {
    return this.#size;
  }

  /** Encoded size, those that were taken included. */
  get bytes(): number {
    return this.#bytes.length;
  }

  get retainedBytes(): number {
    return this.#bytes.length + 8 * this.#hashes.length;
  }

  get(key: string, hash: number): GroupState | undefined {
    const at = this.#find(key, hash);
    return at < 0 ? undefined : this.#decode(this.#starts[at] ?? 0);
  }

  /** Takes one out, decoded: its owner holds it from now on. */
  take(key: string, hash: number): GroupState | undefined {
    const at = this.#find(key, hash);
    if (at < 0) return undefined;
    const group = this.#decode(this.#starts[at] ?? 0);
    this.#starts[at] = TAKEN;
    this.#size--;
    return group;
  }

  *values(): IterableIterator<GroupState> {
    for (const start of this.#starts) if (start !== TAKEN) yield this.#decode(start);
  }

  *keys(): IterableIterator<string> {
    for (const start of this.#starts) if (start !== TAKEN) yield this.#groupAt(start).string();
  }

  /** Appends those that have not been taken, as they are. */
  copyTo(writer: ByteWriter): void {
    if (this.#size === this.#hashes.length) writer.raw(this.#bytes);
    else this.spread(() => writer);
  }

  /** Appends each to the writer of its hash. */
  spread(writerOf: (hash: number) => ByteWriter | undefined): void {
    for (const [k, start] of this.#starts.entries()) {
      if (start === TAKEN) continue;
      const hash = this.#hashes[k] ?? 0;
      const writer = writerOf(hash);
      writer?.u32(hash);
      writer?.bytes(this.#entry(start));
    }
  }

  #find(key: string, hash: number): number {
    for (let at = this.#hashes.indexOf(hash); at >= 0; at = this.#hashes.indexOf(hash, at + 1)) {
      const start = this.#starts[at] ?? TAKEN;
      if (start !== TAKEN && this.#groupAt(start).string() === key) return at;
    }
    return -1;
  }

  #entry(start: number): Uint8Array {
    return new ByteReader(this.#bytes.subarray(start + HASH_BYTES)).bytes();
  }

  #groupAt(start: number): ByteReader {
    return new ByteReader(this.#entry(start));
  }

  #decode(start: number): GroupState {
    if (this.#plan === undefined) throw new CorruptStateError("groups without measures");
    const reader = this.#groupAt(start);
    const key = reader.string();
    return { key, accumulators: this.#plan.measures.map(({ measure }) => measure.decode(reader)) };
  }
}

const scratch = new ByteWriter();

/** Appends a group as `PackedGroups` reads it. */
export function writeGroup(writer: ByteWriter, hash: number, { key, accumulators }: GroupState): void {
  scratch.clear();
  scratch.string(key);
  for (const accumulator of accumulators) accumulator.encode(scratch);
  writer.u32(hash);
  writer.bytes(scratch.view());
}
