// Problem: windows of silent sources close by the clock, but silence may be ours: events accepted and still on their way.
// Rule: silence up to a moment counts once as many events were applied as had been accepted by that moment. Why not wait for both
// counts to be equal now: under steady traffic of other sources something is always on its way, and nothing would ever close.

/** Our own outage is believed for this long; then silence counts as silence. */
export const MAX_OUTAGE_MS = 15 * 60_000;

/** How many events had been accepted at a moment. */
export interface Sighting {
  /** Epoch ms. */
  readonly at: number;
  readonly accepted: number;
}

export interface SilenceVerdict {
  /** Epoch ms up to which silence is the sources' own; null when events from before may still be on their way. */
  readonly asOf: number | null;
  /** What to wait for from now on; give it with the next question. */
  readonly since: Sighting | null;
}

/**
 * Up to when may silence be believed?
 * @param since what the last verdict asked to wait for
 * @param accepted events accepted so far, those of open leases that may have been included
 * @param applied events applied before `accepted` was asked for
 */
export function judgeSilence(since: Sighting | null, accepted: number, applied: number, nowMs: number): SilenceVerdict {
  if (applied >= accepted) return { asOf: nowMs, since: null };
  if (since === null) return { asOf: null, since: { at: nowMs, accepted } };
  if (applied >= since.accepted) return { asOf: since.at, since: { at: nowMs, accepted } };
  return { asOf: nowMs >= since.at + MAX_OUTAGE_MS ? nowMs : null, since };
}
