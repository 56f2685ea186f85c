// Why an alert is kept quiet just now, and when that may change.
import type { Matchable } from "../matcher.ts";
import type { MuteCalendar } from "../mute-times.ts";
import type { CompiledSilence } from "./silence.ts";

/** What keeps an alert quiet: `silence:<id>`, `inhibited:<alert id>`, `mute_time`, `suppression` or `flapping`. */
export type MuteReason = string;

/** What may keep one alert quiet. Times are epoch ms. */
export interface MuteMeans {
  readonly silences: readonly CompiledSilence[];
  readonly calendar: MuteCalendar | null;
  /** Its rule told of the same group so lately that it is suppressed until then; null when it is not. */
  readonly suppressedUntil: number | null;
  /** Its group was firing and ending so often that it is kept quiet until then; null when it was not. */
  readonly flapsUntil: number | null;
  /** Id of a firing alert that makes this one unimportant, or null. */
  readonly inhibitedBy: string | null;
}

/** Whether an alert may be told now. Times are epoch ms. */
export interface Mute {
  /** Empty: it may be told. */
  readonly reasons: readonly MuteReason[];
  /** When to ask again though nothing happens; null: never. */
  readonly until: number | null;
}

/** @param nowMs epoch ms */
export function muteOf(alert: Matchable, means: MuteMeans, nowMs: number): Mute {
  const reasons: MuteReason[] = [];
  const changes: number[] = [];
  for (const silence of means.silences) {
    if (silence.endsAt <= nowMs || !silence.matches(alert)) continue;
    if (silence.startsAt <= nowMs) reasons.push(`silence:${silence.id}`);
    changes.push(silence.startsAt <= nowMs ? silence.endsAt : silence.startsAt);
  }
  if (means.inhibitedBy !== null) reasons.push(`inhibited:${means.inhibitedBy}`);
  if (means.calendar?.isMuted(nowMs) === true) reasons.push("mute_time");
  const change = means.calendar?.nextChange(nowMs) ?? null;
  if (change !== null) changes.push(change);
  for (const [reason, until] of [
    ["suppression", means.suppressedUntil],
    ["flapping", means.flapsUntil],
  ] as const) {
    if (until === null || until <= nowMs) continue;
    reasons.push(reason);
    changes.push(until);
  }
  return { reasons, until: changes.length === 0 ? null : Math.min(...changes) };
}
