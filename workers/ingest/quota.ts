import type { LeaseRequest, QuotaState, Refusal } from "../../core/flow/lease-messages.ts";
import { Pace } from "../../core/flow/pace.ts";
import type { AdmissionAnswer } from "../../core/flow/tenant-flow.ts";
import { UnderWay } from "./under-way.ts";

/** Events a tenant may send from here between two reports without a lease: single posts then never wait for the controller. */
const UNLEASED_EVENTS = 1_000;
/** With a small quota it is this part of the quota's bucket. */
const UNLEASED_PART = 0.1;
/** Use is reported this long after the first request since the last report, ms; sooner under pressure … */
const REPORT_EVERY_MS = 1_000;
/** … and as soon as so much was used: what an isolate lets in before it can hear that it is too much. */
const REPORT_AT_EVENTS = 10_000;
const REPORT_AT_BYTES = 2_000_000;
/** Reports one request's context makes before it leaves them to a later request: contexts are cut off 30 s after their answer. */
const REPORTS_PER_CONTEXT = 10;
/** A series of reports, or a question, silent for this long went down with its request, ms. */
const REPORT_TIMEOUT_MS = 5_000;
/** What the controller last said is trusted this long without asking again, ms. */
const TRUST_MS = 10_000;
/** A refusal is repeated from memory at most this long, ms. */
const REFUSAL_MS = 1_000;
/** Under pressure the isolate looks with each report how late a timer of so long fires, ms. */
const LAG_PROBE_MS = 10;
/** No event has fewer bytes of JSON. */
const MIN_EVENT_BYTES = 50;
/** A lease asks for this many times what the last report used, and for no less than one early report holds. */
const LEASE_FACTOR = 4;
/** Tenants remembered; the longest unused is forgotten first. */
const MAX_TENANTS = 1_000;

/** What a request brings along: calls that belong to its own context, and a way to outlive its answer. */
export interface QuotaCall {
  readonly tenant: string;
  /** Bytes of the request's JSON as its headers say; null when they do not. */
  readonly bodyBytes: number | null;
  /** Asks the tenant's RateController. */
  readonly ask: (request: LeaseRequest) => Promise<AdmissionAnswer>;
  readonly waitUntil: (promise: Promise<unknown>) => void;
  readonly sleep: (ms: number) => Promise<void>;
  /** Epoch ms. */
  readonly now: () => number;
  readonly onError: (error: unknown) => void;
}

/** What was done since the last report. */
interface Use {
  events: number;
  bytes: number;
  admitted: number;
  refused: number;
  /** Of those refused, the ones because of the rate. */
  paced: number;
}

/** What this isolate knows of one tenant. */
interface TenantQuota {
  /** Leased and not used; below 0 by what was used without or beyond a lease since the last answer. */
  remaining: number;
  remainingBytes: number;
  expiresAtMs: number;
  use: Use;
  /** What the controller last said; null before its first answer. */
  state: QuotaState | null;
  refusal: Refusal | null;
  readonly pace: Pace;
  readonly underWay: UnderWay;
  reportEveryMs: number;
  /** How late a timer fired that was set with the last report; null when none was. */
  lagMs: number | null;
  /** When it last answered, or could not be reached. */
  heardAtMs: number;
  /** When it was last asked, if it has not answered yet. */
  askedAtMs: number | null;
  /** Last sign of life of the series of reports under way; null when there is none. */
  reportingAtMs: number | null;
}

