/** What was last told of a bundle: ids of its alerts then firing, and of those told as resolved. */
export interface Told {
  readonly firing: ReadonlySet<string>;
  readonly resolved: ReadonlySet<string>;
  /** Epoch ms. */
  readonly at: number;
}

/** How a bundle is now. */
export interface Standing {
  readonly firing: ReadonlySet<string>;
  readonly resolved: ReadonlySet<string>;
}

/**
 * Whether to tell of a bundle again.
 *
 * Something newly firing is told at once; that everything has ended is told if any firing was; a single end is told if the
 * channel takes ends; and what still fires is told again once the repeat interval has passed.
 * @param told null when nothing was told yet
 * @param repeatMs null: never again
 * @see Alertmanager, notify/notify.go, DedupStage.needsUpdate, and its cases in notify/notify_test.go
 */
export function needsUpdate(
  told: Told | null,
  now: Standing,
  repeatMs: number | null,
  nowMs: number,
  takesEnds = true,
): boolean {
  if (told === null) return now.firing.size > 0;
  if (!isWithin(now.firing, told.firing)) return true;
  if (now.firing.size === 0) return told.firing.size > 0;
  if (takesEnds && !isWithin(now.resolved, told.resolved)) return true;
  return repeatMs !== null && told.at < nowMs - repeatMs;
}

function isWithin(part: ReadonlySet<string>, whole: ReadonlySet<string>): boolean {
  for (const id of part) if (!whole.has(id)) return false;
  return true;
}
