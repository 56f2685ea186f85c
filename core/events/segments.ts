import type { StreamEvent } from "./event.ts";
import type { EventBatch } from "./event-batch.ts";
import { type Cursor, type Order, placeBefore } from "./query.ts";

/** Where a sealed segment lies: in its shard's log and in time. */
export interface SegmentPlace {
  readonly shard: number;
  readonly incarnation: string;
  readonly seqFrom: number;
  /** Epoch ms. */
  readonly minTimestamp: number;
  /** Epoch ms. */
  readonly maxTimestamp: number;
}

/** The sealed part of the event store, as one query sees it. */
export interface SegmentSource<S extends SegmentPlace> {
  /**
   * The next segments that may hold wanted events: newest `maxTimestamp` first for desc, oldest `minTimestamp` first for asc.
   * @param beyond the last segment of the call before; null for the first
   * @returns fewer than `count` only when there are no more
   */
  list(beyond: S | null, count: number): Promise<readonly S[]>;
  /** Hands over the batches of these segments one after another, so that only one is in memory at a time. */
  open(segments: readonly S[], visit: (batch: EventBatch) => void): Promise<void>;
}

/** What a shard had not yet sealed when it was asked: the part of the answer that is not in segments. */
export interface Tail {
  readonly shard: number;
  readonly incarnation: string;
  /** Every event with this sequence number or a later one is in the tail, so segments from here on are ignored. */
  readonly sealedThrough: number;
  /** Wanted events in the query's order. */
  readonly events: readonly StreamEvent[];
  /** True when further wanted events come after the last of `events`. A tail longer than the page counts as cut anyway. */
  readonly isCut?: boolean;
}

/** Segments asked for at once. */
const LIST_SIZE = 100;

/** The segments still to be opened, in reading order, fetched a list at a time; without those whose events the tails hold. */
export class UnreadSegments<S extends SegmentPlace> {
  readonly #source: SegmentSource<S>;
  readonly #tails: readonly Tail[];
  readonly #queue: S[] = [];
  #last: S | null = null;
  #isExhausted = false;

  constructor(source: SegmentSource<S>, tails: readonly Tail[]) {
    this.#source = source;
    this.#tails = tails;
  }

  /** The segment to be opened next; undefined when all were taken. */
  async peek(): Promise<S | undefined> {
    await this.#fill(1);
    return this.#queue[0];
  }

  /** Removes up to `count` segments. */
  async take(count: number): Promise<readonly S[]> {
    await this.#fill(count);
    return this.#queue.splice(0, count);
  }

  async #fill(count: number): Promise<void> {
    while (this.#queue.length < count && !this.#isExhausted) {
      const listed = await this.#source.list(this.#last, LIST_SIZE);
      this.#last = listed.at(-1) ?? this.#last;
      this.#isExhausted = listed.length < LIST_SIZE;
      this.#queue.push(...listed.filter((segment) => !this.#tails.some((tail) => isInTail(segment, tail))));
    }
  }
}

function isInTail(segment: SegmentPlace, tail: Tail): boolean {
  return (
    segment.shard === tail.shard && segment.incarnation === tail.incarnation && segment.seqFrom >= tail.sealedThrough
  );
}

/** The place before everything that this segment and those after it in reading order can hold. */
export function placeBeforeSegment(segment: SegmentPlace, order: Order): Cursor {
  return placeBefore(order === "asc" ? segment.minTimestamp : segment.maxTimestamp, order);
}
