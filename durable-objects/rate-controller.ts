import { DurableObject } from "cloudflare:workers";
import {
  type LeaseAnswer,
  LeaseLedger,
  type LeaseRequest,
  type LedgerSnapshot,
  type Quota,
} from "../core/flow/lease.ts";

/** Generous: it is there to keep one runaway producer from filling the queue, not to be met in ordinary use. */
const QUOTA: Quota = {
  ratePerSecond: 500_000,
  burst: 2_000_000,
  maxBacklog: 3_000_000,
  leaseMs: 3_000,
};

/** Each write is billed, and what it saves is only counts that the shards' own totals correct. */
const MIN_SAVE_INTERVAL_MS = 10_000;

const STATE_KEY = "state";

interface Stored {
  readonly ledger: LedgerSnapshot;
  /** QUEUE_EPOCH when it was saved. */
  readonly queueEpoch: string | null;
}

/** A tenant's admission quota, and the count of its events between ingest and the shards. Named `t:<tenant>:rate`. */
export class RateController extends DurableObject<Env> {
  readonly #ledger: LeaseLedger;
  readonly #queueEpoch: string | null;
  #savedAtMs = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const stored = ctx.storage.kv.get<Stored>(STATE_KEY);
    this.#ledger = new LeaseLedger(QUOTA, Date.now(), stored?.ledger);
    this.#queueEpoch = queueEpoch(env);
    // The local queue lives in memory: after a restart what it held will never be applied.
    if (stored !== undefined && stored.queueEpoch !== this.#queueEpoch) this.#ledger.forgetQueue();
  }

  /** An isolate reports what it used and asks for more. */
  lease(request: LeaseRequest): LeaseAnswer {
    const answer = this.#ledger.lease(request, Date.now());
    this.#saveNowAndThen();
    return answer;
  }

  /** Events put on the queue so far, those of open leases that may have been included. */
  acceptedEvents(): number {
    return this.#ledger.acceptedEvents(Date.now());
  }

  /**
   * A shard's word of how many events it has taken from the queue in its life: new, duplicate and late ones, those of a
   * redelivered message only once, those given up as poison too. At most one call a second is expected.
   */
  applied(totalEvents: number, shard = 0): void {
    this.#ledger.applied(shard, totalEvents, Date.now());
    this.#saveNowAndThen();
  }

  /** While a reason is set, ingest answers 503 within the life of a lease. Kept at once, as it must outlive an eviction. */
  setStopped(reason: string | null): void {
    this.#ledger.setStopped(reason);
    this.#save();
  }

  #saveNowAndThen(): void {
    if (Date.now() - this.#savedAtMs >= MIN_SAVE_INTERVAL_MS) this.#save();
  }

  #save(): void {
    const stored: Stored = { ledger: this.#ledger.snapshot(), queueEpoch: this.#queueEpoch };
    this.ctx.storage.kv.put(STATE_KEY, stored);
    this.#savedAtMs = Date.now();
  }
}

/** Set by the local start script, a new one for each run; absent in production, where the queue is durable. */
function queueEpoch(env: Env): string | null {
  return "QUEUE_EPOCH" in env && typeof env.QUEUE_EPOCH === "string" ? env.QUEUE_EPOCH : null;
}
