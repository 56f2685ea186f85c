/** Longer than any attempt takes, a mail's 20 s included: after it the attempt is taken to have died with its Worker. */
const ATTEMPT_MS = 30_000;
/** Attempts remembered before those that are over are looked for. */
const SWEEP_AT = 1_000;

/**
 * Attempts under way, so that a notification that was queued twice is not tried twice at a time. In memory: after a crash
 * the same notification may be tried again, with the same id.
 */
export class InFlight {
  readonly #until = new Map<string, number>();

  /** @returns false when it is under way already */
  begin(name: string, nowMs: number): boolean {
    if ((this.#until.get(name) ?? 0) > nowMs) return false;
    if (this.#until.size >= SWEEP_AT) {
      for (const [known, until] of this.#until) if (until <= nowMs) this.#until.delete(known);
    }
    this.#until.set(name, nowMs + ATTEMPT_MS);
    return true;
  }

  end(name: string): void {
    this.#until.delete(name);
  }
}
