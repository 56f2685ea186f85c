// Problem: a tenant's quota must hold over all isolates, and asking one object per request would cap the tenant at what
// that object answers. Rule: a token bucket with lazy refill, from which isolates lease events in bulk and report
// afterwards what they used; a report beyond the lease is a debt, so the bucket may be below zero for a moment.
// Why not a counter per isolate: it knows nothing of the others. See RFC 2697 section 3 for the bucket.

import type {
  LeaseAnswer,
  LeaseRequest,
  LedgerSnapshot,
  Quota,
  QuotaState,
  Refusal,
  RequestCounts,
} from "./lease-messages.ts";

/** One lease takes at most this part of the bucket, so that another isolate finds something. */
const LARGEST_SHARE = 0.5;
/** Seconds of its rate that the bucket of bytes holds: several of the largest bodies fit even a small one. */
const BYTES_BURST_S = 10;
/** How fast a backlog is taken to drain when telling producers when to come back, events per second. */
const ASSUMED_DRAIN_PER_SECOND = 50_000;
const MAX_RETRY_AFTER_SECONDS = 60;
const STOPPED_RETRY_AFTER_SECONDS = 30;
/** More applied than accepted for this long means that reports were lost (an isolate died), not that they are late, ms. */
const LOST_REPORT_MS = 10_000;

interface OpenLease {
  readonly unreported: number;
  readonly expiresAtMs: number;
}

/** One tenant's bucket, open leases, and the count of events accepted and applied. */
export class LeaseLedger {
  #quota: Quota;
  readonly #leases = new Map<string, OpenLease>();
  readonly #applied: Map<number, number>;
  #tokens: number;
  #bytes: number;
  #atMs: number;
  #accepted: number;
  #acceptedBytes: number;
  #requests: RequestCounts;
  /** By shard. */
  readonly #stopped: Map<number, string>;
  #behindSinceMs: number | null = null;
  /** The smallest lead of the shards right after a report since then: what is still missing then is not on its way. */
  #smallestLead = Infinity;

  /** @param snapshot what an earlier ledger left; the bucket starts full, because a restart takes longer than refilling */
  constructor(quota: Quota, nowMs: number, snapshot?: LedgerSnapshot) {
    this.#quota = quota;
    this.#tokens = quota.burst;
    this.#bytes = quota.bytesPerSecond * BYTES_BURST_S;
    this.#atMs = nowMs;
    this.#applied = new Map(snapshot?.applied);
    this.#accepted = Math.max(snapshot?.accepted ?? 0, this.#appliedTotal());
    this.#acceptedBytes = snapshot?.acceptedBytes ?? 0;
    this.#requests = snapshot?.requests ?? { admitted: 0, refused: 0 };
    this.#stopped = new Map(stoppedIn(snapshot));
  }

  /** Another quota from now on. What was leased under the old one may be used until the lease ends. */
  setQuota(quota: Quota, nowMs: number): void {
    this.#refill(nowMs);
    this.#quota = quota;
    this.#tokens = Math.min(quota.burst, this.#tokens);
    this.#bytes = Math.min(quota.bytesPerSecond * BYTES_BURST_S, this.#bytes);
  }

  /** Requests let in and refused so far, as far as they were reported. */
  get requests(): RequestCounts {
    return this.#requests;
  }

