import type { RuleWatch } from "../../core/alerts/watch.ts";
import type { Aggregation } from "../../core/windows/aggregation.ts";
import type { ClosedWindow } from "../../core/windows/window-json.ts";
import type { WindowView } from "../../core/windows/window-set.ts";
import type { Notice } from "./notice-queue.ts";
import { keysOf } from "./read-windows.ts";
import type { ShardTables } from "./tables.ts";
import { toldWindows } from "./told-windows.ts";

/** Groups in one answer, those looked back to among them; one window may have more. A few hundred bytes each, far below the 32 MB of an RPC. */
const GROUPS_PER_PAGE = 20_000;
/** Sessions of one range: they must be put in order of end before the first can be told. */
export const MAX_PAST_SESSIONS = 20_000;

/** Which closed windows are wanted: those that start in [from, to), epoch ms, with what rules look back to. */
export interface PastQuery {
  readonly from: number;
  readonly to: number;
  readonly lookBacks: RuleWatch["lookBacks"];
  /** Most windows in one answer. */
  readonly limit: number;
}

export interface PastPage {
  /** As the rules were told of them, in order of end, but as they are now. */
  readonly windows: readonly ClosedWindow[];
  /** `from` of the next page, or null. */
  readonly next: number | null;
  /** Everything that ended by then is closed (epoch ms); null before the first event. */
  readonly completeThrough: number | null;
  /** False when there are more sessions than can be put in order. */
  readonly isWhole: boolean;
}

/** Closed windows as rules see them, for a rule that is tried on them. */
export function pastWindows(aggregation: Aggregation, tables: ShardTables, query: PastQuery): PastPage {
  const watch = { aggregation: aggregation.plan.definition.name, lookBacks: query.lookBacks, early: [] };
  const isSession = aggregation.plan.shape.type === "session";
  const notices = isSession ? sessionNotices(aggregation, tables, query) : windowNotices(aggregation, tables, query);
  const windows: ClosedWindow[] = [];
  let groups = 0;
  let next: number | null = null;
  for (const notice of notices ?? []) {
    if (!isSession && (windows.length >= query.limit || groups >= GROUPS_PER_PAGE)) {
      next = notice.start;
      break;
    }
    const told = toldWindows(aggregation, notice, watch);
    for (const { groups: own, past = {} } of told)
      groups += Object.values(past).reduce((sum, { length }) => sum + length, own.length);
    windows.push(...told);
  }
  return { windows, next, completeThrough: aggregation.completeThrough(), isWhole: notices !== null };
}

function* windowNotices(aggregation: Aggregation, tables: ShardTables, query: PastQuery): IterableIterator<Notice> {
  for (const { start, closed } of listed(aggregation, tables, query)) {
    if (closed) yield { aggregation: aggregation.plan.definition.name, start };
  }
}

/** Sessions by end, those with the same end together. */
function sessionNotices(aggregation: Aggregation, tables: ShardTables, query: PastQuery): Notice[] | null {
  const byEnd = new Map<number, [number, string][]>();
  let count = 0;
  for (const { start, end, closed, session } of listed(aggregation, tables, query)) {
    if (!closed || session === null) continue;
    if (++count > MAX_PAST_SESSIONS) return null;
    const known = byEnd.get(end);
    if (known === undefined) byEnd.set(end, [[start, session]]);
    else known.push([start, session]);
  }
  const { name } = aggregation.plan.definition;
  return [...byEnd]
    .sort(([a], [b]) => a - b)
    .map(([end, sessions]) => ({ aggregation: name, start: sessions[0]?.[0] ?? end, end, sessions }));
}

function listed(aggregation: Aggregation, tables: ShardTables, { from, to }: PastQuery): Iterable<WindowView> {
  return aggregation.windows.list(from, to, keysOf(aggregation, tables));
}
