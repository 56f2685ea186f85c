import type { LeaseAnswer, LeaseRequest, QuotaState, Refusal } from "../../core/flow/lease.ts";

/** Events a tenant may send from here between two reports without a lease: single posts then never wait for the controller. */
const UNLEASED_EVENTS = 1_000;
/** Use is reported this long after the first request since the last report, ms. */
const REPORT_EVERY_MS = 1_000;
/** Reports one request's context makes before it leaves them to a later request: contexts are cut off 30 s after their answer. */
const REPORTS_PER_CONTEXT = 10;
/** A series of reports silent for this long went down with its request, ms. */
const REPORT_TIMEOUT_MS = 5_000;
/** What the controller last said is trusted this long without asking again, ms. */
const TRUST_MS = 10_000;
/** A refusal is repeated from memory at most this long, ms. */
const REFUSAL_MS = 1_000;
/** A lease asks for this many times what the last report used. */
const LEASE_FACTOR = 2;
/** Tenants remembered; the longest unused is forgotten first. */
const MAX_TENANTS = 1_000;

/** What a request brings along: calls that belong to its own context, and a way to outlive its answer. */
export interface QuotaCall {
  readonly tenant: string;
  /** Asks the tenant's RateController. */
  readonly ask: (request: LeaseRequest) => Promise<LeaseAnswer>;
  readonly waitUntil: (promise: Promise<unknown>) => void;
  readonly sleep: (ms: number) => Promise<void>;
  /** Epoch ms. */
  readonly now: () => number;
  readonly onError: (error: unknown) => void;
}

/** What this isolate knows of one tenant. */
interface TenantQuota {
  /** Leased and not used; below 0 by what was used without or beyond a lease since the last answer. */
  remaining: number;
  expiresAtMs: number;
  /** Used since the last report. */
  events: number;
  bytes: number;
  /** What the controller last said; null before its first answer. */
  state: QuotaState | null;
  refusal: Refusal | null;
  /** When it last answered, or could not be reached. */
  heardAtMs: number;
  /** Last sign of life of the series of reports under way; null when there is none. */
  reportingAtMs: number | null;
}

/**
 * Admission for one isolate.
 *
 * A request is admitted from memory and pays afterwards, since only the parsed body tells how many events it holds; what was
 * used is reported in the background. The controller is asked in line only when the isolate has heard nothing recent
 * of the tenant, or has used up both lease and allowance.
 */
export class IsolateQuota {
  readonly #isolate: string;
  readonly #tenants = new Map<string, TenantQuota>();

  /** @param isolate a name no other isolate has */
  constructor(isolate: string) {
    this.#isolate = isolate;
  }

  /**
   * May a request of this tenant be read?
   * @returns the refusal, or null. When the controller cannot be reached the answer is yes: an outage of the accounting is
   *   no reason to turn events away.
   */
  async refusal(call: QuotaCall): Promise<Refusal | null> {
    const quota = this.#tenant(call.tenant);
    const nowMs = call.now();
    const isRefusalFresh = quota.refusal !== null && nowMs < quota.heardAtMs + REFUSAL_MS;
    if (!isRefusalFresh && !isCovered(quota, nowMs)) await this.#report(quota, call);
    return quota.refusal;
  }

  /** Books what a request put on the queue. */
  settle(call: QuotaCall, events: number, bytes: number): void {
    const quota = this.#tenant(call.tenant);
    quota.remaining -= events;
    quota.events += events;
    quota.bytes += bytes;
    const nowMs = call.now();
    const isReporting = quota.reportingAtMs !== null && nowMs < quota.reportingAtMs + REPORT_TIMEOUT_MS;
    if (events > 0 && !isReporting) call.waitUntil(this.#reportWhileUsed(quota, call));
  }

  /** Figures for the rate limit headers, with what was used since; null when the controller was never reached. */
  state(tenant: string): QuotaState | null {
    const quota = this.#tenants.get(tenant);
    if (quota === undefined || quota.state === null) return null;
    const { limit, remaining, resetAtMs } = quota.state;
    return { limit, remaining: Math.min(limit, Math.max(0, remaining + quota.remaining)), resetAtMs };
  }

  /** Ends by giving the lease back: until then it counts as events that may be on their way. */
  async #reportWhileUsed(quota: TenantQuota, call: QuotaCall): Promise<void> {
    for (let reports = 0; reports < REPORTS_PER_CONTEXT; reports++) {
      quota.reportingAtMs = call.now();
      await call.sleep(REPORT_EVERY_MS);
      const want = await this.#report(quota, call);
      if (want === 0) break;
    }
    quota.reportingAtMs = null;
  }

  /** @returns events asked for; 0 when the allowance is enough for what the tenant sends */
  async #report(quota: TenantQuota, call: QuotaCall): Promise<number> {
    const used = { events: quota.events, bytes: quota.bytes };
    const want =
      used.events < UNLEASED_EVENTS ? 0 : Math.max(1, used.events * LEASE_FACTOR - leased(quota, call.now()));
    quota.events = 0;
    quota.bytes = 0;
    try {
      const answer = await call.ask({ isolate: this.#isolate, used, want });
      quota.state = answer;
      quota.refusal = answer.refused ? answer : null;
      quota.remaining = want === 0 ? 0 : leased(quota, call.now());
      if (!answer.refused) {
        quota.remaining += answer.granted;
        quota.expiresAtMs = answer.expiresAtMs;
      }
    } catch (error) {
      // Not lost, only reported later.
      quota.events += used.events;
      quota.bytes += used.bytes;
      call.onError(error);
    }
    quota.heardAtMs = call.now();
    return want;
  }

  #tenant(tenant: string): TenantQuota {
    const quota = this.#tenants.get(tenant) ?? unknownQuota();
    // Last in the map is last used.
    this.#tenants.delete(tenant);
    this.#tenants.set(tenant, quota);
    const [oldest] = this.#tenants.keys();
    if (this.#tenants.size > MAX_TENANTS && oldest !== undefined) this.#tenants.delete(oldest);
    return quota;
  }
}

function unknownQuota(): TenantQuota {
  return {
    remaining: 0,
    expiresAtMs: 0,
    events: 0,
    bytes: 0,
    state: null,
    refusal: null,
    heardAtMs: Number.NEGATIVE_INFINITY,
    reportingAtMs: null,
  };
}

/** Events that may be used now without asking; ≥ 0. */
function leased(quota: TenantQuota, nowMs: number): number {
  return nowMs < quota.expiresAtMs ? Math.max(0, quota.remaining) : 0;
}

function isCovered(quota: TenantQuota, nowMs: number): boolean {
  if (quota.refusal !== null || nowMs >= quota.heardAtMs + TRUST_MS) return false;
  return leased(quota, nowMs) > 0 || quota.events < UNLEASED_EVENTS;
}
