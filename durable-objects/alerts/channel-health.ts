import type { Decision, Strain } from "../../core/alerts/delivery.ts";
import { rfc3339OrNull } from "../../core/events/rfc3339.ts";
import { CircuitBreaker } from "../../core/streams/circuit-breaker.ts";
import type { CircuitSnapshot, CircuitState, Pass } from "../../core/streams/circuit-breaker.ts";

/** Five attempts that fail together stop the channel; a pause of 15 s to 10 min, then one notification tries. */
const CIRCUIT = {
  windowMs: 300_000,
  minAttempts: 5,
  openAt: 0.5,
  cooldownMs: 15_000,
  maxCooldownMs: 600_000,
  closeAfter: 1,
};
/** Facts that are nice to know are written at most this often; a changed circuit is written at once. */
const SAVE_EVERY_MS = 60_000;
/** How long a notification waits for the one that tries a channel for it. */
const PROBE_WAIT_MS = 5_000;

/** How a channel is doing, for people. Times are RFC 3339. */
export interface ChannelState {
  readonly circuit: CircuitState;
  /** Nothing is sent before; null when it may be sent now. */
  readonly held_until: string | null;
  readonly last_delivered_at: string | null;
  readonly last_failed_at: string | null;
  readonly last_error: string | null;
}

/** What one attempt came to. */
export interface AttemptResult {
  readonly outcome: Decision["outcome"];
  readonly error: string | null;
  readonly strain: Strain;
}

/** What an attempt did to its channel's circuit. */
export type CircuitChange = "opened" | "closed" | null;

/** Leave for one attempt. `pass` is for a channel that is being tried; null for one that works. */
export type Admission =
  | { readonly ok: true; readonly pass: Pass | null }
  | { readonly ok: false; readonly untilMs: number };

/** Times are epoch ms, 0 for never. */
interface Facts {
  readonly heldUntil: number;
  readonly deliveredAt: number;
  readonly failedAt: number;
  readonly error: string | null;
}

interface Health {
  readonly breaker: CircuitBreaker;
  facts: Facts;
  savedAt: number;
}

const NEVER: Facts = { heldUntil: 0, deliveredAt: 0, failedAt: 0, error: null };

/**
 * A circuit breaker per channel, and what `Retry-After` asked for. It stands here because all attempts of a tenant are
 * claimed and reported here, whichever Worker makes them, and because it must outlive that Worker.
 */
export class ChannelHealth {
  readonly #sql: SqlStorage;
  readonly #random: () => number;
  readonly #channels = new Map<string, Health>();

  /** @param random numbers in [0, 1) */
  constructor(sql: SqlStorage, random: () => number) {
    this.#sql = sql;
    this.#random = random;
    const rows = sql.exec<{ channel_id: string; body: string }>("select channel_id, body from channel_health");
    for (const { channel_id: id, body } of rows) {
      const { circuit, facts }: { circuit: CircuitSnapshot; facts: Facts } = JSON.parse(body);
      this.#channels.set(id, { breaker: new CircuitBreaker(CIRCUIT, random, circuit), facts, savedAt: 0 });
    }
  }

  /** Asks for leave to try a channel once. */
  enter(channelId: string, nowMs: number): Admission {
    const untilMs = this.heldUntil(channelId, nowMs);
    if (untilMs !== null) return { ok: false, untilMs };
    const breaker = this.#channels.get(channelId)?.breaker;
    if (breaker?.state(nowMs) !== "half_open") return { ok: true, pass: null };
    const pass = breaker.enter(nowMs);
    return pass === null ? { ok: false, untilMs: nowMs + PROBE_WAIT_MS } : { ok: true, pass };
  }

  /** Until when (epoch ms) nothing is sent to a channel; null when it may be now. */
  heldUntil(channelId: string, nowMs: number): number | null {
    const health = this.#channels.get(channelId);
    if (health === undefined) return null;
    const { breaker, facts } = health;
    const open = breaker.state(nowMs) === "open" ? nowMs + breaker.waitMs(nowMs) : 0;
    const until = Math.max(open, facts.heldUntil);
    return until > nowMs ? until : null;
  }

