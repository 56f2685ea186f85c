// When a bundle of alerts is told of: `group_wait`, `group_interval`, `repeat_interval`.
//
// Problem: an outage fires a hundred alerts, and a hundred messages hide what they say.
// Rule: alerts of one rule that agree in `group_by` are told together. The first waits `group_wait` for others; later changes wait for
// the next multiple of `group_interval` after the last look; what still fires is told again at the first such multiple after
// `repeat_interval`. These are the rules of Alertmanager (dispatch/dispatch.go, notify/notify.go), but for looks at which nothing can
// have changed: they are left out, so that a quiet bundle costs nothing.
// An alert of a rule without `group_by` is a bundle of its own that never waits.
import { needsUpdate } from "./needs-update.ts";
import type { Told } from "./needs-update.ts";

/** Lengths in ms. */
export interface BundlePolicy {
  readonly waitMs: number;
  readonly intervalMs: number;
  readonly repeatMs: number | null;
  /** Whether ends are told. */
  readonly tellsEnds: boolean;
}

/** Alerts of one bundle: one message and one row hold them. More make another bundle. */
export const MAX_MEMBERS = 1_000;

/** One alert of a bundle. */
export interface Member {
  readonly id: string;
  readonly isFiring: boolean;
  /** Kept quiet: its firing is not told. */
  readonly isMuted: boolean;
  /** Somebody has taken it: it is not told again. */
  readonly isTaken: boolean;
  /** Its end is not told before, epoch ms; null: at once. */
  readonly holdsUntil: number | null;
}

/** Alerts that are told together. Times are epoch ms. */
export interface Bundle {
  readonly key: string;
  /** What its messages have in common: the alert's id when it is alone. */
  readonly id: string;
  readonly ruleId: string;
  /** Ids of the channels that hear of it. */
  readonly channels: readonly string[];
  /** Null: one alert by itself, told as such. */
  readonly groupBy: Readonly<Record<string, string>> | null;
  readonly policy: BundlePolicy;
  readonly members: readonly Member[];
  readonly told: {
    readonly firing: readonly string[];
    readonly resolved: readonly string[];
    readonly at: number;
  } | null;
  /** Epoch ms of the last look; null before the first. */
  readonly lookedAt: number | null;
  /** Epoch ms of the next look; null: nothing to look for. */
  readonly dueAt: number | null;
  /** Messages made so far. */
  readonly sent: number;
  /** Id of the newest message of each channel, so that the next one can wait for it. */
  readonly newest: Readonly<Record<string, string>>;
}

/** What to tell of a bundle: ids of alerts that fire, of those among them not told before, and of those that ended. */
export interface Telling {
  readonly firing: readonly string[];
  readonly fresh: readonly string[];
  readonly resolved: readonly string[];
  /** Nothing new: the repeat interval has passed. */
  readonly isRepeat: boolean;
}

/** Puts an alert into a bundle, or what has changed of it; arranges for a look. @param nowMs epoch ms */
export function withMember(bundle: Bundle, member: Member, nowMs: number): Bundle {
  const isKnown = bundle.members.some(({ id }) => id === member.id);
  const members = isKnown
    ? bundle.members.map((known) => (known.id === member.id ? member : known))
    : [...bundle.members, member];
  return scheduled({ ...bundle, members }, nowMs);
}

/** Arranges for the next look, as a change at `nowMs` asks for. */
function scheduled(bundle: Bundle, nowMs: number): Bundle {
  const { lookedAt, policy, dueAt } = bundle;
  const next = lookedAt === null ? nowMs + policy.waitMs : nextLook(lookedAt, policy.intervalMs, nowMs);
  // A look that is arranged already comes as it was: the first change counts.
  return { ...bundle, dueAt: dueAt === null ? next : Math.min(dueAt, next) };
}

/** The first multiple of the interval after `lookedAt` that is not before `at`. */
function nextLook(lookedAt: number, intervalMs: number, at: number): number {
  if (intervalMs === 0) return at;
  // A clock that was set back since makes nobody wait for it to come round again.
  const from = Math.min(lookedAt, at);
  return from + Math.max(1, Math.ceil((at - from) / intervalMs)) * intervalMs;
}

/**
 * Looks at a bundle that is due.
 * @returns the bundle afterwards, null when nothing is left of it; and what to tell, if anything
 */
export function look(
  bundle: Bundle,
  nowMs: number,
): { readonly bundle: Bundle | null; readonly telling: Telling | null } {
  const before = toldOf(bundle);
  const isHeld = ({ isFiring, holdsUntil }: Member): boolean => !isFiring && (holdsUntil ?? -Infinity) > nowMs;
  const wasTold = ({ id }: Member): boolean => before?.firing.has(id) === true;
  const firing = bundle.members.filter(
    (member) => (member.isFiring && (!member.isMuted || wasTold(member))) || (isHeld(member) && wasTold(member)),
  );
  const resolved = bundle.members.filter((member) => !member.isFiring && !isHeld(member) && wasTold(member));
  const now = { firing: idsOf(firing), resolved: idsOf(resolved) };
  // What somebody has taken, or what is kept quiet, is no reason to tell again.
  const isRestless = firing.some(({ isFiring, isMuted, isTaken }) => isFiring && !isMuted && !isTaken);
  const { repeatMs, tellsEnds } = bundle.policy;
  const isDue = needsUpdate(before, now, isRestless ? repeatMs : null, nowMs, tellsEnds);
  const fresh = [...now.firing].filter((id) => before?.firing.has(id) !== true);
  const ended = tellsEnds ? [...now.resolved] : [];
  const isRepeat = fresh.length === 0 && ended.length === 0;
  const hasWords = isDue && now.firing.size + ended.length > 0;
  const telling = hasWords ? { firing: [...now.firing], fresh, resolved: ended, isRepeat } : null;
  // Who ended and was heard of is told now; who ended unheard is nobody's business.
  const members = bundle.members.filter((member) => member.isFiring || isHeld(member));
  if (members.length === 0) return { bundle: null, telling };
  const told = isDue ? { firing: [...now.firing], resolved: [], at: nowMs } : bundle.told;
  const looked = { ...bundle, members, told, lookedAt: nowMs, sent: bundle.sent + (isDue ? 1 : 0) };
  return { bundle: { ...looked, dueAt: nextDue(looked, nowMs) }, telling };
}

/** When there is something to look for though nothing changes: an end that is held back, or a repeat. */
function nextDue({ members, told, policy, lookedAt }: Bundle, nowMs: number): number | null {
  const holds = members.flatMap(({ isFiring, holdsUntil }) => (isFiring || holdsUntil === null ? [] : holdsUntil));
  const isRestless = members.some(({ id, isFiring, isMuted, isTaken }) => {
    return isFiring && !isMuted && !isTaken && told?.firing.includes(id) === true;
  });
  const { repeatMs, intervalMs } = policy;
  // Strictly after the interval has passed: that is what `needsUpdate` asks.
  const repeats = isRestless && told !== null && repeatMs !== null ? [told.at + repeatMs + 1] : [];
  const dues = [...holds, ...repeats].map((at) => nextLook(lookedAt ?? nowMs, intervalMs, at));
  return dues.length === 0 ? null : Math.min(...dues);
}

function toldOf({ told }: Bundle): Told | null {
  return told === null ? null : { firing: new Set(told.firing), resolved: new Set(told.resolved), at: told.at };
}

function idsOf(members: readonly Member[]): Set<string> {
  return new Set(members.map(({ id }) => id));
}
