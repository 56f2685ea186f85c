import { MAX_SHARDS } from "./slot-map.ts";

/**
 * Events per second of one shard above which it is busy: a quarter of what one object has done with everything switched on
 * (docs/decisions/0020), which leaves room for reads, sealing and a slower machine.
 */
export const BUSY_EVENTS_PER_SECOND = 30_000;
/** A tenant is quiet when half its shards would each get less than this: a third of what makes one busy, so that it does not swing. */
export const QUIET_EVENTS_PER_SECOND = 10_000;
/** The load is read no more often than this: shards tell what they applied once a second, and a burst is over in less. */
export const READ_EVERY_MS = 15_000;
/** This many more busy readings than others, a minute at least: a hand-over takes seconds and pays only for what lasts. */
const BUSY_READINGS = 4;
/** Shrinking saves next to nothing and growing again costs a hand-over, so only what has been quiet for long shrinks. */
export const QUIET_FOR_MS = 30 * 60_000;

/** Who decides how many shards a tenant has. */
export type ScalingMode = "auto" | "manual";

/** What is remembered from reading to reading. */
export interface Scaling {
  readonly mode: ScalingMode;
  /** Busy readings less others, ≥ 0. */
  readonly heat: number;
  /** Epoch ms since when every reading was quiet, or null. */
  readonly quietSince: number | null;
}

/** The load of a tenant's shards since the reading before. */
export interface LoadReading {
  /** Events per second of all shards together. */
  readonly total: number;
  /** Events per second of the busiest one. */
  readonly busiest: number;
  /** Calls that objects turned away as overloaded. */
  readonly overloads: number;
}

/** At a start, and after each change of the count. */
export function calm(mode: ScalingMode): Scaling {
  return { mode, heat: 0, quietSince: null };
}

/**
 * Decides whether a tenant shall have twice as many shards, half as many, or as many as now.
 *
 * Doubled when readings are busy (some shard above BUSY_EVENTS_PER_SECOND, or one that turned calls away) by BUSY_READINGS more than
 * they are not. Halved when all readings of QUIET_FOR_MS were quiet. Each change begins the count anew; while slots move, and in
 * manual mode, nothing is decided.
 * @param count shards now
 * @returns what to remember, and the count to have from now on or null for no change
 */
export function scale(
  known: Scaling,
  { total, busiest, overloads }: LoadReading,
  count: number,
  isMoving: boolean,
  nowMs: number,
): { readonly next: Scaling; readonly count: number | null } {
  if (known.mode === "manual" || isMoving) return { next: calm(known.mode), count: null };
  const isBusy = busiest > BUSY_EVENTS_PER_SECOND || overloads > 0;
  const heat = Math.max(0, known.heat + (isBusy ? 1 : -1));
  if (heat >= BUSY_READINGS && count < MAX_SHARDS)
    return { next: calm(known.mode), count: Math.min(MAX_SHARDS, count * 2) };
  const half = Math.floor(count / 2);
  const isQuiet = half > 0 && !isBusy && total / half < QUIET_EVENTS_PER_SECOND;
  const quietSince = isQuiet ? (known.quietSince ?? nowMs) : null;
  if (quietSince !== null && nowMs - quietSince >= QUIET_FOR_MS) return { next: calm(known.mode), count: half };
  return { next: { mode: known.mode, heat: Math.min(heat, BUSY_READINGS), quietSince }, count: null };
}
