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
 * What a tenant with next to nothing in flight may always send, events per second: the wait it sees is not of its making, and
 * refusing a trickle helps nobody.
 */
export const TRICKLE_PER_SECOND = 1_000;

/**
 * Events per second that a tenant may send, its own path and its part of the shared capacity considered.
 * @param share null while none is known
 * @returns null for no limit
 */
export function admittedRate(limit: AdmissionLimit, share: CapacityShare | null): number | null {
  const { ratePerSecond, inFlight } = limit;
  if (ratePerSecond === null) return null;
  const trickle = inFlight <= SMALLEST_WINDOW ? TRICKLE_PER_SECOND : 0;
  if (share === null) return Math.max(trickle, ratePerSecond);
  const isWithin = inFlight <= Math.max(SMALLEST_WINDOW, share.guaranteed * GUARANTEED_WITHIN_S);
  const own = isWithin ? Math.max(ratePerSecond, share.guaranteed) : ratePerSecond;
  return Math.max(trickle, share.atMost === null ? own : Math.min(own, share.atMost));
}
