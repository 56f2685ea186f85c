import { Admission, type AdmissionLimit, type AdmissionSnapshot } from "./admission.ts";
import { admittedRate, type CapacityShare } from "./admitted-rate.ts";
import type { CapacityReport } from "./capacity.ts";
import { fairShares } from "./fair-share.ts";
import type { FlowAlgorithm } from "./index.ts";
import type { LeaseAnswer } from "./lease-messages.ts";
import { OldEventsRate, type OldUse } from "./old-events.ts";

/** Isolates report this often: without pressure, and under it, ms. */
const REPORT_EVERY_MS = 1_000;
const PRESSED_REPORT_EVERY_MS = 100;
/** Under pressure the shared capacity is asked for this often, ms. */
const SHARE_EVERY_MS = 500;
/** A share is believed this long, ms. */
const SHARE_BELIEVED_MS = 3_000;
/** An isolate that has been silent for this long has no part of the rate, ms. */
const ISOLATE_MS = 3_000;
/** Isolates followed at most; further ones get what an idle one gets. */
const MAX_ISOLATES = 1_000;
/** An isolate that refuses nobody is taken to want this much more than it sent. */
const HEADROOM = 1.25;

/** What an isolate did since its last report. */
export interface IsolateReport {
  readonly isolate: string;
  /** Events put on the queue. */
  readonly events: number;
  /** Requests let in, and requests refused because of the rate. */
  readonly admitted: number;
  readonly refused: number;
  /** How late its timers fire, ms; absent when it has not looked. */
  readonly lagMs?: number | undefined;
  /** Of events of long ago; absent when there were none. */
  readonly old?: OldUse | undefined;
}

/** How fast an isolate may let events in. */
export interface IsolateRate {
  /** Events per second; null for no limit. */
  readonly ratePerSecond: number | null;
  /** Events of long ago per second. */
  readonly oldPerSecond: number;
  readonly reportEveryMs: number;
}

/** What an isolate is told: what it may use, and how fast. */
export type AdmissionAnswer = LeaseAnswer & { readonly rate: IsolateRate };

interface KnownIsolate {
  readonly atMs: number;
  /** Events per second. */
  readonly demand: number;
}

/** One tenant's admission: its path, its part of the shared capacity, and what each isolate may let in of both. */
export class TenantFlow {
  readonly admission: Admission;
  readonly #old = new OldEventsRate();
  readonly #isolates = new Map<string, KnownIsolate>();
  #share: (CapacityShare & { readonly atMs: number }) | null = null;
  #shareAskedAtMs = Number.NEGATIVE_INFINITY;
  #refusedAtMs = Number.NEGATIVE_INFINITY;

  /** @param rest what was in flight, and what an earlier one left */
  constructor(
    algorithm: FlowAlgorithm,
    nowMs: number,
    random: () => number,
    rest: { readonly inFlight: number; readonly snapshot?: AdmissionSnapshot | undefined } = { inFlight: 0 },
  ) {
    this.admission = new Admission(algorithm, nowMs, random, rest.inFlight, rest.snapshot);
  }

  /** Takes an isolate's report. @returns its part of the rate */
  report({ isolate, events, admitted, refused, lagMs, old }: IsolateReport, nowMs: number): IsolateRate {
    this.admission.accepted(events, nowMs);
    if (lagMs !== undefined) this.admission.lagged(lagMs, nowMs);
    this.admission.turnedAway(refused, admitted + refused, nowMs);
    if (refused > 0) this.#refusedAtMs = nowMs;
    this.#note(isolate, events, refused, nowMs);
    const limit = this.admission.limit(nowMs);
    if (old !== undefined) this.#old.report(isolate, old, limit, this.admission.appliedRate(nowMs), nowMs);
    const total = this.rate(nowMs);
    return {
      ratePerSecond: total === null ? null : this.#partOf(total, isolate),
      oldPerSecond: this.#old.perIsolate,
      reportEveryMs: limit.isPressed || this.#old.isUsed(nowMs) ? PRESSED_REPORT_EVERY_MS : REPORT_EVERY_MS,
    };
  }

  /** A shard has written so many windows since it last said so. */
  wrote(shard: number, windows: number, nowMs: number): void {
    this.#old.wrote(shard, windows, nowMs);
  }

  /** What the whole tenant may send, events per second; null for no limit. */
  rate(nowMs: number): number | null {
    return admittedRate(this.admission.limit(nowMs), this.share(nowMs));
  }

  /** What of that may be old, events per second; null while no old events come. */
  oldRate(nowMs: number): number | null {
    return this.#old.isUsed(nowMs) ? this.#old.perSecond : null;
  }

  /** The tenant's part of the shared capacity as last heard; null when that is long ago. */
  share(nowMs: number): CapacityShare | null {
    return this.#share !== null && nowMs - this.#share.atMs <= SHARE_BELIEVED_MS ? this.#share : null;
  }

  /** What to report to who divides the shared capacity; null while that is not needed. Noted as reported. */
  takeCapacityReport(weight: number, nowMs: number): CapacityReport | null {
    const { isPressed, waitMs } = this.admission.limit(nowMs);
    if (!isPressed || nowMs - this.#shareAskedAtMs < SHARE_EVERY_MS) return null;
    this.#shareAskedAtMs = nowMs;
    const isGreedy = nowMs - this.#refusedAtMs < 2 * SHARE_EVERY_MS;
    const demand = isGreedy ? Infinity : this.admission.acceptedRate(nowMs);
    return { demand, applied: this.admission.appliedRate(nowMs), weight, waitMs };
  }

  /** The answer to a report. */
  shared(share: CapacityShare | null, nowMs: number): void {
    this.#share = share === null ? null : { ...share, atMs: nowMs };
  }

  /** What is decided now, for who looks. */
  state(nowMs: number): AdmissionLimit {
    return { ...this.admission.limit(nowMs), ratePerSecond: this.rate(nowMs) };
  }

  #note(isolate: string, events: number, refused: number, nowMs: number): void {
    const known = this.#isolates.get(isolate);
    if (known === undefined && this.#isolates.size >= MAX_ISOLATES) return;
    const seconds = Math.max(PRESSED_REPORT_EVERY_MS, nowMs - (known?.atMs ?? nowMs - REPORT_EVERY_MS)) / 1_000;
    const demand = refused > 0 ? Infinity : (events / seconds) * HEADROOM;
    this.#isolates.set(isolate, { atMs: nowMs, demand });
    for (const [name, { atMs }] of this.#isolates) if (nowMs - atMs > ISOLATE_MS) this.#isolates.delete(name);
  }

  /** What nobody asks for is divided evenly, so that each can send more before it is heard. */
  #partOf(total: number, isolate: string): number {
    const names = [...this.#isolates.keys()];
    const claims = [...this.#isolates.values()].map(({ demand }) => ({ demand, weight: 1 }));
    const shares = fairShares(total, claims);
    const unclaimed = total - shares.reduce((sum, share) => sum + share, 0);
    return (shares[names.indexOf(isolate)] ?? 0) + Math.max(0, unclaimed) / Math.max(1, names.length);
  }
}
