import type { StreamEvent } from "./event.ts";
import { type SegmentPlace, type SegmentSource, UnreadSegments } from "./segments.ts";

/**
 * Segments one look-up opens before it gives up. Without a time in the id nothing says where the event is, so the newest
 * are read first: 500 segments are some million events and about a second of reading.
 */
const LOOKUP_SEGMENTS = 500;

/** Opened at first, and doubled each time up to `MAX_GROUP`: an id that carries its time is mostly found at once. */
const FIRST_GROUP = 2;
const MAX_GROUP = 20;

/** The event, or whether it is certain that there is none. */
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
  let group = FIRST_GROUP;
  for (const source of sources) {
    const unread = new UnreadSegments(source, []);
    for (let listed = await unread.take(group); listed.length > 0; listed = await unread.take(group)) {
      const fresh = listed.filter((segment) => !opened.has(nameOf(segment)));
      const affordable = fresh.slice(0, maxSegments - opened.size);
      for (const segment of affordable) opened.add(nameOf(segment));
      await source.open(affordable, (batch) => {
        const row = batch.ids.indexOf(id);
        if (row >= 0) event = batch.event(row);
      });
      if (event !== null) return { event };
      if (affordable.length < fresh.length) return { event: null, isComplete: false };
      group = Math.min(2 * group, MAX_GROUP);
    }
  }
  return { event: null, isComplete: true };
}

const nameOf = ({ shard, incarnation, seqFrom }: SegmentPlace): string => `${shard}/${incarnation}/${seqFrom}`;
