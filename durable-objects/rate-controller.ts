import { DurableObject } from "cloudflare:workers";
import { CAPACITY_CONTROLLER_NAME, tenantOf } from "../core/events/names.ts";
import type { AdmissionSnapshot } from "../core/flow/admission.ts";
import type { CapacityReport } from "../core/flow/capacity.ts";
import { LeaseLedger } from "../core/flow/lease.ts";
import type { LeaseRequest, LedgerSnapshot, Quota } from "../core/flow/lease-messages.ts";
import { DEFAULT_FLOW_SETTINGS, type FlowSettings } from "../core/flow/settings.ts";
import { type AdmissionAnswer, TenantFlow } from "../core/flow/tenant-flow.ts";
import { logFailure } from "./failure-log.ts";
import { Downstream, type DownstreamReport, type ShardSigns } from "./rate/downstream.ts";
import { type FlowState, flowState } from "./rate/state.ts";

/** Accepted and not yet applied events beyond which nothing is let in, whatever else holds: what the queue may cost. */
const MAX_BACKLOG = 3_000_000;
/** How long unreported events of a lease count as possibly used, ms. */
const LEASE_MS = 3_000;
/** Each write is billed, and what it saves is only counts that the shards' own totals correct. */
const MIN_SAVE_INTERVAL_MS = 10_000;

const STATE_KEY = "state";
const SETTINGS_KEY = "settings";

interface Stored {
  readonly ledger: LedgerSnapshot;
  readonly admission?: AdmissionSnapshot;
  /** QUEUE_EPOCH when it was saved. */
  readonly queueEpoch: string | null;
}

/** A tenant's admission: quota, flow controller, and the count of its events between ingest and the shards. Named `t:<tenant>:rate`. */
export class RateController extends DurableObject<Env> {
  readonly #ledger: LeaseLedger;
  readonly #flow: TenantFlow;
  readonly #downstream = new Downstream();
  readonly #queueEpoch: string | null;
  #settings: FlowSettings;
  #savedAtMs = 0;
  /** Whether a save is due later. */
  #isSaving = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const nowMs = Date.now();
    const stored = ctx.storage.kv.get<Stored>(STATE_KEY);
    this.#settings = ctx.storage.kv.get<FlowSettings>(SETTINGS_KEY) ?? DEFAULT_FLOW_SETTINGS;
    this.#ledger = new LeaseLedger(quotaOf(this.#settings), nowMs, stored?.ledger);
    this.#queueEpoch = queueEpoch(env);
    // The local queue lives in memory: after a restart what it held will never be applied.
    if (stored !== undefined && stored.queueEpoch !== this.#queueEpoch) this.#ledger.forgetQueue();
    const rest = { inFlight: this.#inFlight(), snapshot: stored?.admission };
    this.#flow = new TenantFlow(this.#settings.algorithm, nowMs, Math.random, rest);
  }

  /** An isolate reports what it used and asks for more. */
  lease(request: LeaseRequest): AdmissionAnswer {
    const nowMs = Date.now();
    const { isolate, used, requests, lagMs, old } = request;
    const answer = this.#ledger.lease(request, nowMs);
    const rate = this.#flow.report(
      { isolate, events: used.events, admitted: requests?.admitted ?? 0, refused: requests?.paced ?? 0, lagMs, old },
      nowMs,
    );
    this.#afterChange(nowMs);
    return { ...answer, rate };
  }

  /** Events put on the queue so far, those of open leases that may have been included. */
  acceptedEvents(): number {
    return this.#ledger.acceptedEvents(Date.now());
  }

  /**
   * A shard's word of how many events it has taken from the queue in its life: new, duplicate and late ones, those of a
   * redelivered message only once, those given up as poison too. At most ten calls a second are expected.
   */
  applied(totalEvents: number, shard = 0, signs?: ShardSigns): void {
    const nowMs = Date.now();
    const before = this.#ledger.totals.applied;
    this.#ledger.applied(shard, totalEvents, nowMs);
    if (signs !== undefined) {
      this.#downstream.noteShard(shard, signs, nowMs);
      this.#flow.wrote(shard, signs.windowsWritten, nowMs);
    }
    this.#flow.admission.applied(this.#ledger.totals.applied - before, signs?.oldestAgeMs ?? 0, nowMs);
    if (signs !== undefined && signs.storeFailures > 0) this.#flow.admission.refused(signs.storeFailures, nowMs);
    this.#afterChange(nowMs);
  }

