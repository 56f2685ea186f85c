interface Due {
  readonly at: number;
  readonly name: string;
}

/** When a name is due, and the time by which the heap has it: no later. */
interface Appointment {
  at: number;
  queuedAt: number;
}

/** Stale entries tolerated beyond as many again as there are names. */
const SPARE_ENTRIES = 64;

/**
 * Names in order of when they are due; giving a name another time replaces the one it had.
 *
 * A binary heap. A name put off stays where it is in it and is moved when its turn comes: most are put off again and again before. The
 * entry of a name put forward is left behind, and skipped.
 */
export class DueQueue {
  #heap: Due[] = [];
  readonly #appointments = new Map<string, Appointment>();

  /** @param at when it is due; Infinity = never */
  set(name: string, at: number): void {
    const known = this.#appointments.get(name);
    if (known === undefined) {
      if (at !== Infinity) this.#queue(name, { at, queuedAt: at });
      return;
    }
    known.at = at;
    if (at >= known.queuedAt) return;
    known.queuedAt = at;
    this.#queue(name, known);
  }

  /** When the first is due, or Infinity. */
  get nextAt(): number {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined) return Infinity;
      const known = this.#appointments.get(first.name);
      if (known !== undefined && known.queuedAt === first.at) {
        if (known.at === first.at) return first.at;
        this.#putOff(first.name, known);
      } else this.#pop();
    }
  }

  /** Takes out every name due by `at`, in order of time. */
  takeThrough(at: number): string[] {
    const names: string[] = [];
    while (this.nextAt <= at) {
      const due = this.#pop();
      if (due === undefined) break;
      this.#appointments.delete(due.name);
      names.push(due.name);
    }
    return names;
  }

  #queue(name: string, appointment: Appointment): void {
    this.#appointments.set(name, appointment);
    this.#push({ at: appointment.queuedAt, name });
    if (this.#heap.length > 2 * this.#appointments.size + SPARE_ENTRIES) this.#rebuild();
  }

  /** The first in the heap, whose entry is too early. */
  #putOff(name: string, appointment: Appointment): void {
    this.#pop();
    appointment.queuedAt = appointment.at;
    if (appointment.at === Infinity) this.#appointments.delete(name);
    else this.#push({ at: appointment.at, name });
  }

  /** A sorted list is a heap. */
  #rebuild(): void {
    const live: Due[] = [];
    for (const [name, appointment] of this.#appointments) {
      appointment.queuedAt = appointment.at;
      if (appointment.at === Infinity) this.#appointments.delete(name);
      else live.push({ at: appointment.at, name });
    }
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
