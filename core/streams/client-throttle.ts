interface Slot {
  readonly startMs: number;
  requests: number;
  accepts: number;
}

/** The window moves in tenths. */
const SLOTS = 10;

/**
 * How likely a request is to be futile, from what became of those of the last `windowMs`.
 *
 * p = max(0, (requests − k × accepts) / (requests + 1)): 0 while at least one in k is accepted, towards 1 as fewer are.
 * @see https://sre.google/sre-book/handling-overload/ "Client-Side Throttling"
 */
export class ClientThrottle {
  readonly #k: number;
  readonly #slotMs: number;
  #slots: Slot[] = [];

  constructor(k: number, windowMs: number) {
    this.#k = k;
    this.#slotMs = windowMs / SLOTS;
  }

  requested(nowMs: number): void {
    this.#slot(nowMs).requests += 1;
  }

  accepted(nowMs: number): void {
    this.#slot(nowMs).accepts += 1;
  }

  totals(nowMs: number): { requests: number; accepts: number } {
    this.#slots = this.#slots.filter((slot) => slot.startMs > nowMs - this.#slotMs * SLOTS);
    const sum = (of: "requests" | "accepts"): number => this.#slots.reduce((total, slot) => total + slot[of], 0);
    return { requests: sum("requests"), accepts: sum("accepts") };
  }

  /** @returns p in [0, 1) */
  futility(nowMs: number): number {
    const { requests, accepts } = this.totals(nowMs);
    return Math.max(0, (requests - this.#k * accepts) / (requests + 1));
  }

  #slot(nowMs: number): Slot {
    const startMs = Math.floor(nowMs / this.#slotMs) * this.#slotMs;
    const latest = this.#slots.at(-1);
    if (latest !== undefined && latest.startMs >= startMs) return latest;
    const slot = { startMs, requests: 0, accepts: 0 };
    this.#slots.push(slot);
    if (this.#slots.length > SLOTS) this.#slots.shift();
    return slot;
  }
}
