import type { Agenda } from "./agenda.ts";
import type { Meter } from "./meter.ts";
import type { Path, Outcome } from "./path.ts";

export interface BottleneckSettings {
  readonly kind: "bottleneck";
  readonly ratePerSecond: number;
  /** Time there and back of an item that never waits, without its service, ms. */
  readonly baseRttMs: number;
  /** Items that may wait, the one in service not counted; one more is refused. */
  readonly queue: number;
  readonly jitter?: Jitter;
  /** Changes of the path, in order of time. */
  readonly steps?: readonly { readonly atMs: number; readonly ratePerSecond?: number; readonly baseRttMs?: number }[];
  /** Part of all items refused on arrival at random, e.g. by another limit on the way; 0 by default. */
  readonly randomRefusals?: number;
}

/**
 * How much an item's base delay varies, each item for itself.
 * `uniform`: base · (1 ± part). `exponential`: base · (1 + part · Exp(1)). `inOrder` lets no answer overtake another.
 */
export interface Jitter {
  readonly kind: "uniform" | "exponential";
  readonly part: number;
  readonly inOrder?: boolean;
}

/** One server that takes items in order of arrival, a fixed time each, in front of it a queue that refuses when full. */
export class Bottleneck implements Path {
  readonly #agenda: Agenda;
  readonly #meter: Meter;
  readonly #random: () => number;
  readonly #settings: BottleneckSettings;
  readonly #waiting: Outcome[] = [];
  #first = 0;
  #isBusy = false;
  #ratePerSecond: number;
  #baseRttMs: number;
  #lastArrivalMs = 0;
  #lastAnswerMs = 0;

  constructor(settings: BottleneckSettings, agenda: Agenda, meter: Meter, random: () => number) {
    this.#settings = settings;
    this.#agenda = agenda;
    this.#meter = meter;
    this.#random = random;
    this.#ratePerSecond = settings.ratePerSecond;
    this.#baseRttMs = settings.baseRttMs;
    for (const step of settings.steps ?? []) {
      agenda.at(step.atMs, () => {
        this.#ratePerSecond = step.ratePerSecond ?? this.#ratePerSecond;
        this.#baseRttMs = step.baseRttMs ?? this.#baseRttMs;
      });
    }
  }

  submit(outcome: Outcome): void {
    const there = this.#inOrder(this.#agenda.nowMs + this.#halfDelay(), this.#lastArrivalMs);
    this.#lastArrivalMs = Math.max(there, this.#lastArrivalMs);
    this.#agenda.at(there, () => this.#arrive(outcome));
  }

  #arrive(outcome: Outcome): void {
    const isFull = this.#isBusy && this.#waiting.length - this.#first >= this.#settings.queue;
    if (isFull || this.#random() < (this.#settings.randomRefusals ?? 0)) {
      this.#answer(() => outcome("refused"));
      return;
    }
    this.#waiting.push(outcome);
    if (this.#isBusy) this.#meter.queueChanged(this.#waiting.length - this.#first, this.#agenda.nowMs);
    else this.#serveNext();
  }

  #serveNext(): void {
    const outcome = this.#waiting[this.#first];
    this.#isBusy = outcome !== undefined;
    if (outcome === undefined) return;
    this.#first++;
    if (this.#first > 1_000) {
      this.#waiting.splice(0, this.#first);
      this.#first = 0;
    }
    this.#meter.queueChanged(this.#waiting.length - this.#first, this.#agenda.nowMs);
    this.#agenda.after(1_000 / this.#ratePerSecond, () => {
      this.#meter.served(this.#agenda.nowMs);
      this.#answer(() => outcome("done"));
      this.#serveNext();
    });
  }

  #answer(tell: () => void): void {
    const back = this.#inOrder(this.#agenda.nowMs + this.#halfDelay(), this.#lastAnswerMs);
    this.#lastAnswerMs = Math.max(back, this.#lastAnswerMs);
    this.#agenda.at(back, tell);
  }

  #inOrder(atMs: number, lastMs: number): number {
    return this.#settings.jitter?.inOrder === true ? Math.max(atMs, lastMs) : atMs;
  }

  #halfDelay(): number {
    const half = this.#baseRttMs / 2;
    const { jitter } = this.#settings;
    if (jitter === undefined || jitter.part === 0) return half;
    if (jitter.kind === "uniform") return half * (1 + jitter.part * (2 * this.#random() - 1));
    return half * (1 - jitter.part * Math.log(1 - this.#random()));
  }
}
