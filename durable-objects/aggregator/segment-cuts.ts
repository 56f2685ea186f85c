/**
 * Which chunks of the log become which segments.
 *
 * Problem: a query opens every segment whose time range meets its own. A backfill's chunks lie in the log between live ones, and a
 * segment that holds both would span years, so that every query had to open it.
 * Rule: what one write takes from the log is one contiguous stretch, so that "sealed through" stays a single number; within it,
 * chunks far apart in time go into segments of their own. A segment is known by the sequence number of its first chunk.
 * Why not events apart: chunks go into segments as they came, unopened.
 */
import type { LogChunk } from "./chunk-log.ts";

/** A segment is sealed at this many events … */
export const SEGMENT_EVENTS = 2000;
/** … or this many packed bytes, whichever comes first. */
export const SEGMENT_BYTES = 64_000;
/** Full segments taken from the log for one D1 batch when many are due. */
const SEGMENTS_PER_WRITE = 8;
/** Chunks this far apart do not share a segment: two rows more are cheaper than a body opened by every query of the time between. */
const APART_MS = 3_600_000;
/** Stretches of time kept apart in one write; the widest gaps are the ones that count. */
const MAX_STRETCHES = 8;

/** Cuts the log's first chunks into segments; what does not fill one, only if `all`. */
export function segmentRanges(chunks: readonly LogChunk[], all: boolean): LogChunk[][] {
  const taken = fullSegments(chunks, all).flat();
  return stretchesOf(taken).flatMap((stretch) => fullSegments(stretch, true, Infinity));
}

/** The first chunks, in runs that fill a segment each. @param all with a last run that does not */
function fullSegments(chunks: readonly LogChunk[], all: boolean, most = SEGMENTS_PER_WRITE): LogChunk[][] {
  const runs: LogChunk[][] = [];
  let run: LogChunk[] = [];
  let events = 0;
  let bytes = 0;
  const cut = (): void => {
    runs.push(run);
    run = [];
    events = 0;
    bytes = 0;
  };
  for (const chunk of chunks) {
    if (run.length > 0 && (events + chunk.events > SEGMENT_EVENTS || bytes + chunk.bytes > SEGMENT_BYTES)) cut();
    if (runs.length === most) return runs;
    run.push(chunk);
    events += chunk.events;
    bytes += chunk.bytes;
  }
  if (run.length > 0 && (all || events >= SEGMENT_EVENTS || bytes >= SEGMENT_BYTES)) cut();
  return runs;
}

/** Chunks by stretches of time with a gap between them, each in the order of the log. */
function stretchesOf(chunks: readonly LogChunk[]): LogChunk[][] {
  const limits = gapsOf(chunks);
  const stretches: LogChunk[][] = Array.from({ length: limits.length + 1 }, () => []);
  for (const chunk of chunks) {
    const stretch = limits.filter((limit) => chunk.minTimestamp >= limit).length;
    stretches[stretch]?.push(chunk);
  }
  return stretches.filter((stretch) => stretch.length > 0);
}

/** Where a new stretch begins, ascending. No chunk reaches across such a place. */
function gapsOf(chunks: readonly LogChunk[]): number[] {
  const gaps: { from: number; length: number }[] = [];
  let reached = Infinity;
  for (const { minTimestamp, maxTimestamp } of chunks.toSorted((a, b) => a.minTimestamp - b.minTimestamp)) {
    if (minTimestamp - reached > APART_MS) gaps.push({ from: minTimestamp, length: minTimestamp - reached });
    reached = reached === Infinity ? maxTimestamp : Math.max(reached, maxTimestamp);
  }
  const widest = gaps.sort((a, b) => b.length - a.length).slice(0, MAX_STRETCHES - 1);
  return widest.map(({ from }) => from).sort((a, b) => a - b);
}
