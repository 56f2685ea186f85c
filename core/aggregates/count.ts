import type { ByteReader, ByteWriter } from "../bytes.ts";
import type { Accumulator, Prepared } from "./accumulator.ts";
import { MAX_COUNT } from "./limits.ts";
import { valueAt, wrongMerge } from "./prepared.ts";

const VERSION = 1;
const MS_PER_SECOND = 1000;

/** What is counted (all rows, or those whose field is neither absent nor null), and how it is shown. */
export interface CountKind {
  readonly of: "rows" | "present";
  readonly shown: "number" | "per_second";
}

/** count and rate. With nothing added both are 0. */
export class CountAccumulator implements Accumulator {
  readonly #kind: CountKind;
  #count = 0;

  constructor(kind: CountKind) {
    this.#kind = kind;
  }

  add(prepared: Prepared, position: number): void {
    if (this.#kind.of === "rows" || valueAt(prepared, position) !== undefined) this.#count++;
  }

  /** Only for one that counts rows. */
  addRows(count: number): void {
    this.#count += count;
  }

  merge(other: Accumulator): void {
    if (!(other instanceof CountAccumulator)) throw wrongMerge();
    this.#count += other.#count;
  }

  /** `windowMs` > 0 is the length that a rate is over. */
  result(windowMs: number): number {
    return this.#kind.shown === "number" ? this.#count : (this.#count * MS_PER_SECOND) / windowMs;
  }

  encode(into: ByteWriter): void {
    into.u8(VERSION);
    into.varint(this.#count);
  }

  static decode(from: ByteReader, kind: CountKind): CountAccumulator {
    from.version(VERSION, "count");
    const state = new CountAccumulator(kind);
    state.#count = from.varint(MAX_COUNT);
    return state;
  }

  retainedBytes(): number {
    return 32;
  }
}
