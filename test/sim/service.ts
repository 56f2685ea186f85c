import type { Agenda } from "./agenda.ts";
import type { Meter } from "./meter.ts";
import type { Outcome, Path } from "./path.ts";

/**
 * A service without a queue of its own, after the test sink of Vector's adaptive request concurrency: its delay may grow
 * with the number of items inside, and beyond a limit of items inside, or of items a second, it refuses or falls silent.
 */
export interface ServiceSettings {
  readonly kind: "service";
  readonly delayMs: number;
  /** The delay is on average base · (1 + jitter), the excess exponential. */
  readonly jitter?: number;
  /** Part of the base delay that each further item inside adds. */
  readonly scale?: number;
  /** Above so many items the delay grows by this power besides. */
  readonly knee?: { readonly start: number; readonly power: number };
  readonly limit?: { readonly of: "inside" | "per second"; readonly items: number; readonly action: "refuse" | "drop" };
  /** After so many items, so many are refused whatever the load: a fault that passes. */
  readonly fault?: { readonly afterItems: number; readonly items: number };
}

/** A dropped item's sender gives up after this. Vector's test uses the same. */
const TIMEOUT_MS = 1_000;

export class Service implements Path {
  readonly #settings: ServiceSettings;
  readonly #agenda: Agenda;
  readonly #meter: Meter;
  readonly #random: () => number;
  readonly #arrivals: number[] = [];
  #inside = 0;
  #submitted = 0;

  constructor(settings: ServiceSettings, agenda: Agenda, meter: Meter, random: () => number) {
    this.#settings = settings;
    this.#agenda = agenda;
    this.#meter = meter;
    this.#random = random;
  }

  submit(outcome: Outcome): void {
    this.#submitted++;
    this.#inside++;
    const action = this.#action();
    if (action === "drop") {
      this.#inside--;
      this.#agenda.after(TIMEOUT_MS, () => outcome("lost"));
      return;
    }
    this.#agenda.after(this.#delay(action === "refuse" ? 1 : this.#inside), () => {
      this.#inside--;
      if (action === undefined) this.#meter.served(this.#agenda.nowMs);
      outcome(action === undefined ? "done" : "refused");
    });
  }

  #action(): "refuse" | "drop" | undefined {
    const { limit, fault } = this.#settings;
    if (
      fault !== undefined &&
      this.#submitted > fault.afterItems &&
      this.#submitted <= fault.afterItems + fault.items
    ) {
      return "refuse";
    }
    if (limit === undefined) return undefined;
    const level = limit.of === "inside" ? this.#inside : this.#inLastSecond();
    return level > limit.items ? limit.action : undefined;
  }

  #inLastSecond(): number {
    const { nowMs } = this.#agenda;
    this.#arrivals.push(nowMs);
    while ((this.#arrivals[0] ?? nowMs) <= nowMs - 1_000) this.#arrivals.shift();
    return this.#arrivals.length;
  }

  #delay(inside: number): number {
    const { delayMs, jitter = 0, scale = 0, knee } = this.#settings;
    const bend = knee === undefined ? 0 : knee.power ** Math.max(0, inside - knee.start) - 1;
    return delayMs * (1 + (inside - 1) * scale + bend - jitter * Math.log(1 - this.#random()));
  }
}
