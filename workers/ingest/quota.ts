import type { LeaseRequest, QuotaState, Refusal } from "../../core/flow/lease-messages.ts";
import type { AdmissionAnswer } from "../../core/flow/tenant-flow.ts";
import { REPORT_EVERY_MS, TenantQuota } from "./tenant-quota.ts";

/** Reports one request's context makes before it leaves them to a later request: contexts are cut off 30 s after their answer. */
const REPORTS_PER_CONTEXT = 10;
/** Under pressure the isolate looks with each report how late a timer of so long fires, ms. */
const LAG_PROBE_MS = 10;
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
    if (quota.mustAsk(call.now())) await this.#report(quota, call);
    const refusal = quota.enter(call.bodyBytes, call.now());
    this.#keepReporting(quota, call);
    return refusal;
  }

  /**
   * How many events may be taken of a request that was let in and holds only events of long ago? It may wait a second for that.
   * @param isBegun some were taken before
   */
  async enterOld(call: QuotaCall, events: number, isBegun: boolean): Promise<Refusal | number> {
    const quota = this.#tenant(call.tenant);
    const taken = await quota.enterOld(events, isBegun, call.sleep, call.now);
    this.#keepReporting(quota, call);
    return taken;
  }

  /** A request that was let in has been answered. */
  left(tenant: string): void {
    this.#tenants.get(tenant)?.left();
  }

  /** Books what a request put on the queue. */
  settle(call: QuotaCall, events: number, bytes: number): void {
    const quota = this.#tenant(call.tenant);
    quota.settle(events, bytes);
    this.#keepReporting(quota, call);
  }

  /** Figures for the rate limit headers, with what was used since; null when the controller was never reached. */
  state(tenant: string): QuotaState | null {
    return this.#tenants.get(tenant)?.state ?? null;
  }

  /** Sees to it that what was done is reported, now or soon. */
  #keepReporting(quota: TenantQuota, call: QuotaCall): void {
    const nowMs = call.now();
    if (quota.isReportDue(nowMs)) call.waitUntil(this.#report(quota, call));
    if (!quota.isReporting(nowMs)) call.waitUntil(this.#reportWhileUsed(quota, call));
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
    if (!quota.hasUse) return;
    await call.sleep(REPORT_EVERY_MS);
    if (quota.reportingAtMs === null && quota.hasUse) await this.#report(quota, call);
  }

  /** @returns events asked for; 0 when the allowance is enough for what the tenant sends */
  async #report(quota: TenantQuota, call: QuotaCall): Promise<number> {
    const report = quota.takeReport(this.#isolate, call.now());
    try {
      if (quota.isPressed) call.waitUntil(measureLag(quota, call));
      quota.hear(await call.ask(report), report, call.now());
    } catch (error) {
      quota.giveBack(report, call.now());
      call.onError(error);
    }
    return report.want;
  }

  #tenant(tenant: string): TenantQuota {
    const quota = this.#tenants.get(tenant) ?? new TenantQuota();
    // Last in the map is last used.
    this.#tenants.delete(tenant);
    this.#tenants.set(tenant, quota);
    const [oldest] = this.#tenants.keys();
    if (this.#tenants.size > MAX_TENANTS && oldest !== undefined) this.#tenants.delete(oldest);
    return quota;
  }
}

/** Sees how busy this thread is. */
async function measureLag(quota: TenantQuota, call: QuotaCall): Promise<void> {
  const startedAtMs = call.now();
  await call.sleep(LAG_PROBE_MS);
  quota.lagMs = Math.max(0, call.now() - startedAtMs - LAG_PROBE_MS);
}
