import type { SecondCount } from "../../core/live/protocol.ts";

/** Counts by epoch second; seconds without events are not in it. */
export type Seconds = ReadonlyMap<number, SecondCount>;

/** More lines than this cannot be told apart; the rest is added up as "other". */
const MAX_SERIES = 7;
/** The series of all types that have none of their own. */
export const OTHER = "other";

/** One series of the stack. */
export interface StackSeries {
  readonly name: string;
  /** Colour slot, 0 for "other". */
  readonly slot: number;
  /** Events in each second, not stacked. */
  readonly counts: readonly number[];
  readonly total: number;
}

/** Series over the same seconds, bottom one first. */
export interface Stack {
  /** Epoch seconds, each one once. */
  readonly at: readonly number[];
  readonly series: readonly StackSeries[];
  /** Sum over the series for each second. */
  readonly totals: readonly number[];
}

/** The counts under their seconds. */
export function bySecond(seconds: readonly SecondCount[]): Seconds {
  return new Map(seconds.map((second) => [second.at, second]));
}

/**
 * Lay out events by type over the last seconds, zero where nothing came.
 *
 * @param endAt       last second, inclusive, epoch seconds
 * @param length      how many seconds
 * @param slotsOf     colour slot of each chosen name; the order of slots is the order of stacking, so layers never trade places
 */
export function stackSeconds(
  seconds: Seconds,
  endAt: number,
  length: number,
  slotsOf: (names: readonly string[]) => ReadonlyMap<string, number>,
): Stack {
  const at = Array.from({ length }, (_, i) => endAt - length + 1 + i);
  const sums = typeSums(seconds, at);
  const names = [...sums.keys()].sort((a, b) => (sums.get(b) ?? 0) - (sums.get(a) ?? 0) || (a < b ? -1 : 1));
  const chosen = names.slice(0, names.length > MAX_SERIES + 1 ? MAX_SERIES : MAX_SERIES + 1);
  const slots = slotsOf(chosen);
  const series = chosen
    .map((name) => seriesOf(name, slots.get(name) ?? 0, at, (second) => countOf(second, name), seconds))
    .sort((a, b) => a.slot - b.slot);
  const shown = new Set(chosen);
  const rest = seriesOf(OTHER, 0, at, (second) => restOf(second, shown), seconds);
  const totals = at.map((second) => seconds.get(second)?.total ?? 0);
  return { at, series: rest.total > 0 ? [...series, rest] : series, totals };
}

function typeSums(seconds: Seconds, at: readonly number[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const second of at) {
    for (const [name, count] of Object.entries(seconds.get(second)?.by_type ?? {})) {
      sums.set(name, (sums.get(name) ?? 0) + count);
    }
  }
  return sums;
}

function seriesOf(
  name: string,
  slot: number,
  at: readonly number[],
  pick: (second: SecondCount) => number,
  seconds: Seconds,
): StackSeries {
  const counts = at.map((key) => {
    const second = seconds.get(key);
    return second === undefined ? 0 : pick(second);
  });
  return { name, slot, counts, total: counts.reduce((sum, count) => sum + count, 0) };
}

/** A type may be called `constructor`, so only own keys count. */
function countOf(second: SecondCount, type: string): number {
  return Object.hasOwn(second.by_type, type) ? (second.by_type[type] ?? 0) : 0;
}

function restOf(second: SecondCount, shown: ReadonlySet<string>): number {
  const known = Object.entries(second.by_type).reduce((sum, [name, count]) => sum + (shown.has(name) ? count : 0), 0);
  return Math.max(0, second.total - known);
}

/** Each series as the upper edge of its layer. */
export function upperEdges(stack: Stack): number[][] {
  const edges: number[][] = [];
  let below: readonly number[] = stack.at.map(() => 0);
  for (const { counts } of stack.series) {
    const edge = counts.map((count, i) => count + (below[i] ?? 0));
    edges.push(edge);
    below = edge;
  }
  return edges;
}

/** Events per second over the `length` seconds that end with `endAt`. */
export function averageRate(seconds: Seconds, endAt: number, length: number): number {
  let sum = 0;
  for (let at = endAt - length + 1; at <= endAt; at += 1) sum += seconds.get(at)?.total ?? 0;
  return sum / length;
}

/** The busiest of the `length` seconds that end with `endAt`. */
export function peakRate(seconds: Seconds, endAt: number, length: number): number {
  let peak = 0;
  for (let at = endAt - length + 1; at <= endAt; at += 1) peak = Math.max(peak, seconds.get(at)?.total ?? 0);
  return peak;
}
