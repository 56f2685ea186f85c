interface Entry {
  readonly atMs: number;
  /** Order of entry, which breaks ties: two runs of one scenario are the same to the bit. */
  readonly order: number;
  readonly run: () => void;
}

/** Simulated time: what is to happen when. A binary heap by (time, order of entry). */
export class Agenda {
  nowMs = 0;
  readonly #heap: Entry[] = [];
  #entered = 0;

  /** Does something at a time, at once if that time is past. */
  at(atMs: number, run: () => void): void {
    const entry = { atMs: Math.max(atMs, this.nowMs), order: this.#entered++, run };
    const heap = this.#heap;
    let slot = heap.push(entry) - 1;
    while (slot > 0) {
      const above = (slot - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBefore(entry, parent)) break;
      heap[slot] = parent;
      slot = above;
    }
    heap[slot] = entry;
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  /** Runs everything due up to and including a time, which is then the present. */
  runUntil(endMs: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= endMs; next = this.#heap[0]) {
      this.#removeFirst();
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = Math.max(this.nowMs, endMs);
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let slot = 0;
    for (;;) {
      const child = this.#earlierChild(slot);
      const entry = heap[child];
      if (entry === undefined || !isBefore(entry, last)) break;
      heap[slot] = entry;
      slot = child;
    }
    heap[slot] = last;
  }

  #earlierChild(slot: number): number {
    const left = this.#heap[2 * slot + 1];
    const right = this.#heap[2 * slot + 2];
    return left !== undefined && right !== undefined && isBefore(right, left) ? 2 * slot + 2 : 2 * slot + 1;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}
