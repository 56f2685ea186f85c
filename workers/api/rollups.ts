import { rfc3339 } from "../../core/events/rfc3339.ts";
import type { RangeRow } from "../../durable-objects/aggregator/read-windows.ts";
import type { Remote } from "../../durable-objects/remote.ts";
import type { WindowAggregator } from "../../durable-objects/window-aggregator.ts";
import { badParameter } from "./window-parameters.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** Intervals in one answer. */
const MAX_INTERVALS = 10_000;
/** The built-in rollups, coarsest first: a question is answered from the coarsest that fits its interval, or a range of this length. */
const ROLLUPS = [
  { name: "events_1h", windowMs: HOUR_MS, fromMs: 48 * HOUR_MS },
  { name: "events_5m", windowMs: 5 * MINUTE_MS, fromMs: 12 * HOUR_MS },
  { name: "events_1m", windowMs: MINUTE_MS, fromMs: 0 },
] as const;

type Aggregator = Pick<Remote<WindowAggregator>, "queryRange">;

/** A stretch of event time. */
export interface Range {
  /** Epoch ms. */
  readonly from: number;
  readonly to: number;
}

/** The groups of the whole range, from the coarsest rollup that answers it. @returns `range` as it was widened to whole windows */
export async function readTotal(
  aggregator: Aggregator,
  asked: Range,
): Promise<{ range: Range; rows: readonly RangeRow[] }> {
  const rollup = ROLLUPS.find((candidate) => suits(candidate, asked)) ?? ROLLUPS[2];
  const range = wholeWindows(asked, rollup.windowMs);
  return { range, rows: await read(aggregator, rollup.name, range, null) };
}

/** One step of a range. */
export interface Interval {
  /** RFC 3339. */
  readonly start: string;
  readonly rows: readonly RangeRow[];
}

/**
 * The range in intervals that lie on the clock, not on the moment of the question; those without events too.
 * @throws ApiError `bad_request` when they are too many
 */
export async function readIntervals(
  aggregator: Aggregator,
  asked: Range,
  intervalMs: number,
): Promise<{ range: Range; intervals: readonly Interval[] }> {
  const range = wholeWindows(asked, intervalMs);
  if ((range.to - range.from) / intervalMs > MAX_INTERVALS)
    throw badParameter("interval_minutes", `cuts the range into more than ${MAX_INTERVALS} intervals`);
  const rollup = ROLLUPS.find(({ windowMs }) => intervalMs % windowMs === 0) ?? ROLLUPS[2];
  const byStart = Map.groupBy(await read(aggregator, rollup.name, range, intervalMs), ({ start }) => start);
  const intervals: Interval[] = [];
  for (let start = range.from; start < range.to; start += intervalMs)
    intervals.push({ start: rfc3339(start), rows: byStart.get(start) ?? [] });
  return { range, intervals };
}

async function read(
  aggregator: Aggregator,
  rollup: string,
  range: Range,
  stepMs: number | null,
): Promise<readonly RangeRow[]> {
  const result = await aggregator.queryRange(rollup, { ...range, stepMs, groups: {} });
  if (result === null || !result.ok)
    throw badParameter("from", "the range is too long for this interval; narrow it or take a longer interval_minutes");
  return result.rows;
}

/** Coarse windows answer what begins and ends with them, and what is so long that its ends hardly matter: those are widened. */
function suits({ windowMs, fromMs }: (typeof ROLLUPS)[number], { from, to }: Range): boolean {
  return (from % windowMs === 0 && to % windowMs === 0) || to - from >= fromMs;
}

/** The range that the windows over `asked` cover. Nothing is known of what is still to come. */
function wholeWindows({ from, to }: Range, windowMs: number): Range {
  const end = Math.ceil(to / windowMs) * windowMs;
  return { from: Math.floor(from / windowMs) * windowMs, to: Math.max(to, Math.min(end, Date.now())) };
}
