import type { RuleWatch } from "../../core/alerts/watch.ts";
import { type Aggregation, groupJson, valuesOf } from "../../core/windows/aggregation.ts";
import { earlierWindow, stepOf } from "../../core/windows/look-back.ts";
import { type ClosedWindow, closedSessions, closedWindow, type WindowGroup } from "../../core/windows/window-json.ts";
import type { WindowView } from "../../core/windows/window-set.ts";
import type { Notice } from "./notice-queue.ts";

/** Groups in one call, those looked back to among them: a few hundred bytes each stay far below the 32 MB an RPC may carry. */
const GROUPS_PER_CALL = 20_000;

/** Windows as rules are told of them: as they are now, with what the rules look back to. None when it is gone. */
export function toldWindows(aggregation: Aggregation, notice: Notice, watch: RuleWatch | undefined): ClosedWindow[] {
  const { start, end, sessions } = notice;
  if (sessions !== undefined) return toldSessions(aggregation, end, sessions);
  const stepMs = stepOf(aggregation.plan.shape);
  const step = stepMs === null ? {} : { stepMs };
  const { name } = aggregation.plan.definition;
  if (end !== undefined)
    return [{ aggregation: name, version: aggregation.version, start, end, revision: 0, groups: [], ...step }];
  const window = aggregation.windows.find({ start, session: null });
  if (window === undefined) return [];
  const lookBacks = watch?.lookBacks ?? [];
  const past = lookBacks.length === 0 ? {} : { past: pastOf(aggregation, window, lookBacks) };
  return [{ ...closedWindow(aggregation, window), ...step, ...past }];
}

function toldSessions(
  aggregation: Aggregation,
  end: number | undefined,
  sessions: NonNullable<Notice["sessions"]>,
): ClosedWindow[] {
  // One that has grown since is told again under its new end, or waits to close there.
  const found = sessions
    .map(([first, session]) => aggregation.windows.find({ start: first, session }))
    .filter((session) => session?.end === end && session?.closed === true);
  const told = closedSessions(
    aggregation,
    found.filter((session) => session !== undefined),
  );
  return told === null ? [] : [told];
}

/** Values of earlier windows, only of the measures that are read, and only for groups that the window has. */
function pastOf(
  aggregation: Aggregation,
  window: WindowView,
  lookBacks: RuleWatch["lookBacks"],
): Record<string, readonly WindowGroup[]> {
  const { plan, windows } = aggregation;
  const keys = new Set(window.groups.keys());
  const past: Record<string, readonly WindowGroup[]> = {};
  for (const [name, measures] of lookBacks) {
    const start = earlierWindow(plan.shape, window, name);
    const earlier = start === null ? undefined : windows.find({ start, session: null });
    if (earlier === undefined) continue;
    past[name] = [...readOf(plan, earlier, keys, measures)];
  }
  return past;
}

function* readOf(
  plan: Aggregation["plan"],
  { start, end, groups }: WindowView,
  keys: ReadonlySet<string>,
  measures: readonly string[],
): IterableIterator<WindowGroup> {
  for (const group of groups.values()) {
    if (!keys.has(group.key)) continue;
    const read = Object.entries(valuesOf(plan, group, end - start)).filter(([measure]) => measures.includes(measure));
    yield { group: groupJson(plan, group.key), values: Object.fromEntries(read) };
  }
}

/** Windows in their order, in as many calls as they need. */
export function* inCalls(windows: Iterable<ClosedWindow>): IterableIterator<ClosedWindow[]> {
  let call: ClosedWindow[] = [];
  let groups = 0;
  for (const window of windows) {
    const more = Object.values(window.past ?? {}).reduce((sum, past) => sum + past.length, window.groups.length);
    if (call.length > 0 && groups + more > GROUPS_PER_CALL) {
      yield call;
      call = [];
      groups = 0;
    }
    call.push(window);
    groups += more;
  }
  if (call.length > 0) yield call;
}
