import { PLATFORM_SOURCE, type Source } from "./sources.ts";

/** The part of a definition that decides its watermark. */
export interface WatermarkPolicy {
  readonly outOfOrdernessMs: number;
  readonly idleTimeoutMs: number;
}

/** Something that is decided once W reaches `closesAt`, epoch ms. */
export interface Waiting {
  readonly policy: WatermarkPolicy;
  readonly watermark: number;
  readonly closesAt: number | null;
}

/**
 * Advances a watermark W: no more events with timestamp < W are expected.
 *
 * A source counts while it is active and aligned: its mark (newest − out_of_orderness) is at or past W. One behind W is a backfill
 * and holds nothing. W is the smallest counted mark; when none counts, W follows the wall clock as of the last idle check. It
 * never goes back, and stays at −Infinity before the first event. The platform's own source never counts.
 *
 * Idleness is judged only as of `idleAsOf`, the time of the last check that found no event accepted and not yet applied: an
 * outage of ours is not mistaken for silence.
 * @param idleAsOf epoch ms, −Infinity before the first check
 * @see DESIGN.md "Watermark" and "Idle"; Flink's StatusWatermarkValve for alignment
 */
export function advanceWatermark(
  watermark: number,
  sources: Iterable<Source>,
  policy: WatermarkPolicy,
  idleAsOf: number,
): number {
  let lowest = Infinity;
  let anySeen = false;
  for (const source of sources) {
    if (!isTimed(source)) continue;
    anySeen = true;
    if (isIdle(source, policy, idleAsOf)) continue;
    const mark = source.newest - policy.outOfOrdernessMs;
    if (mark >= watermark && mark < lowest) lowest = mark;
  }
  if (!anySeen) return watermark;
  if (lowest !== Infinity) return lowest;
  return Math.max(watermark, idleAsOf - policy.outOfOrdernessMs);
}

/**
 * The source that holds a watermark where it is: of those that count, the one with the smallest mark. Undefined when none counts:
 * then W follows the wall clock, or there was no event yet.
 */
export function watermarkHolder(
  watermark: number,
  sources: Iterable<Source>,
  policy: WatermarkPolicy,
  idleAsOf: number,
): Source | undefined {
  let holder: Source | undefined;
  for (const source of sources) {
    if (!isTimed(source) || isIdle(source, policy, idleAsOf)) continue;
    const isAligned = source.newest - policy.outOfOrdernessMs >= watermark;
    if (isAligned && (holder === undefined || source.newest < holder.newest)) holder = source;
  }
  return holder;
}

function isTimed(source: Source): boolean {
  return source.newest !== -Infinity && source.name !== PLATFORM_SOURCE;
}

export function isIdle(source: Source, policy: WatermarkPolicy, idleAsOf: number): boolean {
  return source.lastReceived <= idleAsOf - policy.idleTimeoutMs;
}

/**
 * When an idle check could next move W far enough to matter.
 * @param closesAt the end of the earliest open window, epoch ms
 * @returns epoch ms, or null when nothing is open
 */
export function nextIdleCheck(
  sources: Iterable<Source>,
  policy: WatermarkPolicy,
  idleAsOf: number,
  watermark: number,
  closesAt: number | null,
): number | null {
  if (closesAt === null) return null;
  let holderIdleAt = -Infinity;
  for (const source of sources) {
    if (!isTimed(source) || isIdle(source, policy, idleAsOf)) continue;
    // Only sources that hold W below the window's end can, by falling idle, let it close.
    const mark = source.newest - policy.outOfOrdernessMs;
    if (mark >= watermark && mark < closesAt)
      holderIdleAt = Math.max(holderIdleAt, source.lastReceived + policy.idleTimeoutMs);
  }
  return holderIdleAt === -Infinity ? closesAt + policy.outOfOrdernessMs : holderIdleAt;
}
