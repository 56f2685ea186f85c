/** A clock that only runs when told, a platform that fails on demand and a store in memory: what the client meets, without waiting. */
import { gunzipSync } from "node:zlib";
import type { Clock, KeyValueStore } from "../../../client/index.ts";

interface Timer {
  readonly atMs: number;
  readonly call: () => void;
}

/** 2026-01-01T00:00:00Z. */
export const START_MS = 1_767_225_600_000;

/** Time that jumps from timer to timer. */
export class FakeClock implements Clock {
  readonly #timers = new Set<Timer>();
  #nowMs = START_MS;

  now(): number {
    return this.#nowMs;
  }

  setTimeout(call: () => void, ms: number): Timer {
    const timer = { atMs: this.#nowMs + ms, call };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: unknown): void {
    for (const known of this.#timers) if (known === timer) this.#timers.delete(known);
  }

  /** Lets everything happen that is due within `ms`. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await turn();
    for (let next = this.#next(); next !== undefined && next.atMs <= endMs; next = this.#next()) {
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.call();
      await turn();
    }
    this.#nowMs = endMs;
  }

  /** Advances until the promise is settled. */
  async until<T>(promise: Promise<T>): Promise<T> {
    const state = { isOver: false };
    const watched = promise.finally(() => (state.isOver = true));
    for (let step = 0; !state.isOver; step++) {
      if (step === 10_000) throw new Error("it never ends");
      await this.advance(100);
    }
    return await watched;
  }

  /** No timer of this clock ever fires again, as when its process was killed. */
  stop(): void {
    this.#timers.clear();
    this.setTimeout = () => ({ atMs: Infinity, call: () => undefined });
  }

  #next(): Timer | undefined {
    return [...this.#timers].toSorted((a, b) => a.atMs - b.atMs)[0];
  }
}

/** Long enough for every promise that waits for nothing but others. */
export function turn(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}

export interface SentEvent {
  readonly id: string;
  readonly data: { readonly n: number; readonly bad?: boolean };
}

/** What the platform does with one request: an answer of its own, `ok`, or the network's failures. */
export type Behaviour =
  | "ok"
  | "no_connection"
  | "answer_lost"
  | "half_unavailable"
  | "not_the_platform"
  | { readonly status: number; readonly retryAfter?: string; readonly body?: unknown };

export interface Seen {
  readonly events: readonly SentEvent[];
  readonly atMs: number;
  readonly init: RequestInit;
}

/** Counts each id once and refuses events with `data.bad`. Plays the behaviours in turn, then `ok`. */
export class FakePlatform {
  readonly requests: Seen[] = [];
  /** By id, in the order they were first counted. */
  readonly counted = new Map<string, number>();
  readonly #behaviours: Behaviour[];
  readonly #clock: () => number;
  /** Requests are held back until released, when set. */
  gate: Promise<void> | null = null;
  maxBytes = Infinity;

  constructor(clock: () => number, behaviours: readonly Behaviour[] = []) {
    this.#clock = clock;
    this.#behaviours = [...behaviours];
  }

  readonly fetch = async (_url: string, init: RequestInit): Promise<Response> => {
    const text =
      init.body instanceof ArrayBuffer ? gunzipSync(new Uint8Array(init.body)).toString() : String(init.body);
    const { events }: { events: SentEvent[] } = JSON.parse(text);
    this.requests.push({ events, atMs: this.#clock(), init });
    await this.gate;
    if (text.length > this.maxBytes) return envelope(413, { error: "payload_too_large", message: "too large" });
    const behaviour = this.#behaviours.shift() ?? "ok";
    switch (behaviour) {
      case "no_connection":
        throw new TypeError("fetch failed");
      case "answer_lost":
        this.#count(events, () => true);
        throw new TypeError("fetch failed");
      case "not_the_platform":
        return new Response("<html>sign in</html>", { status: 200 });
      case "half_unavailable":
        return this.#count(events, (index) => index % 2 === 1);
      case "ok":
        return this.#count(events, () => true);
      default:
        return envelope(
          behaviour.status,
          behaviour.body ?? { error: "scripted", message: "scripted" },
          behaviour.retryAfter,
        );
    }
  };

  #count(events: readonly SentEvent[], isQueued: (index: number) => boolean): Response {
    const results = events.flatMap(({ data }, index) => {
      const reason = data.bad === true ? "invalid_type" : isQueued(index) ? null : "unavailable";
      return reason === null ? [] : [{ index, result: "rejected", reason, message: `because of ${reason}` }];
    });
    const refused = new Set(results.map(({ index }) => index));
    const taken = events.filter((_, index) => !refused.has(index));
    for (const { id, data } of taken) if (!this.counted.has(id)) this.counted.set(id, data.n);
    const receipt = { accepted: taken.length, rejected: results.length, results };
    if (taken.length > 0) return envelope(200, { success: true, data: receipt });
    const isOutage = results.some(({ reason }) => reason === "unavailable");
    return envelope(isOutage ? 503 : 422, { error: "refused", message: "refused", details: receipt });
  }
}

function envelope(status: number, body: unknown, retryAfter?: string): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: retryAfter === undefined ? {} : { "Retry-After": retryAfter },
  });
}

/** A store in memory. */
export function memoryStore(values = new Map<string, string>()): KeyValueStore {
  return {
    keys: async () => [...values.keys()],
    get: async (key) => values.get(key) ?? null,
    set: async (key, value) => void values.set(key, value),
    delete: async (key) => void values.delete(key),
  };
}
