// What is remembered of a group across its alerts: when it was last told of, and how often it fired.
//
// Problem: a value that swings about its threshold opens and ends an alert each time, and each is told twice.
// Rule: a group that fired `firings` times `within` a stretch flaps. The alert that makes it so is told, marked as flapping; what
// fires after that is kept quiet, and ends are held back, until nothing has fired for a whole stretch. Then what still fires is
// told, and so are the ends of what had been told.

/** One group of one rule. Times are epoch ms. */
export interface Track {
  readonly ruleId: string;
  readonly key: string;
  /** When a firing was last told; null when none was. */
  readonly toldAt: number | null;
  /** When it fired, as far as that matters for flapping, oldest first. */
  readonly firedAt: readonly number[];
  /** It flaps until then; null when it does not. */
  readonly flapsUntil: number | null;
}

/** So many firings within so long are flapping. */
export interface FlapPolicy {
  readonly firings: number;
  readonly withinMs: number;
}

export function newTrack(ruleId: string, key: string): Track {
  return { ruleId, key, toldAt: null, firedAt: [], flapsUntil: null };
}

/** The track after another firing. `startsFlapping` is true for the one firing that is told as flapping. */
export function afterFiring(
  track: Track,
  policy: FlapPolicy,
  nowMs: number,
): { readonly track: Track; readonly startsFlapping: boolean } {
  const recent = track.firedAt.filter((at) => at > nowMs - policy.withinMs && at <= nowMs);
  const firedAt = [...recent, nowMs].slice(-policy.firings);
  const wasFlapping = track.flapsUntil !== null && track.flapsUntil > nowMs;
  const isFlapping = wasFlapping || firedAt.length >= policy.firings;
  const flapsUntil = isFlapping ? nowMs + policy.withinMs : null;
  return { track: { ...track, firedAt, flapsUntil }, startsFlapping: isFlapping && !wasFlapping };
}

/** When a track says nothing any more and may be forgotten. @param suppressionMs the rule's, 0 for none */
export function expiryOf(
  { toldAt, firedAt, flapsUntil }: Track,
  suppressionMs: number,
  flap: FlapPolicy | null,
): number {
  const last = firedAt.at(-1);
  return Math.max(
    toldAt === null ? 0 : toldAt + suppressionMs,
    last === undefined ? 0 : last + (flap?.withinMs ?? 0),
    flapsUntil ?? 0,
  );
}
