import { finiteOrNull } from "../windows/finite.ts";
import { type PatternSpec, specOf } from "./definition.ts";
import { DueQueue } from "./due-queue.ts";
import { KeyBuffer, type KeyState } from "./key-buffer.ts";
import { type Match, nextDecision } from "./matches.ts";
import type { StoredPattern } from "./plan.ts";

/** Events kept of one key; beyond that the oldest are dropped before their time. */
export const MAX_EVENTS_PER_KEY = 20_000;
/** How much of a limit is left after dropping, so that it is not met again at once. */
export const KEPT_SHARE = 0.9;

/** What a keeper counts of one pattern. */
export interface PatternCounts {
  readonly matches: number;
  readonly retracted: number;
  /** Events that came behind the watermark and were still taken. */
  readonly late: number;
  /** Events that came more than allowed_lateness behind it: nothing was done with them. */
  readonly tooLate: number;
  /** Events dropped before their time, because a limit was met. */
  readonly dropped: number;
}

/** What is to be told of one match. */
export interface Outcome {
  readonly pattern: StoredPattern;
  /** JSON text of the key's value. */
  readonly key: string;
  readonly kind: "matched" | "retracted";
  readonly match: Match;
}

/** Everything but the keys. null stands for −Infinity. */
export interface PatternStateJson {
  readonly id: number;
  readonly watermark: number | null;
  readonly droppedThrough: number | null;
  readonly counts: PatternCounts;
}

const NO_COUNTS: PatternCounts = { matches: 0, retracted: 0, late: 0, tooLate: 0, dropped: 0 };

/** One pattern's keys in one keeper. Deterministic: the same calls in the same order give the same state and outcomes. */
export class PatternState {
  readonly keys = new Map<string, KeyBuffer>();
  #pattern: StoredPattern;
  #spec: PatternSpec;
  readonly #counts: { -readonly [Name in keyof PatternCounts]: number };
  readonly #decisions = new DueQueue();
  readonly #expiries = new DueQueue();
  /** Those with new events. */
  #changed = new Set<KeyBuffer>();
  #watermark: number;
  /** Newest event of a key that was dropped as a whole. */
  #droppedThrough: number;
  #size = 0;
  #bytes = 0;

  constructor(pattern: StoredPattern, state?: PatternStateJson) {
    this.#pattern = pattern;
    this.#spec = specOf(pattern.definition);
    this.#counts = { ...(state?.counts ?? NO_COUNTS) };
    this.#watermark = state?.watermark ?? -Infinity;
    this.#droppedThrough = state?.droppedThrough ?? -Infinity;
  }

  get pattern(): StoredPattern {
    return this.#pattern;
  }

