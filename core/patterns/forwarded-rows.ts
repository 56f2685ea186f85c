/** Events of one keeper, column by column; row k is an event of the pattern and key at `keys[of[k]]`. */
export interface ForwardedRows {
  /** [pattern id, key as JSON text], none of them twice. */
  readonly keys: readonly (readonly [patternId: number, key: string])[];
  /** An index into `keys`. */
  readonly of: readonly number[];
  /** Timestamps, epoch ms. */
  readonly at: readonly number[];
  /** Event ids. */
  readonly id: readonly string[];
  /** Bits of the steps whose filter the event passed. */
  readonly steps: readonly number[];
}

/** Text of rows that are told and logged as one, UTF-16 units, about: of three bytes each they are still below the 2 MB a row may hold. */
const MAX_PART_LENGTH = 500_000;
/** What a row of events takes beside its id, and a key beside its text. */
const ROW_LENGTH = 32;

/** Rows for one keeper, being gathered. */
export class RowsPart implements ForwardedRows {
  readonly keys: [patternId: number, key: string][] = [];
  readonly of: number[] = [];
  readonly at: number[] = [];
  readonly id: string[] = [];
  readonly steps: number[] = [];
  #length = 0;

  /** True when further rows belong into another part. */
  get isFull(): boolean {
    return this.#length >= MAX_PART_LENGTH;
  }

  /** @returns the key's index, for `add` */
  addKey(patternId: number, key: string): number {
    this.#length += key.length + ROW_LENGTH;
    return this.keys.push([patternId, key]) - 1;
  }

  add(of: number, at: number, id: string, steps: number): void {
    this.#length += id.length + ROW_LENGTH;
    this.of.push(of);
    this.at.push(at);
    this.id.push(id);
    this.steps.push(steps);
  }

  /** JSON text of the ForwardedRows. */
  toText(): string {
    const { keys, of, at, id, steps } = this;
    return JSON.stringify({ keys, of, at, id, steps });
  }
}