/**
 * Admission for one isolate.
 *
 * A request is admitted from memory and pays afterwards, since only the parsed body tells how many events it holds; what was
 * used is reported in the background. The controller is asked in line only when the isolate has heard nothing recent
 * of the tenant, or has used up both lease and allowance. Under pressure requests are let in at the rate the controller said.
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
    const isRefusalFresh = quota.refusal !== null && call.now() < quota.heardAtMs + REFUSAL_MS;
    if (!isRefusalFresh && !isCovered(quota, call.now())) await this.#report(quota, call);
    const nowMs = call.now();
    const refusal = quota.refusal ?? (isRoom(quota, nowMs) ? null : congested(quota, nowMs));
    if (refusal === null) {
      quota.use.admitted++;
      quota.underWay.entered(believedEvents(quota, call), nowMs);
    } else quota.use.refused++;
    if (refusal?.reason === "congested") quota.use.paced++;
    this.#keepReporting(quota, call);
    return refusal;
  }

  /** A request that was let in has been answered. */
  left(tenant: string): void {
    this.#tenants.get(tenant)?.underWay.left();
  }

  /** Books what a request put on the queue. */
  settle(call: QuotaCall, events: number, bytes: number): void {
    const quota = this.#tenant(call.tenant);
    quota.remaining -= events;
    quota.remainingBytes -= bytes;
    quota.use.events += events;
    quota.use.bytes += bytes;
    quota.pace.settle(events);
    this.#keepReporting(quota, call);
  }

  /** Figures for the rate limit headers, with what was used since; null when the controller was never reached. */
  state(tenant: string): QuotaState | null {
    const quota = this.#tenants.get(tenant);
    if (quota === undefined || quota.state === null) return null;
    const { limit, remaining, resetAtMs } = quota.state;
    const left = Math.min(remaining + quota.remaining, quota.pace.available);
    return { limit, remaining: Math.min(limit, Math.max(0, Math.floor(left))), resetAtMs };
  }

  /** Sees to it that what was done is reported: at once when it is much or the last word is old under pressure, else soon. */
  #keepReporting(quota: TenantQuota, call: QuotaCall): void {
    const nowMs = call.now();
    const { events, bytes } = quota.use;
    const isMuch = events >= REPORT_AT_EVENTS || bytes >= REPORT_AT_BYTES;
    const isStale = quota.reportEveryMs < REPORT_EVERY_MS && nowMs >= quota.heardAtMs + quota.reportEveryMs;
    if ((isMuch || isStale) && !isUnderWay(quota.askedAtMs, nowMs)) call.waitUntil(this.#report(quota, call));
    if (!isUnderWay(quota.reportingAtMs, nowMs)) call.waitUntil(this.#reportWhileUsed(quota, call));
  }

  /** Ends by giving the lease back: until then it counts as events that may be on their way. */
  async #reportWhileUsed(quota: TenantQuota, call: QuotaCall): Promise<void> {
    for (let reports = 0; reports < REPORTS_PER_CONTEXT; reports++) {
      quota.reportingAtMs = call.now();
      await call.sleep(REPORT_EVERY_MS);
      // Somebody else has just reported; whether the tenant goes on sending shows next time. Who leaves reports what there is.
      const isLast = reports === REPORTS_PER_CONTEXT - 1;
      if (!isLast && call.now() < quota.heardAtMs + REPORT_EVERY_MS / 2) continue;
      if ((await this.#report(quota, call)) === 0) break;
    }
    quota.reportingAtMs = null;
    // What was done while the last report was under way: requests saw a series that goes on, and started none.
    if (!hasUse(quota)) return;
    await call.sleep(REPORT_EVERY_MS);
    if (quota.reportingAtMs === null && hasUse(quota)) await this.#report(quota, call);
  }

  /** @returns events asked for; 0 when the allowance is enough for what the tenant sends */
  async #report(quota: TenantQuota, call: QuotaCall): Promise<number> {
    const { events, bytes, admitted, refused, paced } = quota.use;
    const want = wanted(quota, call.now());
    quota.use = noUse();
    quota.askedAtMs = call.now();
    try {
      const lag = quota.lagMs === null ? {} : { lagMs: quota.lagMs };
      const requests = { admitted, refused, paced };
      const request = { isolate: this.#isolate, used: { events, bytes }, requests, ...lag, want };
      quota.lagMs = null;
      if (quota.reportEveryMs < REPORT_EVERY_MS) call.waitUntil(measureLag(quota, call));
      hear(quota, await call.ask(request), want, call.now());
    } catch (error) {
      // Not lost, only reported later.
      const { use } = quota;
      use.events += events;
      use.bytes += bytes;
      use.admitted += admitted;
      use.refused += refused;
      use.paced += paced;
      call.onError(error);
    }
    quota.askedAtMs = null;
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

function isRoom({ underWay, pace }: TenantQuota, nowMs: number): boolean {
  return !underWay.isFull(nowMs) && pace.enter(nowMs);
}

/** As many as the tenant's last requests held, but no more than fit. */
function believedEvents({ pace }: TenantQuota, { bodyBytes }: QuotaCall): number {
  return Math.min(pace.perRequest, bodyBytes === null ? Infinity : Math.max(1, bodyBytes / MIN_EVENT_BYTES));
}

/** Sees how busy this thread is. */
async function measureLag(quota: TenantQuota, call: QuotaCall): Promise<void> {
  const startedAtMs = call.now();
  await call.sleep(LAG_PROBE_MS);
  quota.lagMs = Math.max(0, call.now() - startedAtMs - LAG_PROBE_MS);
}

/** Takes in what the controller said. */
function hear(quota: TenantQuota, answer: AdmissionAnswer, want: number, nowMs: number): void {
  quota.state = answer;
  quota.refusal = answer.refused ? answer : null;
  quota.remaining = want === 0 ? 0 : leased(quota, nowMs);
  quota.pace.set(answer.rate.ratePerSecond, nowMs);
  quota.reportEveryMs = answer.rate.reportEveryMs;
  if (answer.refused) return;
  quota.remaining += answer.granted;
  quota.remainingBytes = answer.grantedBytes;
  quota.expiresAtMs = answer.expiresAtMs;
}

/** Events to ask for. */
function wanted(quota: TenantQuota, nowMs: number): number {
  const { events, paced } = quota.use;
  if (paced === 0 && events < allowance(quota)) return 0;
  return Math.max(1, Math.max(REPORT_AT_EVENTS, events * LEASE_FACTOR) - leased(quota, nowMs));
}

function unknownQuota(): TenantQuota {
  return {
    remaining: 0,
    remainingBytes: 0,
    expiresAtMs: 0,
    use: noUse(),
    state: null,
    refusal: null,
    pace: new Pace(),
    underWay: new UnderWay(),
    reportEveryMs: REPORT_EVERY_MS,
    lagMs: null,
    heardAtMs: Number.NEGATIVE_INFINITY,
    askedAtMs: null,
    reportingAtMs: null,
  };
}

function noUse(): Use {
  return { events: 0, bytes: 0, admitted: 0, refused: 0, paced: 0 };
}

function hasUse({ use }: TenantQuota): boolean {
  return use.events > 0 || use.admitted > 0 || use.refused > 0;
}

/** Events that may be used now without asking; ≥ 0. */
function leased(quota: TenantQuota, nowMs: number): number {
  return nowMs < quota.expiresAtMs && quota.remainingBytes > 0 ? Math.max(0, quota.remaining) : 0;
}

/** Events that may be used between two reports without a lease. */
function allowance(quota: TenantQuota): number {
  return Math.min(UNLEASED_EVENTS, (quota.state?.limit ?? UNLEASED_EVENTS) * UNLEASED_PART);
}

function isCovered(quota: TenantQuota, nowMs: number): boolean {
  if (quota.refusal !== null || nowMs >= quota.heardAtMs + TRUST_MS) return false;
  return leased(quota, nowMs) > 0 || quota.use.events < allowance(quota);
}

function isUnderWay(sinceMs: number | null, nowMs: number): boolean {
  return sinceMs !== null && nowMs < sinceMs + REPORT_TIMEOUT_MS;
}

/** The refusal of a request for which the rate has no room. */
function congested({ state, pace }: TenantQuota, nowMs: number): Refusal {
  return {
    refused: true,
    reason: "congested",
    message: "more events come than are processed",
    limit: state?.limit ?? 0,
    remaining: 0,
    resetAtMs: state?.resetAtMs ?? nowMs,
    retryAfterSeconds: pace.retryAfterSeconds(),
  };
}
