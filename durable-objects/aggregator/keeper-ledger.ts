import type { Wants } from "../patterns/messages.ts";

/** [pattern id, epoch ms]. */
type Watermarks = readonly (readonly [number, number])[];

/** Which keepers may hold something, which definitions each has heard, and which watermark each waits for. */
export class KeeperLedger {
  readonly #keepers: Set<number>;
  /** The least watermark, by pattern, that would decide something. Absent: not known. */
  readonly #wants = new Map<number, ReadonlyMap<number, number>>();
  readonly #epochs = new Map<number, number>();
  /** Counts what was heard of each keeper from others. */
  readonly #reports = new Map<number, number>();

  constructor(keepers: Iterable<number>) {
    this.#keepers = new Set(keepers);
  }

  get size(): number {
    return this.#keepers.size;
  }

  [Symbol.iterator](): IterableIterator<number> {
    return this.#keepers.values();
  }

  /** @returns true when one of them is new */
  enlist(keepers: Iterable<number>): boolean {
    const before = this.#keepers.size;
    for (const keeper of keepers) this.#keepers.add(keeper);
    return this.#keepers.size > before;
  }

  clear(): void {
    this.#keepers.clear();
  }

  /** True when it has heard the definitions of this epoch. */
  knows(keeper: number, epoch: number): boolean {
    return this.#epochs.get(keeper) === epoch;
  }

  /** Whether it must be told of these watermarks, or of the definitions. */
  mustHear(keeper: number, epoch: number, watermarks: Watermarks): boolean {
    const wants = this.#wants.get(keeper);
    if (wants === undefined || !this.knows(keeper, epoch)) return true;
    return watermarks.some(([id, at]) => at >= (wants.get(id) ?? Infinity));
  }

  /** The least watermark of a pattern that some keeper waits for, as far as is known, or Infinity. */
  wantedBy(patternId: number): number {
    let least = Infinity;
    for (const wants of this.#wants.values()) least = Math.min(least, wants.get(patternId) ?? Infinity);
    return least;
  }

  /** A call to it begins. @returns what to give with its answer */
  ask(keeper: number): number {
    return this.#reports.get(keeper) ?? 0;
  }

  /** It has answered. What others reported while the answer was under way may be newer: then it is to be asked again. */
  answered(keeper: number, asked: number, epoch: number, wants: Wants): void {
    this.#epochs.set(keeper, epoch);
    if (this.ask(keeper) === asked) this.#wants.set(keeper, new Map(wants));
    else this.#wants.delete(keeper);
  }

  refused(keeper: number): void {
    this.#epochs.delete(keeper);
  }

  /** What it told another. It may be older than what is known: the earlier of two is never wrong, only asked for too early. */
  report(keeper: number, wants: Wants): void {
    this.#reports.set(keeper, this.ask(keeper) + 1);
    const known = this.#wants.get(keeper);
    if (known === undefined) return;
    const least = new Map(known);
    for (const [id, at] of wants) least.set(id, Math.min(at, known.get(id) ?? Infinity));
    this.#wants.set(keeper, least);
  }
}
