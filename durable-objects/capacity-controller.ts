import { DurableObject } from "cloudflare:workers";
import type { CapacityShare } from "../core/flow/admitted-rate.ts";
import { CapacityLedger, type CapacityReport } from "../core/flow/capacity.ts";

/**
 * Divides what all tenants share (queue, consumers, store) among those under pressure. One for the platform; it is called twice a
 * second by the RateController of each tenant under pressure, and not at all without pressure. Keeps nothing: three seconds of
 * reports make it whole again.
 */
export class CapacityController extends DurableObject<Env> {
  readonly #ledger = new CapacityLedger();

  /** A tenant's report. @returns its share, or null when too many tenants report */
  report(tenant: string, report: CapacityReport): CapacityShare | null {
    return this.#ledger.report(tenant, report, Date.now());
  }

  /** Tenants under pressure and the events per second applied of theirs. */
  figures(): { readonly tenants: number; readonly capacityPerSecond: number } {
    return this.#ledger.figures(Date.now());
  }
}
