import { type AdmissionLimit, SMALLEST_WINDOW, TARGET_WAIT_MS } from "./admission.ts";

/** A tenant's part of what tenants share, as long as there is pressure. */
export interface CapacityShare {
  /** Events per second that the tenant may always have. */
  readonly guaranteed: number;
  /** Events per second that would be taken from others; null for one who wants less than that. */
  readonly atMost: number | null;
}

/** Seconds of it in flight beyond which not even what is guaranteed is let in: then the path is the tenant's own trouble. */
const GUARANTEED_WITHIN_S = TARGET_WAIT_MS / 1_000;

/**
 * Events per second that a tenant may send, its own path and its part of the shared capacity considered.
 * @param share null while none is known
 * @returns null for no limit
 */
export function admittedRate(limit: AdmissionLimit, share: CapacityShare | null): number | null {
  const { ratePerSecond, inFlight } = limit;
  if (ratePerSecond === null || share === null) return ratePerSecond;
  const isWithin = inFlight <= Math.max(SMALLEST_WINDOW, share.guaranteed * GUARANTEED_WITHIN_S);
  const own = isWithin ? Math.max(ratePerSecond, share.guaranteed) : ratePerSecond;
  return share.atMost === null ? own : Math.min(own, share.atMost);
}
