// Problem: tenants share queue, consumers and store, and only together can they tell what these take. Rule: while tenants are
// under pressure each reports what it wants and what was applied of it. What was applied of all of them is the capacity; nine
// tenths of it are guaranteed by weight, whatever the others do, and who wants more than his part of all of it gets
// his weighted max-min share and a twentieth more, so that a capacity that grew is found.
// Why not all of it guaranteed: then a queue that has built up would never be drained.

import type { CapacityShare } from "./admitted-rate.ts";
import { fairShares } from "./fair-share.ts";

/** What a tenant under pressure reports. */
export interface CapacityReport {
  /** Events per second it wants to send; Infinity when some were refused. */
  readonly demand: number;
  /** Events per second that were applied. */
  readonly applied: number;
  /** How long the oldest message waited, ms. */
  readonly waitMs: number;
  /** > 0. */
  readonly weight: number;
}

/** Who has not reported for this long is under no pressure any more, ms. */
export const CAPACITY_REPORT_MS = 3_000;
/** The capacity is the most that was applied within this long, ms: reports of single seconds vary. */
const CAPACITY_SPAN_MS = 1_000;
const GUARANTEED_PART = 0.9;
const AT_MOST_PART = 1.05;
const AT_MOST_PART_UNQUEUED = 1.5;
/** Messages that waited longer mean that there is a queue, ms. */
const QUEUED_WAIT_MS = 100;
/** Tenants followed at most; further ones are told of no share and keep to their own path's limit. */
const MAX_TENANTS = 10_000;

interface Known extends CapacityReport {
  readonly atMs: number;
}

/** Divides what tenants share among those that are under pressure. In memory only: three seconds make it whole again. */
export class CapacityLedger {
  readonly #tenants = new Map<string, Known>();
  #totals: { readonly atMs: number; readonly total: number }[] = [];

  /** Takes a tenant's report. @returns its share, or null when too many tenants report */
  report(tenant: string, report: CapacityReport, nowMs: number): CapacityShare | null {
    if (!this.#tenants.has(tenant) && this.#tenants.size >= MAX_TENANTS) return null;
    this.#tenants.set(tenant, { ...report, atMs: nowMs });
    for (const [name, { atMs }] of this.#tenants) {
      if (nowMs - atMs > CAPACITY_REPORT_MS) this.#tenants.delete(name);
    }
    return this.#share(tenant, this.#capacity(nowMs));
  }

  /** Tenants under pressure, and the events per second that are applied of theirs. */
  figures(nowMs: number): { readonly tenants: number; readonly capacityPerSecond: number } {
    const fresh = [...this.#tenants.values()].filter(({ atMs }) => nowMs - atMs <= CAPACITY_REPORT_MS);
    return { tenants: fresh.length, capacityPerSecond: fresh.reduce((sum, { applied }) => sum + applied, 0) };
  }

  #capacity(nowMs: number): number {
    const { capacityPerSecond } = this.figures(nowMs);
    this.#totals = this.#totals.filter(({ atMs }) => nowMs - atMs <= CAPACITY_SPAN_MS);
    this.#totals.push({ atMs: nowMs, total: capacityPerSecond });
    return Math.max(...this.#totals.map(({ total }) => total));
  }

  #share(tenant: string, capacity: number): CapacityShare {
    const names = [...this.#tenants.keys()];
    const claims = [...this.#tenants.values()];
    const own = names.indexOf(tenant);
    const greedy = claims.map(({ weight }) => ({ demand: Infinity, weight }));
    const guaranteed = fairShares(capacity * GUARANTEED_PART, greedy)[own] ?? 0;
    const isQueued = claims.some(({ waitMs }) => waitMs > QUEUED_WAIT_MS);
    const atMost = fairShares(capacity * (isQueued ? AT_MOST_PART : AT_MOST_PART_UNQUEUED), claims)[own] ?? 0;
    const wantsMore = claims.length > 1 && (claims[own]?.demand ?? 0) > atMost;
    return { guaranteed, atMost: wantsMore ? Math.max(atMost, guaranteed) : null };
  }
}
