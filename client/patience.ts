import { blockedDelayMs, retryDelayMs } from "./backoff.ts";
import { tell } from "./custody.ts";
import type { Settings } from "./options.ts";

/** How long to leave the platform alone after an answer that was no receipt, and the leaving alone. */
export class Patience {
  readonly #settings: Settings;
  #failures = 0;
  /** Epoch ms before which the platform wants nothing. */
  #notBefore = 0;
  readonly #pauses = new Set<() => void>();

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Whether the platform asked for a wait that is not over. */
  get isAskedToWait(): boolean {
    return this.#settings.clock.now() < this.#notBefore;
  }

  /** All is well again. */
  forget(): void {
    this.#failures = 0;
  }

  /** The platform could not take it now. @returns how long to wait, ms */
  afterFailure(status: number | null, message: string, retryAfterSeconds: number | null): number {
    const { random, clock } = this.#settings;
    const waitMs = retryDelayMs(this.#failures++, retryAfterSeconds, random());
    if (retryAfterSeconds !== null) this.#notBefore = clock.now() + waitMs;
    return this.#told(status, message, waitMs);
  }

  /** The platform takes nothing until a person acts. @returns how long to wait, ms */
  whenBlocked(status: number | null, message: string): number {
    return this.#told(status, message, blockedDelayMs(this.#settings.random()));
  }

  /** Lasts `ms`, or until `endAll`. Measured by a timer, not by the clock on the wall, which may be set. */
  async pause(ms: number): Promise<void> {
    const { clock } = this.#settings;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clock.clearTimeout(timer);
        this.#pauses.delete(end);
        resolve();
      };
      const timer = clock.setTimeout(end, ms);
      this.#pauses.add(end);
    });
  }

  /** Ends every pause now. */
  endAll(): void {
    for (const end of this.#pauses) end();
  }

  #told(status: number | null, message: string, retryInMs: number): number {
    tell(this.#settings.onTrouble, { kind: "send", status, message, retryInMs });
    return retryInMs;
  }
}
