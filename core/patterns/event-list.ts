/** What a pattern knows of an event. */
export interface PatternEvent {
  /** Epoch ms. */
  readonly at: number;
  readonly id: string;
  /** Bits of the steps whose filter it passed. */
  readonly steps: number;
}

/** By (timestamp, id): total, so that every run sees the same order. */
export function compareEvents(a: PatternEvent, b: PatternEvent): number {
  return compare(a.at, a.id, b.at, b.id);
}

function compare(at: number, id: string, otherAt: number, otherId: string): number {
  if (at !== otherAt) return at - otherAt;
  if (id === otherId) return 0;
  return id < otherId ? -1 : 1;
}

/** The first k in [0, length) for which `isAfter` holds, which then holds for every later one; `length` when there is none. */
export function indexWhere(length: number, isAfter: (k: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isAfter(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** An event takes so many bytes in workerd, beside the characters of its id. Measured. */
const EVENT_BYTES = 90;
/** V8 makes room for 17 elements when the first is pushed. Most keys have few events, so up to so many arrays are made anew without room to spare. */
const FEW = 4;

/**
 * Events of one key in order of (timestamp, id), none of them twice; the k-th is at places `k` of three columns: as an object each they
 * would take half as much again.
 */
export class EventList {
  #at: number[];
  #ids: string[];
  #steps: number[];

  /** UTF-16 units of all ids. */
  #idLength: number;

  /** @param at, ids, steps as from `toColumns`; its own from now on */
  constructor(at: number[] = [], ids: string[] = [], steps: number[] = []) {
    this.#at = at;
    this.#ids = ids;
    this.#steps = steps;
    this.#idLength = lengthOf(ids);
  }

  get size(): number {
    return this.#ids.length;
  }

  /** It takes in memory, roughly. */
  get bytes(): number {
    return EVENT_BYTES * this.size + this.#idLength;
  }

  /** Epoch ms; Infinity where there is no such event. */
  at(k: number): number {
    return this.#at[k] ?? Infinity;
  }

  /** Bits of the steps; none where there is no such event. */
  steps(k: number): number {
    return this.#steps[k] ?? 0;
  }

  /** The events in [from, to), which must be there. */
  slice(from: number, to: number): PatternEvent[] {
    return this.#ids.slice(from, to).map((id, k) => ({ at: this.at(from + k), id, steps: this.steps(from + k) }));
  }

  /** Index of the first event with `at` ≥ `at`; `size` when there is none. */
  indexAt(at: number): number {
    return indexWhere(this.size, (k) => this.at(k) >= at);
  }

  /** @returns false when it is there already */
  insert(at: number, id: string, steps: number): boolean {
    const last = this.size - 1;
    if (last < 0 || this.#compare(last, at, id) < 0) this.#append(at, id, steps);
    else {
      const place = indexWhere(this.size, (k) => this.#compare(k, at, id) >= 0);
      if (this.#compare(place, at, id) === 0) return false;
      this.#at.splice(place, 0, at);
      this.#ids.splice(place, 0, id);
      this.#steps.splice(place, 0, steps);
    }
    this.#idLength += id.length;
    return true;
  }

  /** Forgets the first ones. */
  dropFirst(count: number): void {
    this.#at.splice(0, count);
    this.#idLength -= lengthOf(this.#ids.splice(0, count));
    this.#steps.splice(0, count);
  }

  toColumns(): readonly [at: readonly number[], ids: readonly string[], steps: readonly number[]] {
    return [this.#at, this.#ids, this.#steps];
  }

  #append(at: number, id: string, steps: number): void {
    if (this.size < FEW) {
      this.#at = this.#at.concat(at);
      this.#ids = this.#ids.concat(id);
      this.#steps = this.#steps.concat(steps);
      return;
    }
    this.#at.push(at);
    this.#ids.push(id);
    this.#steps.push(steps);
  }

  /** The k-th event against another. */
  #compare(k: number, at: number, id: string): number {
    return compare(this.at(k), this.#ids[k] ?? "", at, id);
  }
}

function lengthOf(texts: readonly string[]): number {
  let length = 0;
  for (const text of texts) length += text.length;
  return length;
}
