interface Due {
  readonly at: number;
  readonly name: string;
}

/** Stale entries tolerated beyond as many again as there are names. */
const SPARE_ENTRIES = 64;

/** Names in order of when they are due; giving a name another time replaces the one it had. A binary heap with stale entries skipped. */
export class DueQueue {
  #heap: Due[] = [];
  readonly #times = new Map<string, number>();

  /** @param at when it is due; Infinity = never */
  set(name: string, at: number): void {
    if (this.#times.get(name) === at) return;
    if (at === Infinity) {
      this.#times.delete(name);
      return;
    }
    this.#times.set(name, at);
    this.#push({ at, name });
    if (this.#heap.length > 2 * this.#times.size + SPARE_ENTRIES) this.#rebuild();
  }

  /** When the first is due, or Infinity. */
  get nextAt(): number {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined) return Infinity;
      if (this.#times.get(first.name) === first.at) return first.at;
      this.#pop();
    }
  }

  /** Takes out every name due by `at`, in order of time. */
  takeThrough(at: number): string[] {
    const names: string[] = [];
    while (this.nextAt <= at) {
      const due = this.#pop();
      if (due === undefined) break;
      this.#times.delete(due.name);
      names.push(due.name);
    }
    return names;
  }

  /** A sorted list is a heap. */
  #rebuild(): void {
    const live = Array.from(this.#times, ([name, at]) => ({ at, name }));
    this.#heap = live.sort((a, b) => a.at - b.at);
  }

  #push(due: Due): void {
    let place = this.#heap.push(due) - 1;
    while (place > 0) {
      const parent = (place - 1) >>> 1;
      if (!this.#isBefore(place, parent)) return;
      this.#swap(place, parent);
      place = parent;
    }
  }

  #pop(): Due | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (last === undefined || first === last) return first;
    this.#heap[0] = last;
    let place = 0;
    for (;;) {
      let least = place;
      for (const child of [2 * place + 1, 2 * place + 2]) if (this.#isBefore(child, least)) least = child;
      if (least === place) return first;
      this.#swap(place, least);
      place = least;
    }
  }

  #isBefore(a: number, b: number): boolean {
    return (this.#heap[a]?.at ?? Infinity) < (this.#heap[b]?.at ?? Infinity);
  }

  #swap(a: number, b: number): void {
    const [one, other] = [this.#heap[a], this.#heap[b]];
    if (one === undefined || other === undefined) return;
    this.#heap[a] = other;
    this.#heap[b] = one;
  }
}
