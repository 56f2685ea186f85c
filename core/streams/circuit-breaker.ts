import { ClientThrottle } from "./client-throttle.ts";

/** "closed": all may try. "open": none. "half_open": a few try whether it works again. */
export type CircuitState = "closed" | "open" | "half_open";

/** Settings of a circuit breaker. */
export interface CircuitOptions {
  /** Of the last so many ms counts what became of the attempts. */
  readonly windowMs?: number;
  /** Attempts in the window below which it never opens. */
  readonly minAttempts?: number;
  /** Futility, in (0, 1), at which it opens; 0.5 is reached when about a quarter of the attempts succeed. */
  readonly openAt?: number;
  /** First time open. Doubles with each failed recovery, up to `maxCooldownMs`. */
  readonly cooldownMs?: number;
  readonly maxCooldownMs?: number;
  /** Successes while half open that close it. */
  readonly closeAfter?: number;
  readonly onChange?: (from: CircuitState, to: CircuitState, nowMs: number) => void;
}

/** Leave for one attempt; settle it with the breaker that gave it. */
export interface Pass {
  /** Which of the breaker's states gave it: what became of it says nothing about later ones. */
  readonly era: number;
}

/** What of a breaker outlives its process, JSON-able: its state, not the attempts that led there. */
export interface CircuitSnapshot {
  readonly state: CircuitState;
  /** Epoch ms; of meaning while open. */
  readonly openUntilMs: number;
  readonly failedRecoveries: number;
}

const DEFAULTS = {
  windowMs: 10_000,
  minAttempts: 10,
  openAt: 0.5,
  cooldownMs: 1_000,
  maxCooldownMs: 60_000,
  closeAfter: 3,
};

/** "At least half are accepted" is what the SRE book takes for normal. */
const K = 2;

/**
 * Stops attempts at a downstream that fails, and finds out carefully when it works again: half open, an attempt goes with
 * probability 1 − futility, where attempts under way count as not accepted, so they get rarer until one succeeds.
 */
export class CircuitBreaker {
  readonly #options: typeof DEFAULTS & CircuitOptions;
  readonly #random: () => number;
  #throttle: ClientThrottle;
  #state: CircuitState = "closed";
  #era = 0;
  #openUntilMs = 0;
  #failedRecoveries = 0;
  #opened = 0;

  /**
   * @param random numbers in [0, 1)
   * @param from where an earlier breaker left off; closed when absent
   * @throws RangeError for numbers that make no sense
   */
  constructor(options: CircuitOptions, random: () => number, from?: CircuitSnapshot) {
    this.#options = { ...DEFAULTS, ...options };
    this.#random = random;
    const { windowMs, minAttempts, openAt, cooldownMs, maxCooldownMs, closeAfter } = this.#options;
    const arePositive = [windowMs, minAttempts, cooldownMs, maxCooldownMs, closeAfter].every(
      (value) => value > 0 && value < Infinity,
    );
    if (!arePositive || !(openAt > 0 && openAt < 1))
      throw new RangeError("circuit options must be positive, openAt < 1");
    this.#throttle = new ClientThrottle(K, windowMs);
    if (from === undefined) return;
    this.#state = from.state;
    this.#openUntilMs = from.openUntilMs;
    this.#failedRecoveries = from.failedRecoveries;
  }

  snapshot(): CircuitSnapshot {
    return { state: this.#state, openUntilMs: this.#openUntilMs, failedRecoveries: this.#failedRecoveries };
  }

  /** How often it has opened. */
  get opened(): number {
    return this.#opened;
  }

  state(nowMs: number): CircuitState {
    if (this.#state === "open" && nowMs >= this.#openUntilMs) this.#become("half_open", nowMs);
    return this.#state;
  }

  /** @returns leave to try once, or null: ask again in `waitMs` or when an attempt has been settled */
  enter(nowMs: number): Pass | null {
    const state = this.state(nowMs);
    if (state === "open") return null;
    if (state === "half_open" && this.#random() < this.#throttle.futility(nowMs)) return null;
    this.#throttle.requested(nowMs);
    return { era: this.#era };
  }

  /** When, after a refusal, it is worth asking again; ms > 0. */
  waitMs(nowMs: number): number {
    const probeEveryMs = this.#options.cooldownMs / 10;
    return this.state(nowMs) === "open" ? Math.max(1, this.#openUntilMs - nowMs) : Math.max(1, probeEveryMs);
  }

  /** The downstream answered, be it to say that the request was wrong. */
  succeeded(pass: Pass, nowMs: number): void {
    if (pass.era !== this.#era) return;
    this.#throttle.accepted(nowMs);
    if (this.#state !== "half_open" || this.#throttle.totals(nowMs).accepts < this.#options.closeAfter) return;
    this.#failedRecoveries = 0;
    this.#become("closed", nowMs);
  }

  /** It refused, broke or did not answer. */
  failed(pass: Pass, nowMs: number): void {
    if (pass.era !== this.#era || this.#state === "open") return;
    if (this.#state === "half_open") this.#failedRecoveries += 1;
    else if (!this.#isFutile(nowMs)) return;
    this.#open(nowMs);
  }

  #isFutile(nowMs: number): boolean {
    const { requests } = this.#throttle.totals(nowMs);
    return requests >= this.#options.minAttempts && this.#throttle.futility(nowMs) >= this.#options.openAt;
  }

  #open(nowMs: number): void {
    const { cooldownMs, maxCooldownMs } = this.#options;
    const lastsMs = Math.min(maxCooldownMs, cooldownMs * 2 ** this.#failedRecoveries);
    // Up to half as long again, so that many breakers do not try at the same moment.
    this.#openUntilMs = nowMs + lastsMs * (1 + this.#random() / 2);
    this.#opened += 1;
    this.#become("open", nowMs);
  }

  #become(state: CircuitState, nowMs: number): void {
    const from = this.#state;
    this.#state = state;
    this.#era += 1;
    this.#throttle = new ClientThrottle(K, this.#options.windowMs);
    this.#options.onChange?.(from, state, nowMs);
  }
}