  /** Gives it other times or a description; what it has found stays, and what it has forgotten cannot be seen with later events. */
  redefine(pattern: StoredPattern): void {
    const { allowedLatenessMs } = this.#spec;
    this.#pattern = pattern;
    this.#spec = specOf(pattern.definition);
    if (this.#spec.allowedLatenessMs > allowedLatenessMs)
      this.#droppedThrough = Math.max(this.#droppedThrough, this.#watermark - allowedLatenessMs);
  }

  get watermark(): number {
    return this.#watermark;
  }

  get counts(): PatternCounts {
    return { ...this.#counts };
  }

  /** Events held. */
  get size(): number {
    return this.#size;
  }

  /** It takes in memory, roughly. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The least watermark at which there is something to decide, or Infinity. */
  get wants(): number {
    return this.#decisions.nextAt;
  }

  /** Puts back a key read from storage. */
  restore(key: string, state: KeyState): void {
    const buffer = KeyBuffer.restore(key, this.#spec, state);
    this.keys.set(key, buffer);
    this.#size += buffer.events.size;
    this.#charge(buffer);
    this.#schedule(key, buffer);
  }

  /** The events of a key, for `add`; one it does not have yet is kept from its first event on. */
  bufferOf(key: string): KeyBuffer {
    return this.keys.get(key) ?? new KeyBuffer(key);
  }

  /** Takes an event: epoch ms, id, bits of the steps. What follows from it is found by `settle`. */
  add(buffer: KeyBuffer, at: number, id: string, steps: number): void {
    const isBehind = at < this.#watermark;
    const isTooLate = isBehind && at < this.#watermark - this.#spec.allowedLatenessMs;
    if (isTooLate || at <= this.#droppedThrough || at <= buffer.droppedThrough) {
      this.#counts.tooLate++;
      return;
    }
    if (!buffer.insert(at, id, steps)) return;
    if (buffer.events.size === 1) this.keys.set(buffer.key, buffer);
    this.#size++;
    this.#charge(buffer);
    if (isBehind) this.#counts.late++;
    this.#changed.add(buffer);
  }

  /**
   * Moves the watermark, and decides what can be decided.
   * @param watermark −Infinity, or one before its own, to leave it where it is
   * @param onTouched told of each key whose state is another now
   */
  settle(watermark: number, onTouched: (key: string) => void): Outcome[] {
    const before = this.#watermark;
    this.#watermark = Math.max(before, watermark);
    const changed = this.#changed;
    this.#changed = new Set();
    for (const key of this.#decisions.takeThrough(this.#watermark)) {
      const buffer = this.keys.get(key);
      if (buffer !== undefined) changed.add(buffer);
    }
    const outcomes: Outcome[] = [];
    for (const buffer of changed) {
      onTouched(buffer.key);
      this.#revise(buffer, before, outcomes);
    }
    for (const key of this.#expiries.takeThrough(this.#watermark)) {
      onTouched(key);
      this.#expire(key);
    }
    return outcomes;
  }

  /** Drops events from before `at` in every key. */
  dropBefore(at: number, onTouched: (key: string) => void): void {
    for (const [key, buffer] of this.keys) {
      const newest = buffer.events.at(buffer.events.size - 1);
      if (this.#drop(buffer, at) === 0) continue;
      if (buffer.events.size === 0) this.#droppedThrough = Math.max(this.#droppedThrough, newest);
      onTouched(key);
    }
  }

  toJSON(): PatternStateJson {
    return {
      id: this.#pattern.id,
      watermark: finiteOrNull(this.#watermark),
      droppedThrough: finiteOrNull(this.#droppedThrough),
      counts: this.counts,
    };
  }

  #revise(buffer: KeyBuffer, before: number, outcomes: Outcome[]): void {
    const { key } = buffer;
    const { matched, retracted } = buffer.revise(this.#spec, before, this.#watermark);
    for (const match of retracted) outcomes.push({ pattern: this.#pattern, key, kind: "retracted", match });
    for (const match of matched) outcomes.push({ pattern: this.#pattern, key, kind: "matched", match });
    this.#counts.matches += matched.length;
    this.#counts.retracted += retracted.length;
    if (buffer.events.size > MAX_EVENTS_PER_KEY) {
      const kept = buffer.events.size - Math.floor(MAX_EVENTS_PER_KEY * KEPT_SHARE);
      const at = buffer.events.at(kept);
      // All of one moment: then the moment goes.
      if (this.#drop(buffer, at) === 0) this.#drop(buffer, at + 1);
    }
    if (buffer.events.size === 0) return;
    this.#charge(buffer);
    this.#schedule(key, buffer);
  }

  #drop(buffer: KeyBuffer, at: number): number {
    const dropped = buffer.dropBefore(this.#spec, at);
    this.#counts.dropped += dropped;
    this.#size -= dropped;
    if (buffer.events.size === 0) this.#remove(buffer);
    else this.#charge(buffer);
    return dropped;
  }

  /** Forgets what can matter no more: no event can come that would have to be seen with it. */
  #expire(key: string): void {
    const buffer = this.keys.get(key);
    if (buffer === undefined) return;
    const before = buffer.events.size;
    buffer.forgetBefore(this.#spec, this.#watermark - this.#memoryMs);
    this.#size += buffer.events.size - before;
    if (buffer.events.size === 0) {
      this.#remove(buffer);
      return;
    }
    this.#charge(buffer);
    this.#schedule(key, buffer);
  }

  #charge(buffer: KeyBuffer, bytes = buffer.bytes(this.#spec)): void {
    this.#bytes += bytes - buffer.charged;
    buffer.charged = bytes;
  }

  #remove(buffer: KeyBuffer): void {
    const { key } = buffer;
    this.#charge(buffer, 0);
    this.keys.delete(key);
    this.#decisions.set(key, Infinity);
    this.#expiries.set(key, Infinity);
  }

  /** How far behind the watermark events are kept: one that is just not too late is seen with events two spans before it. */
  get #memoryMs(): number {
    return this.#spec.allowedLatenessMs + 2 * this.#spec.withinMs;
  }

  #schedule(key: string, buffer: KeyBuffer): void {
    this.#decisions.set(key, nextDecision(this.#spec, buffer.events, this.#watermark));
    // The oldest event sets the time: a key that never rests must forget as well.
    this.#expiries.set(key, buffer.events.at(0) + this.#memoryMs + this.#slackMs);
  }

  /** Forgetting is put off, so that a busy key forgets many events at once. */
  get #slackMs(): number {
    return Math.max(1, this.#memoryMs / 8);
  }
}