  /** Channels to which nothing is sent now, with the time (epoch ms) until which. */
  held(nowMs: number): ReadonlyMap<string, number> {
    const held = new Map<string, number>();
    for (const id of this.#channels.keys()) {
      const until = this.heldUntil(id, nowMs);
      if (until !== null) held.set(id, until);
    }
    return held;
  }

  /** Whether a channel is being tried: one notification goes, the others wait for it. */
  isTried(channelId: string, nowMs: number): boolean {
    return this.#channels.get(channelId)?.breaker.state(nowMs) === "half_open";
  }

  /** Writes an attempt down, in the transaction that writes its delivery. @param pass of the admission */
  settle(channelId: string, pass: Pass | null, result: AttemptResult, nowMs: number): CircuitChange {
    const health = this.#channels.get(channelId) ?? this.#known(channelId);
    const before = health.breaker.state(nowMs);
    const { isDown, retryAfterSeconds } = result.strain;
    // Only attempts that are over count while it is closed: many on their way are no sign of anything.
    const leave = pass ?? (before === "closed" ? health.breaker.enter(nowMs) : null);
    if (leave !== null && isDown) health.breaker.failed(leave, nowMs);
    if (leave !== null && !isDown) health.breaker.succeeded(leave, nowMs);
    const facts = factsAfter(health.facts, result, nowMs + 1000 * (retryAfterSeconds ?? 0), nowMs);
    const after = health.breaker.state(nowMs);
    const isUrgent = before !== after || facts.heldUntil !== health.facts.heldUntil;
    health.facts = facts;
    if (isUrgent || nowMs - health.savedAt >= SAVE_EVERY_MS) this.#save(channelId, health, nowMs);
    if (after === "open") return before === "open" ? null : "opened";
    return after === "closed" && before !== "closed" ? "closed" : null;
  }

  /** A test reached the channel: it works. @returns whether anything was held back */
  restore(channelId: string, nowMs: number): boolean {
    const health = this.#channels.get(channelId);
    if (health === undefined) return false;
    const wasHeld = health.breaker.state(nowMs) !== "closed" || health.facts.heldUntil > nowMs;
    const facts = { ...health.facts, heldUntil: 0, deliveredAt: nowMs };
    const fresh = { breaker: new CircuitBreaker(CIRCUIT, this.#random), facts, savedAt: nowMs };
    this.#channels.set(channelId, fresh);
    this.#save(channelId, fresh, nowMs);
    return wasHeld;
  }

  forget(channelId: string): void {
    this.#channels.delete(channelId);
    this.#sql.exec("delete from channel_health where channel_id = ?", channelId);
  }

  json(channelId: string, nowMs: number): ChannelState {
    const health = this.#channels.get(channelId);
    const { deliveredAt, failedAt, error } = health?.facts ?? NEVER;
    return {
      circuit: health?.breaker.state(nowMs) ?? "closed",
      held_until: rfc3339OrNull(this.heldUntil(channelId, nowMs)),
      last_delivered_at: rfc3339OrNull(deliveredAt || null),
      last_failed_at: rfc3339OrNull(failedAt || null),
      last_error: error,
    };
  }

  #known(channelId: string): Health {
    const health = { breaker: new CircuitBreaker(CIRCUIT, this.#random), facts: NEVER, savedAt: 0 };
    this.#channels.set(channelId, health);
    return health;
  }

  #save(channelId: string, health: Health, nowMs: number): void {
    health.savedAt = nowMs;
    const body = JSON.stringify({ circuit: health.breaker.snapshot(), facts: health.facts });
    this.#sql.exec("insert or replace into channel_health (channel_id, body) values (?, ?)", channelId, body);
  }
}

function factsAfter(before: Facts, { outcome, error }: AttemptResult, heldUntil: number, nowMs: number): Facts {
  if (outcome === "delivered") return { ...before, heldUntil: 0, deliveredAt: nowMs };
  return { ...before, heldUntil: Math.max(before.heldUntil, heldUntil), failedAt: nowMs, error };
}