  /** A consumer's word of calls to this tenant's objects that were refused, and of the circuits around them. */
  downstream(report: DownstreamReport): void {
    const nowMs = Date.now();
    this.#downstream.noteCalls(report, nowMs);
    this.#flow.admission.refused(report.refusals, nowMs);
    this.#afterChange(nowMs);
  }

  /** While a shard has a reason set, ingest answers 503 within the life of a lease. Kept at once, as it must outlive an eviction. */
  setStopped(reason: string | null, shard = 0): void {
    this.#ledger.setStopped(reason, shard);
    this.#save();
  }

  settings(): FlowSettings {
    return this.#settings;
  }

  /** Settings from now on; isolates follow within the life of a lease. Kept at once. */
  configure(settings: FlowSettings): void {
    const nowMs = Date.now();
    if (settings.algorithm !== this.#settings.algorithm) this.#flow.admission.use(settings.algorithm, nowMs);
    this.#settings = settings;
    this.#ledger.setQuota(quotaOf(settings), nowMs);
    this.ctx.storage.kv.put(SETTINGS_KEY, settings);
    this.#save();
  }

  /** What `GET /api/v1/flow` and `GET /metrics` show. */
  state(): FlowState {
    const nowMs = Date.now();
    return flowState(
      { settings: this.#settings, ledger: this.#ledger, flow: this.#flow, downstream: this.#downstream },
      nowMs,
    );
  }

  #inFlight(): number {
    const { accepted, applied } = this.#ledger.totals;
    return Math.max(0, accepted - applied);
  }

  #afterChange(nowMs: number): void {
    this.#flow.admission.sync(this.#inFlight());
    const report = this.#flow.takeCapacityReport(this.#settings.weight, nowMs);
    if (report !== null) this.ctx.waitUntil(this.#share(report));
    this.#saveNowAndThen(nowMs);
  }

  /** Now, or as soon as it may: what came last before a silence is kept too, for an object that is silent is evicted. */
  #saveNowAndThen(nowMs: number): void {
    const waitMs = this.#savedAtMs + MIN_SAVE_INTERVAL_MS - nowMs;
    if (waitMs <= 0) return this.#save();
    if (this.#isSaving) return undefined;
    this.#isSaving = true;
    setTimeout(() => {
      this.#isSaving = false;
      this.#save();
    }, waitMs);
    return undefined;
  }

  /** Without an answer the tenant keeps to what its own path takes. */
  async #share(report: CapacityReport): Promise<void> {
    try {
      const capacity = this.env.CAPACITY_CONTROLLER.getByName(CAPACITY_CONTROLLER_NAME);
      const share = await capacity.report(tenantOf(this.ctx.id.name), report);
      this.#flow.shared(share, Date.now());
    } catch (error) {
      logFailure(this.ctx.id.name, "capacity", error);
    }
  }

  #save(): void {
    const stored: Stored = {
      ledger: this.#ledger.snapshot(),
      admission: this.#flow.admission.snapshot(),
      queueEpoch: this.#queueEpoch,
    };
    this.ctx.storage.kv.put(STATE_KEY, stored);
    this.#savedAtMs = Date.now();
  }
}

function quotaOf({ quota }: FlowSettings): Quota {
  return {
    ratePerSecond: quota.events_per_second,
    burst: quota.burst,
    bytesPerSecond: quota.bytes_per_second,
    maxBacklog: MAX_BACKLOG,
    leaseMs: LEASE_MS,
  };
}

/** Set by the local start script, a new one for each run; absent in production, where the queue is durable. */
function queueEpoch(env: Env): string | null {
  return "QUEUE_EPOCH" in env && typeof env.QUEUE_EPOCH === "string" ? env.QUEUE_EPOCH : null;
}
