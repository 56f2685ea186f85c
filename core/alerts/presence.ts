// Which groups of an aggregation have been seen, so that one that goes quiet can be told of.
//
// Problem: "service x stopped reporting" is an absence, and a rule sees only what is there.
// Rule: a group is seen from its first window on. It is quiet from the end of the newest window that had it, in event time,
// so that a restart or a pause of ours is no silence. What went quiet stays known until it returns, or until somebody
// resolves its alert by hand: that says it is gone for good.
// Why the active groups have no time of their own: their last window is the newest one, so a tick in which nothing comes and
// nothing goes changes nothing that must be written.
import type { Group } from "./group.ts";
import { MAX_SEEN_GROUPS } from "./limits.ts";

/** A group without data. */
export interface Quiet {
  readonly group: Group;
  /** End (epoch ms) of the newest window that had it. */
  readonly since: number;
}

/** The groups of one aggregation, by key. Never changed in place. */
export interface Presence {
  /** Those of the newest window. */
  readonly active: ReadonlyMap<string, Group>;
  /** Those that were active before, in the order in which they went quiet. */
  readonly quiet: ReadonlyMap<string, Quiet>;
}

/** Before the first window. */
export const NOBODY_SEEN: Presence = { active: new Map(), quiet: new Map() };

/**
 * Takes the groups of the next window.
 * @param seen the window's groups by key
 * @param before end (epoch ms) of the window before: when those that are now missing were last there
 */
export function afterWindow(presence: Presence, seen: ReadonlyMap<string, Group>, before: number): Presence {
  const gone = [...presence.active].filter(([key]) => !seen.has(key));
  const isSame = gone.length === 0 && seen.size === presence.active.size;
  if (isSame) return presence;
  const quiet = new Map([...presence.quiet].filter(([key]) => !seen.has(key)));
  for (const [key, group] of gone) quiet.set(key, { group, since: before });
  return bounded(seen, quiet);
}

/** Takes the groups of a revision of the newest window: some may be there after all. */
export function afterRevision(presence: Presence, seen: ReadonlyMap<string, Group>): Presence {
  const returned = [...seen].filter(([key]) => !presence.active.has(key));
  if (returned.length === 0) return presence;
  const quiet = new Map([...presence.quiet].filter(([key]) => !seen.has(key)));
  return bounded(new Map([...presence.active, ...returned]), quiet);
}

/** Forgets a group until it is seen again. */
export function withoutGroup(presence: Presence, key: string): Presence {
  if (!presence.quiet.has(key)) return presence;
  const quiet = new Map(presence.quiet);
  quiet.delete(key);
  return { ...presence, quiet };
}

function bounded(active: ReadonlyMap<string, Group>, quiet: ReadonlyMap<string, Quiet>): Presence {
  const surplus = active.size + quiet.size - MAX_SEEN_GROUPS;
  if (surplus <= 0) return { active, quiet };
  const kept = new Map([...quiet].slice(Math.min(surplus, quiet.size)));
  return { active: new Map([...active].slice(0, MAX_SEEN_GROUPS)), quiet: kept };
}
