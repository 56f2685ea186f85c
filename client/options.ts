import type { KeyValueStore } from "./stores.ts";

/** What happens to an event when the buffer is full: the oldest waiting one goes, this one goes, or its caller waits. */
export type Overflow = "DROP_OLDEST" | "DROP_NEWEST" | "BLOCK";

/** Time, so that tests need not wait. */
export interface Clock {
  /** Epoch ms. */
  now(): number;
  setTimeout(call: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

/** An event that will never be counted, and why. `event` is its JSON, null when it had none. */
export interface LostEvent {
  readonly id: string | null;
  readonly event: string | null;
  /** The platform's code (`invalid_type`, `too_large`, …), or `not_json`, `buffer_full`, `closed`. */
  readonly reason: string;
  readonly message: string;
}

/** Trouble that the client deals with itself; for a log line. */
export interface Trouble {
  readonly kind: "send" | "store";
  readonly message: string;
  /** HTTP status; null when there was no answer. */
  readonly status: number | null;
  /** When it will try again; null when that was not about sending. */
  readonly retryInMs: number | null;
}

/** Settings of a client. Counts and sizes are integers ≥ 1. */
export interface ClientOptions {
  /** The platform, e.g. `https://streamflow.example.com`. */
  readonly url: string;
  /** An API key with the role `ingest`, or a function that gives the one to use now. */
  readonly key: string | (() => string | Promise<string>);
  /** Events in one request, at most 10,000. Default 500. */
  readonly maxBatchEvents?: number;
  /** Bytes of JSON in one request, 32,000 to 9,000,000. Default 1,000,000. */
  readonly maxBatchBytes?: number;
  /** How long an event waits for others to travel with, ms; 0 sends at once. Default 1,000. */
  readonly maxWaitMs?: number;
  /** Events held, buffered and in flight. Default 10,000. */
  readonly maxBufferedEvents?: number;
  /** Bytes of JSON held, ≥ 32,000. Default 4,000,000: about what localStorage takes. */
  readonly maxBufferedBytes?: number;
  /** Default DROP_OLDEST. */
  readonly overflow?: Overflow;
  /** Keeps events across a reload or restart. Default: none. */
  readonly store?: KeyValueStore;
  /** Bodies of at least this many bytes are sent as gzip, where the platform running this can; Infinity turns it off. Default 4,096. */
  readonly gzipFromBytes?: number;
  /** A request without an answer is given up after this, ms. Default 30,000. */
  readonly requestTimeoutMs?: number;
  /** Told of each event refused for good. Such an event is not sent again. */
  readonly onRejected?: (event: LostEvent) => void;
  /** Told of each event that found no room, or was left when the client closed without a store. */
  readonly onDropped?: (event: LostEvent) => void;
  readonly onTrouble?: (trouble: Trouble) => void;
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
  readonly clock?: Clock;
  /** 0 inclusive to 1 exclusive, for the jitter of retries. */
  readonly random?: () => number;
}

/** The options with every default filled in. */
export type Settings = Required<Omit<ClientOptions, "store">> & { readonly store: KeyValueStore | null };

/** A timer is a number in a page and an object in Node; whoever made it takes it back. */
const timers: Pick<Clock, "clearTimeout"> = globalThis;

const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (call, ms) => globalThis.setTimeout(call, ms),
  clearTimeout: (timer) => timers.clearTimeout(timer),
};

const nothing = (): void => undefined;

/** Fills the defaults. @throws RangeError for a number out of its range, TypeError for a URL that is not one */
export function withDefaults(options: ClientOptions): Settings {
  return {
    url: new URL("events/batch", options.url.endsWith("/") ? options.url : `${options.url}/`).href,
    key: options.key,
    maxBatchEvents: within("maxBatchEvents", options.maxBatchEvents ?? 500, 1, 10_000),
    maxBatchBytes: within("maxBatchBytes", options.maxBatchBytes ?? 1_000_000, 32_000, 9_000_000),
    maxWaitMs: within("maxWaitMs", options.maxWaitMs ?? 1000, 0, 3_600_000),
    maxBufferedEvents: within("maxBufferedEvents", options.maxBufferedEvents ?? 10_000, 1, 10_000_000),
    maxBufferedBytes: within("maxBufferedBytes", options.maxBufferedBytes ?? 4_000_000, 32_000, 1_000_000_000),
    overflow: options.overflow ?? "DROP_OLDEST",
    store: options.store ?? null,
    gzipFromBytes: options.gzipFromBytes ?? 4096,
    requestTimeoutMs: within("requestTimeoutMs", options.requestTimeoutMs ?? 30_000, 1, 3_600_000),
    onRejected: options.onRejected ?? nothing,
    onDropped: options.onDropped ?? nothing,
    onTrouble: options.onTrouble ?? nothing,
    fetch: options.fetch ?? ((url, init) => fetch(url, init)),
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  };
}

function within(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`${name} must be an integer from ${least} to ${most}, not ${value}`);
}
