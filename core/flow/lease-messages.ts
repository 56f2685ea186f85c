import type { OldUse } from "./old-events.ts";

/** What a tenant may send. */
export interface Quota {
  /** Events the bucket gains per second, > 0. */
  readonly ratePerSecond: number;
  /** Events the bucket holds when full. */
  readonly burst: number;
  /** Bytes of events as JSON per second, > 0; the bucket of bytes holds ten seconds of it. */
  readonly bytesPerSecond: number;
  /** Accepted but not yet applied events beyond which nothing more is let in. */
  readonly maxBacklog: number;
  /** How long unreported events of a lease count as possibly used, ms. */
  readonly leaseMs: number;
}

/** What an isolate reports and asks for. */
export interface LeaseRequest {
  /** Name of the isolate, unique while it lives. */
  readonly isolate: string;
  /** What it put on the queue since its last report. */
  readonly used: { readonly events: number; readonly bytes: number };
  /** Requests it let in and refused since its last report; `paced` is how many of these were refused because of the rate. */
  readonly requests?: RequestCounts & { readonly paced: number };
  /** How much later than it should a timer fired there, ms: its thread is that busy. Measured under pressure only. */
  readonly lagMs?: number;
  /** What it did with events of long ago; absent when there were none. */
  readonly old?: OldUse;
  /** Further events wanted. 0 gives back what is left of the lease. */
  readonly want: number;
}

/** Figures for the rate limit headers. */
export interface QuotaState {
  /** Events the bucket holds when full. */
  readonly limit: number;
  /** Whole events in the bucket now, ≥ 0. */
  readonly remaining: number;
  /** Epoch ms when the bucket will be full if nothing more is taken. */
  readonly resetAtMs: number;
}

/** Leave to let in events without asking for each. */
export interface Lease extends QuotaState {
  readonly refused: false;
  /** Events, ≤ want. */
  readonly granted: number;
  /** Bytes that may come with them. */
  readonly grantedBytes: number;
  /** Epoch ms until when all that was granted and not reported may be used. */
  readonly expiresAtMs: number;
}

/** Nothing more may come in now. */
export interface Refusal extends QuotaState {
  readonly refused: true;
  /** `stopped` is an outage of ours, the others are the tenant sending too much: for its quota, or for what is applied. */
  readonly reason: "over_quota" | "backlog" | "congested" | "stopped";
  readonly message: string;
  /** Whole seconds, ≥ 1. */
  readonly retryAfterSeconds: number;
}

export type LeaseAnswer = Lease | Refusal;

/** Requests of producers, as the isolates reported them. */
export interface RequestCounts {
  readonly admitted: number;
  readonly refused: number;
}

/** What survives a restart. */
export interface LedgerSnapshot {
  readonly requests?: RequestCounts;
  readonly accepted: number;
  readonly acceptedBytes: number;
  readonly applied: readonly (readonly [shard: number, events: number])[];
  /** By shard; one that went on again is not named. Was a single reason while there was one shard. */
  readonly stopped: readonly (readonly [shard: number, reason: string])[] | string | null;
}
