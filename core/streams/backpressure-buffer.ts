import { countProblem, durationProblem } from "./arguments.ts";
import { Fifo } from "./fifo.ts";
import type { DropReason, Ledger } from "./ledger.ts";
import { type BufferStrategy, overflowOf } from "./overflow.ts";
import { END, item, type Step, type StreamReader } from "./source.ts";

export type BufferOptions = BufferStrategy & {
  /** Items held, ≥ 1. */
  readonly capacity: number;
};

/** "accepted": it is in the buffer, or delivered. "dropped": lost, as the strategy says. "rejected": not taken; offer it elsewhere or later. */
export type Offer = "accepted" | "dropped" | "rejected";

interface Held<T> {
  readonly value: T;
  readonly atMs: number;
}

interface Producer<T> {
  readonly value: T;
  readonly settle: (outcome: Offer) => void;
}

const MAX_WAITING = 1_000;
/** A hundred milliseconds of standing queue are no burst any more. */
const BURST_MS = 100;
/** Of items that wait in a standing queue, those below this age are still worth delivering. */
const TARGET_MS = 5;

/**
 * A bounded queue between producers that push and one consumer that pulls, with a named strategy for when it is full and a ledger
 * of what became of every item. Items come out in the order in which they went in.
 */
export class BackpressureBuffer<T> implements AsyncIterable<T> {
  readonly #options: BufferOptions;
  readonly #held = new Fifo<Held<T>>();
  readonly #producers = new Fifo<Producer<T>>();
  readonly #readers = new Fifo<(step: Step<T>) => void>();
  readonly #dropped: Record<DropReason, number> = { oldest: 0, newest: 0, sampled: 0, discarded: 0 };
  #offered = 0;
  #delivered = 0;
  #rejected = 0;
  #seen = 0;
  #lastEmptyMs = 0;
  #isEnded = false;
  #isRead = false;

  /** @throws RangeError for a capacity or bounds that make no sense */
  constructor(options: BufferOptions) {
    const problem = countProblem("capacity", options.capacity, 1) ?? strategyProblem(options);
    if (problem !== undefined) throw problem;
    this.#options = options;
  }

  get ledger(): Ledger {
    return {
      offered: this.#offered,
      delivered: this.#delivered,
      dropped: { ...this.#dropped },
      rejected: this.#rejected,
      buffered: this.#held.length,
      waiting: this.#producers.length,
    };
  }

  /** Offers an item without waiting: BLOCK rejects it when the buffer is full. */
  offer(value: T): Offer {
    if (this.#isEnded || (this.#isFull && this.#options.strategy === "BLOCK")) return this.#reject();
    return this.#admit(value);
  }

  /** Offers an item; with BLOCK it waits for room, in turn. Never rejects its promise. */
  put(value: T): Promise<Offer> {
    const waits = this.#options.strategy === "BLOCK" && this.#isFull && !this.#isEnded;
    if (!waits) return Promise.resolve(this.offer(value));
    if (this.#producers.length >= maxWaiting(this.#options)) return Promise.resolve(this.#reject());
    return new Promise((settle) => this.#producers.push({ value, settle }));
  }

  /** No more items: waiting and later ones are rejected, the consumer gets what is buffered and then the end. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    for (let producer = this.#producers.shift(); producer !== undefined; producer = this.#producers.shift()) {
      producer.settle(this.#reject());
    }
    if (this.#held.length === 0) this.#endReaders();
  }

  /** @throws Error the second time: items go to one consumer. When it returns early the buffer ends and what it holds is discarded. */
  [Symbol.asyncIterator](): StreamReader<T> {
    if (this.#isRead) throw new Error("a buffer has one consumer");
    this.#isRead = true;
    const stop = async (): Promise<Step<T>> => this.#leave();
    const reader: StreamReader<T> = {
      next: () => this.#next(),
      return: stop,
      throw: async (error) => {
        await stop();
        throw error;
      },
      [Symbol.asyncIterator]: () => reader,
      [Symbol.asyncDispose]: async () => void (await stop()),
    };
    return reader;
  }

  get #isFull(): boolean {
    return this.#held.length >= this.#options.capacity;
  }

  #now(): number {
    return this.#options.strategy === "ADAPTIVE" ? this.#options.now() : 0;
  }

  #reject(): Offer {
    this.#offered += 1;
    this.#rejected += 1;
    return "rejected";
  }

  /** Takes an item in: to a consumer that waits, to a free place, or as the strategy says. */
  #admit(value: T): Offer {
    this.#offered += 1;
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      this.#delivered += 1;
      reader(item(value));
      return "accepted";
    }
    if (this.#held.length === 0) {
      this.#seen = 0;
      this.#lastEmptyMs = this.#now();
    }
    this.#seen += 1;
    if (this.#isFull && !this.#makeRoom()) return "dropped";
    this.#held.push({ value, atMs: this.#now() });
    return "accepted";
  }

  /** @returns whether there is a place for the new item; if not, it has been counted as dropped */
  #makeRoom(): boolean {
    const overflow = overflowOf(this.#options, this.#options.capacity, this.#seen);
    if (overflow.do === "wait") throw new Error("with BLOCK nobody enters a full buffer");
    this.#dropped[overflow.reason] += 1;
    if (overflow.do === "replace") this.#held.removeAt(overflow.index);
    return overflow.do === "replace";
  }

  #next(): Promise<Step<T>> {
    this.#dropStale();
    const held = this.#held.shift();
    if (held === undefined) {
      return this.#isEnded ? Promise.resolve(END) : new Promise((resolve) => this.#readers.push(resolve));
    }
    this.#delivered += 1;
    this.#seen -= 1;
    this.#letProducerIn();
    return Promise.resolve(item(held.value));
  }

  #letProducerIn(): void {
    const producer = this.#producers.shift();
    if (producer !== undefined) producer.settle(this.#admit(producer.value));
  }

  /** ADAPTIVE: in a standing queue, lets go of what is too old to be of use. */
  #dropStale(): void {
    if (this.#options.strategy !== "ADAPTIVE") return;
    const nowMs = this.#now();
    const { burstMs = BURST_MS, targetMs = TARGET_MS } = this.#options;
    if (nowMs - this.#lastEmptyMs <= burstMs) return;
    while (this.#held.length > 1 && nowMs - (this.#held.first?.atMs ?? nowMs) > targetMs) {
      this.#held.shift();
      this.#dropped.oldest += 1;
    }
  }

  #leave(): Step<T> {
    this.#dropped.discarded += this.#held.length;
    this.#held.clear();
    this.end();
    this.#endReaders();
    return END;
  }

  #endReaders(): void {
    for (let reader = this.#readers.shift(); reader !== undefined; reader = this.#readers.shift()) reader(END);
  }
}

function maxWaiting(options: BufferStrategy): number {
  return options.strategy === "BLOCK" ? (options.maxWaiting ?? MAX_WAITING) : 0;
}

function strategyProblem(options: BufferStrategy): RangeError | undefined {
  switch (options.strategy) {
    case "DROP_OLDEST":
    case "DROP_NEWEST":
    case "SAMPLE":
      return undefined;
    case "BLOCK":
      return countProblem("maxWaiting", maxWaiting(options), 0);
    case "ADAPTIVE":
      return (
        durationProblem("burstMs", options.burstMs ?? BURST_MS) ??
        durationProblem("targetMs", options.targetMs ?? TARGET_MS)
      );
    default:
      return new RangeError("unknown strategy");
  }
}
