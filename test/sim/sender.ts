import type { Agenda } from "./agenda.ts";
import type { Attempt, Limiter } from "./limiter.ts";
import type { Meter } from "./meter.ts";
import type { Path } from "./path.ts";

/** What a sender has to send: always something, or items at a steady rate. */
export type Demand = { readonly kind: "greedy" } | { readonly kind: "steady"; readonly perSecond: number };

export interface SenderSettings {
  readonly demand: Demand;
  readonly startMs: number;
  readonly stopMs?: number;
  /** When set, a refused item is sent again after this, as a new attempt; otherwise another item takes its place. */
  readonly retryAfterMs?: number;
}

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What a sender shares with the others of its experiment. */
export interface Surroundings {
  readonly agenda: Agenda;
  readonly meter: Meter;
  readonly span: Span;
  readonly fairFromMs: number;
}

/** Sends items as a limiter allows: never over its window, never faster than its pace, as early as both permit. */
export class Sender {
  readonly #agenda: Agenda;
  readonly #path: Path;
  readonly #limiter: Limiter;
  readonly #settings: SenderSettings;
  readonly #meter: Meter;
  readonly #span: Span;
  readonly #fairFromMs: number;
  #inFlight = 0;
  #backlog = 0;
  #nextSendMs = 0;
  #wakeMs = -1;
  /** Items done since fairness began to be judged. */
  doneFairly = 0;
  mostInFlight = 0;
  readonly inFlightMean = new TimeMean();
  readonly windowMean = new TimeMean();
  largestWindow = 0;

  constructor(
    settings: SenderSettings,
    limiter: Limiter,
    path: Path,
    { agenda, meter, span, fairFromMs }: Surroundings,
  ) {
    this.#settings = settings;
    this.#meter = meter;
    this.#limiter = limiter;
    this.#path = path;
    this.#agenda = agenda;
    this.#span = span;
    this.#fairFromMs = fairFromMs;
    agenda.at(settings.startMs, () => this.#start());
  }

  #start(): void {
    this.#nextSendMs = this.#agenda.nowMs;
    if (this.#settings.demand.kind === "greedy") this.#backlog = Infinity;
    else this.#offer(1_000 / this.#settings.demand.perSecond);
    this.#send();
  }

  #offer(everyMs: number): void {
    this.#backlog++;
    this.#send();
    this.#agenda.after(everyMs, () => this.#offer(everyMs));
  }

  #send(): void {
    const { nowMs } = this.#agenda;
    if (nowMs >= (this.#settings.stopMs ?? Infinity)) return;
    this.#observe(nowMs);
    while (this.#backlog > 0 && this.#inFlight + 1 <= this.#limiter.window) {
      const perSecond = this.#limiter.pacingRatePerSecond;
      if (this.#nextSendMs > nowMs + 1e-9) return this.#wakeAt(this.#nextSendMs);
      this.#nextSendMs = Math.max(this.#nextSendMs, nowMs) + 1_000 / perSecond;
      this.#backlog--;
      this.#submit(nowMs);
    }
  }

  #wakeAt(atMs: number): void {
    if (this.#wakeMs === atMs) return;
    this.#wakeMs = atMs;
    this.#agenda.at(atMs, () => this.#send());
  }

  #submit(nowMs: number): void {
    const attempt = this.#limiter.send(nowMs);
    this.#inFlight++;
    this.#observe(nowMs);
    this.#path.submit((fate) => this.#settle(attempt, fate));
  }

  #settle(attempt: Attempt, fate: "done" | "refused" | "lost"): void {
    const { nowMs } = this.#agenda;
    this.#inFlight--;
    if (fate === "done") attempt.acked(nowMs);
    else attempt.rejected(nowMs);
    this.#meter.answered(fate === "done", nowMs);
    if (fate === "done" && nowMs >= this.#fairFromMs) this.doneFairly++;
    this.#observe(nowMs);
    if (fate !== "done" && this.#settings.retryAfterMs !== undefined) {
      this.#agenda.after(this.#settings.retryAfterMs, () => {
        this.#backlog++;
        this.#send();
      });
    }
    this.#send();
  }

  #observe(nowMs: number): void {
    if (nowMs < this.#span.fromMs || nowMs > this.#span.toMs) return;
    this.inFlightMean.is(this.#inFlight, nowMs);
    this.windowMean.is(this.#limiter.window, nowMs);
    this.mostInFlight = Math.max(this.mostInFlight, this.#inFlight);
    this.largestWindow = Math.max(this.largestWindow, this.#limiter.window);
  }
}

/** The mean over time of a value that stays until it is told anew. */
export class TimeMean {
  #value = 0;
  #sinceMs = -1;
  #integral = 0;
  #spanMs = 0;

  is(value: number, nowMs: number): void {
    if (this.#sinceMs >= 0) {
      this.#integral += this.#value * (nowMs - this.#sinceMs);
      this.#spanMs += nowMs - this.#sinceMs;
    }
    this.#value = value;
    this.#sinceMs = nowMs;
  }

  get mean(): number {
    return this.#spanMs === 0 ? this.#value : this.#integral / this.#spanMs;
  }
}
