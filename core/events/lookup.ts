import type { StreamEvent } from "./event.ts";
import { type SegmentPlace, type SegmentSource, UnreadSegments } from "./segments.ts";

/**
 * Segments one look-up opens before it gives up. Without a time in the id nothing says where the event is, so the newest
 * are read first: 500 segments are some million events and about a second of reading.
 */
export const LOOKUP_SEGMENTS = 500;

/** Opened at once: an id that carries its time is mostly found in the first. */
const GROUP = 4;

export type Lookup = { readonly event: StreamEvent } | { readonly event: null; readonly isComplete: boolean };

/**
 * Finds a sealed event by its id.
 * @param sources where to look, likeliest first; a segment that several of them list is opened once
 * @returns no event with `isComplete` when all segments were read, without it when the budget ran out
 */
export async function findEvent<S extends SegmentPlace>(
  id: string,
  sources: readonly SegmentSource<S>[],
  maxSegments: number = LOOKUP_SEGMENTS,
): Promise<Lookup> {
  const opened = new Set<string>();
  let event: StreamEvent | null = null;
  for (const source of sources) {
    const unread = new UnreadSegments(source, []);
    for (let segments = await unread.take(GROUP); segments.length > 0; segments = await unread.take(GROUP)) {
      const fresh = segments.filter((segment) => !opened.has(nameOf(segment)));
      if (opened.size + fresh.length > maxSegments) return { event: null, isComplete: false };
      for (const segment of fresh) opened.add(nameOf(segment));
      await source.open(fresh, (batch) => {
        const row = batch.ids.indexOf(id);
        if (row >= 0) event = batch.event(row);
      });
      if (event !== null) return { event };
    }
  }
  return { event: null, isComplete: true };
}

const nameOf = ({ shard, incarnation, seqFrom }: SegmentPlace): string => `${shard}/${incarnation}/${seqFrom}`;
