import { KEPT_SHARE, type Outcome, PatternState, type PatternStateJson } from "./pattern-state.ts";
import type { ForwardedRows } from "./forwarded-rows.ts";
import type { KeyState } from "./key-buffer.ts";
import type { StoredPattern } from "./plan.ts";

/** Events held in one keeper, and what they and their keys take in memory; beyond that the oldest are dropped before their time. */
export const MAX_EVENTS = 200_000;
export const MAX_KEEPER_BYTES = 40_000_000;

/** One thing a keeper is told. The log holds these, and replaying them gives the same state. */
export interface KeeperInput {
  /** All patterns there are; those not among them are gone with all that was kept of them. */
  readonly patterns?: readonly StoredPattern[];
  readonly rows?: ForwardedRows;
  /** [pattern id, epoch ms]. */
  readonly watermarks?: readonly (readonly [number, number])[];
}

/** One keeper: some keys of all of a tenant's patterns. Deterministic. */
export class KeeperMachine {
  readonly #patterns = new Map<number, PatternState>();
  readonly #onTouched: (patternId: number, key: string) => void;
  readonly #maxEvents: number;

  /** @param onTouched told of each key whose state is another now, once or more in a call */
  constructor(
    patterns: readonly StoredPattern[],
    states: readonly PatternStateJson[],
    onTouched: (patternId: number, key: string) => void,
    maxEvents = MAX_EVENTS,
  ) {
    this.#onTouched = onTouched;
    this.#maxEvents = maxEvents;
    for (const pattern of patterns) {
      const state = states.find(({ id }) => id === pattern.id);
      this.#patterns.set(pattern.id, new PatternState(pattern, state));
    }
  }

  get patterns(): ReadonlyMap<number, PatternState> {
    return this.#patterns;
  }

  /** Events held. */
  get size(): number {
    let size = 0;
    for (const state of this.#patterns.values()) size += state.size;
    return size;
  }

  /** Events, keys and matches take so much in memory, roughly. */
  get bytes(): number {
    let bytes = 0;
    for (const state of this.#patterns.values()) bytes += state.bytes;
    return bytes;
  }

  restore(patternId: number, key: string, state: KeyState): void {
    this.#patterns.get(patternId)?.restore(key, state);
  }

  take({ patterns, rows, watermarks = [] }: KeeperInput): Outcome[] {
    if (patterns !== undefined) this.#define(patterns);
    const touched = new Set<number>();
    if (rows !== undefined) this.#add(rows, touched);
    const moved = new Map(watermarks);
    const outcomes: Outcome[] = [];
    for (const [id, state] of this.#patterns) {
      if (!touched.has(id) && !moved.has(id)) continue;
      outcomes.push(...state.settle(moved.get(id) ?? -Infinity, (key) => this.#onTouched(id, key)));
    }
    while (this.size > this.#maxEvents || this.bytes > MAX_KEEPER_BYTES) this.#dropOldest();
    return outcomes;
  }

  /** For each pattern that waits for its watermark: [pattern id, the least watermark that would decide something]. */
  wants(): [number, number][] {
    return Array.from(this.#patterns, ([id, { wants }]): [number, number] => [id, wants]).filter(
      ([, at]) => at !== Infinity,
    );
  }

  #define(patterns: readonly StoredPattern[]): void {
    const ids = new Set(patterns.map(({ id }) => id));
    for (const [id, state] of this.#patterns) {
      if (ids.has(id)) continue;
      for (const key of state.keys.keys()) this.#onTouched(id, key);
      this.#patterns.delete(id);
    }
    for (const pattern of patterns) {
      const known = this.#patterns.get(pattern.id);
      if (known === undefined) this.#patterns.set(pattern.id, new PatternState(pattern));
      else known.redefine(pattern);
    }
  }

  /** Rows of patterns that are gone, or not known yet, are passed over. */
  #add({ keys, of, at, id, steps }: ForwardedRows, touched: Set<number>): void {
    const places = keys.map(([patternId, key]) => {
      const state = this.#patterns.get(patternId);
      if (state === undefined) return undefined;
      touched.add(patternId);
      return { state, buffer: state.bufferOf(key) };
    });
    for (let row = 0; row < of.length; row++) {
      const place = places[of[row] ?? 0];
      place?.state.add(place.buffer, at[row] ?? 0, id[row] ?? "", steps[row] ?? 0);
    }
  }

  /** The same moment for all keys: one that stands still must not keep what a busy one needs. */
  #dropOldest(): void {
    const { size } = this;
    const times: number[] = [];
    for (const { keys } of this.#patterns.values())
      for (const { events } of keys.values()) for (const at of events.toColumns()[0]) times.push(at);
    const kept = Math.floor(Math.min(size, this.#maxEvents) * KEPT_SHARE);
    const at = Float64Array.from(times).sort()[size - kept] ?? Infinity;
    this.#dropBefore(at);
    // All of one moment: then the moment goes.
    if (this.size === size) this.#dropBefore(at + 1);
  }

  #dropBefore(at: number): void {
    for (const [id, state] of this.#patterns) state.dropBefore(at, (key) => this.#onTouched(id, key));
  }
}