  /** Takes an isolate's report and answers its wish. A refused isolate keeps what it holds, unless it gives it back. */
  lease(request: LeaseRequest, nowMs: number): LeaseAnswer {
    this.#refill(nowMs);
    this.#report(request);
    if (request.want <= 0) this.#giveBack(request.isolate);
    const refusal = this.#refusal(nowMs);
    if (refusal !== undefined) return refusal;
    const state = this.#state(nowMs);
    if (request.want <= 0) return { refused: false, granted: 0, grantedBytes: 0, expiresAtMs: nowMs, ...state };
    const granted = Math.min(request.want, Math.max(1, Math.floor(this.#tokens * LARGEST_SHARE)));
    this.#tokens -= granted;
    const unreported = granted + (this.#leases.get(request.isolate)?.unreported ?? 0);
    const expiresAtMs = nowMs + this.#quota.leaseMs;
    this.#leases.set(request.isolate, { unreported, expiresAtMs });
    // Bytes are not booked in advance, only their use is: nobody knows how large the events will be.
    const grantedBytes = Math.max(1, Math.floor(this.#bytes * LARGEST_SHARE));
    return { refused: false, granted, grantedBytes, expiresAtMs, ...this.#state(nowMs) };
  }

  /** Tokens gained since the last call; what expired leases left unreported comes back with them. */
  #refill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = Math.max(this.#atMs, nowMs);
    let tokens = this.#tokens + (this.#quota.ratePerSecond * elapsedMs) / 1000;
    for (const [isolate, lease] of this.#leases) {
      if (lease.expiresAtMs > nowMs) continue;
      tokens += lease.unreported;
      this.#leases.delete(isolate);
    }
    this.#tokens = Math.min(this.#quota.burst, tokens);
    const { bytesPerSecond } = this.#quota;
    const bytes = this.#bytes + (bytesPerSecond * elapsedMs) / 1000;
    this.#bytes = Math.min(bytesPerSecond * BYTES_BURST_S, bytes);
  }

  #report({ isolate, used, requests }: LeaseRequest): void {
    this.#accepted += used.events;
    this.#acceptedBytes += used.bytes;
    this.#bytes -= used.bytes;
    const { admitted, refused } = this.#requests;
    if (requests !== undefined)
      this.#requests = { admitted: admitted + requests.admitted, refused: refused + requests.refused };
    // A shard is often quicker than the report of what it applied; what this report did not explain may be lost.
    const lead = this.#appliedTotal() - this.#accepted;
    if (lead <= 0) this.#caughtUp();
    else this.#smallestLead = Math.min(this.#smallestLead, lead);
    const lease = this.#leases.get(isolate);
    const covered = Math.min(used.events, lease?.unreported ?? 0);
    this.#tokens -= used.events - covered;
    if (lease !== undefined) this.#leases.set(isolate, { ...lease, unreported: lease.unreported - covered });
  }

  #giveBack(isolate: string): void {
    this.#tokens = Math.min(this.#quota.burst, this.#tokens + (this.#leases.get(isolate)?.unreported ?? 0));
    this.#leases.delete(isolate);
  }

  #refusal(nowMs: number): Refusal | undefined {
    const state = this.#state(nowMs);
    const [stopped] = this.#stopped.values();
    if (stopped !== undefined) {
      const message = `not accepting events: ${stopped}`;
      return { refused: true, reason: "stopped", message, retryAfterSeconds: STOPPED_RETRY_AFTER_SECONDS, ...state };
    }
    const excess = this.#accepted - this.#appliedTotal() - this.#quota.maxBacklog;
    if (excess > 0) {
      const message = `more than ${this.#quota.maxBacklog} accepted events wait to be processed`;
      return {
        refused: true,
        reason: "backlog",
        message,
        retryAfterSeconds: waitSeconds(excess, ASSUMED_DRAIN_PER_SECOND),
        ...state,
      };
    }
    const { ratePerSecond, bytesPerSecond } = this.#quota;
    if (this.#bytes < 1) {
      const message = `over the quota of ${bytesPerSecond} bytes per second`;
      const retryAfterSeconds = waitSeconds(1 - this.#bytes, bytesPerSecond);
      return { refused: true, reason: "over_quota", message, retryAfterSeconds, ...state };
    }
    if (this.#tokens >= 1) return undefined;
    const message = `over the quota of ${ratePerSecond} events per second`;
    const retryAfterSeconds = waitSeconds(1 - this.#tokens, ratePerSecond);
    return { refused: true, reason: "over_quota", message, retryAfterSeconds, ...state };
  }

  #state(nowMs: number): QuotaState {
    const missing = this.#quota.burst - this.#tokens;
    return {
      limit: this.#quota.burst,
      remaining: Math.max(0, Math.floor(this.#tokens)),
      resetAtMs: nowMs + Math.ceil((missing / this.#quota.ratePerSecond) * 1000),
    };
  }

  /** How many events a shard has taken from the queue so far, repeats of a message not counted again; never goes back. */
  applied(shard: number, totalEvents: number, nowMs: number): void {
    this.#applied.set(shard, Math.max(totalEvents, this.#applied.get(shard) ?? 0));
    const applied = this.#appliedTotal();
    if (applied <= this.acceptedEvents(nowMs)) return this.#caughtUp();
    this.#behindSinceMs ??= nowMs;
    if (nowMs - this.#behindSinceMs < LOST_REPORT_MS) return undefined;
    // Not simply `applied`: the newest report may be on its way, and would count its events a second time.
    this.#accepted += Math.min(this.#smallestLead, applied - this.#accepted);
    return this.#caughtUp();
  }

  #caughtUp(): void {
    this.#behindSinceMs = null;
    this.#smallestLead = Infinity;
  }

  #appliedTotal(): number {
    return sum(this.#applied.values());
  }

  /** Events put on the queue so far, those of unexpired leases that may have been included. */
  acceptedEvents(nowMs: number): number {
    const open = [...this.#leases.values()].filter((lease) => lease.expiresAtMs > nowMs);
    return this.#accepted + sum(open.map((lease) => lease.unreported));
  }

  /** Nothing is let in while a reason is set, for any shard. */
  setStopped(reason: string | null, shard = 0): void {
    if (reason === null) this.#stopped.delete(shard);
    else this.#stopped.set(shard, reason);
  }

  /** Everything that was on the queue is gone: what was accepted is what was applied. */
  forgetQueue(): void {
    this.#accepted = this.#appliedTotal();
    this.#leases.clear();
  }

  /** Events and bytes accepted, events applied, as far as they were reported. */
  get totals(): { readonly accepted: number; readonly acceptedBytes: number; readonly applied: number } {
    return { accepted: this.#accepted, acceptedBytes: this.#acceptedBytes, applied: this.#appliedTotal() };
  }

  snapshot(): LedgerSnapshot {
    return {
      requests: this.#requests,
      accepted: this.#accepted,
      acceptedBytes: this.#acceptedBytes,
      applied: [...this.#applied],
      stopped: [...this.#stopped],
    };
  }
}

function stoppedIn(snapshot: LedgerSnapshot | undefined): readonly (readonly [number, string])[] {
  const stopped = snapshot?.stopped ?? [];
  return typeof stopped === "string" ? [[0, stopped]] : stopped;
}

function waitSeconds(amount: number, perSecond: number): number {
  return Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(amount / perSecond)));
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
