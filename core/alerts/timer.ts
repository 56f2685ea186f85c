// When an alert of one group opens, fires and ends.
//
// Problem: one window over the threshold may be noise, and one window under it may be too. `for` and `keep_firing_for`
// ask for patience in both directions, and a restart or a pause in the data must not shorten or lengthen either.
// Rule: time is the end of the window being evaluated, never a clock:
//   nothing ──true──▶ pending ──true, and `for` has passed since──▶ firing ──false for `keep_firing_for`──▶ nothing
//   pending ──false──▶ nothing (its waiting starts over); firing ──true──▶ firing (its waiting to end starts over)
// These are the rules of Prometheus (rules/alerting.go), where time is the evaluation's.

/** How patient a rule is, in ms ≥ 0. */
export interface Patience {
  readonly forMs: number;
  readonly keepFiringForMs: number;
}

/** Since when the condition of a group holds. */
export interface Timer {
  readonly phase: "pending" | "firing";
  /** End (epoch ms) of the first window of the unbroken run in which the condition held. */
  readonly since: number;
  /** End (epoch ms) of the first window in which it no longer held; null while it holds. Only a firing timer has one. */
  readonly falseSince: number | null;
}

/** Moves a timer over a window in which the condition held. @param end the window's end, epoch ms */
export function whenTrue(timer: Timer | null, end: number, patience: Patience): Timer {
  if (timer?.phase === "firing") return timer.falseSince === null ? timer : { ...timer, falseSince: null };
  const since = timer?.since ?? end;
  return { phase: end - since >= patience.forMs ? "firing" : "pending", since, falseSince: null };
}

/**
 * Moves a timer over one or more windows in which the condition did not hold.
 * @param firstEnd the first such window's end, epoch ms
 * @param lastEnd  the last such window's end, ≥ firstEnd
 * @returns null when nothing is open any more
 */
export function whenFalse(timer: Timer, firstEnd: number, lastEnd: number, patience: Patience): Timer | null {
  if (timer.phase === "pending") return null;
  const falseSince = timer.falseSince ?? firstEnd;
  if (lastEnd - falseSince >= patience.keepFiringForMs) return null;
  return timer.falseSince === null ? { ...timer, falseSince } : timer;
}
