/** Frames a reader that acks may have unacked per topic: 8 s of a full topic, far above any healthy round trip. */
export const MAX_UNACKED_FRAMES = 32;
/** Characters of a topic's frames that may be unacked. One more frame may go while fewer are, however long it is: a snapshot must fit. */
export const MAX_UNACKED_LENGTH = 65_536;

/**
 * What a reader gets next of a topic. `refresh`: it comes from an earlier life of the hub and has all there was; it needs a
 * snapshot once something changes.
 */
export type Due = "deltas" | "gap" | "snapshot" | "refresh";

interface Unacked {
  readonly n: number;
  readonly mark: number;
  readonly length: number;
  readonly isSnapshot: boolean;
}

/** Where a reader stands in one topic. */
export class Position {
  due: Due;
  /** Number of the last delta sent (or contained in the snapshot sent). */
  sentN: number;
  ackedN: number;
  /** Number after which deltas were left out, until a snapshot takes their place; null when none were. */
  skippedFrom: number | null = null;
  #unacked: Unacked[] = [];
  #length = 0;

  /** @param n everything up to it counts as handled */
  constructor(n: number, due: Due) {
    this.sentN = n;
    this.ackedN = n;
    this.due = due;
  }

  /** Whether a reader that acks may be sent one more frame. */
  get hasRoom(): boolean {
    return this.sentN - this.ackedN < MAX_UNACKED_FRAMES && this.#length < MAX_UNACKED_LENGTH;
  }

  /** Notes deltas up to number `n`, `length` characters of them. @param mark larger for each frame sent to anybody */
  sentDeltas(n: number, length: number, mark: number): void {
    this.sentN = n;
    this.#note({ n, length, mark, isSnapshot: false });
  }

  /** Notes a snapshot. What was sent before it is not asked for any more. */
  sentSnapshot(n: number, length: number, mark: number): void {
    this.sentN = n;
    this.ackedN = n;
    this.due = "deltas";
    this.#note({ n, length, mark, isSnapshot: true });
  }

  /** Everything sent up to the frame of this number was handled. */
  ack(n: number): void {
    this.ackedN = Math.max(this.ackedN, Math.min(n, this.sentN));
    // After a snapshot numbers may repeat. The last that fits counts: too much room is harmless, too little for ever is not.
    this.#forget(this.#unacked.findLastIndex((frame) => frame.n <= n));
  }

  /** The frame of this mark was handled, and all before it. Unlike numbers, marks do not repeat when a topic is asked for again. */
  ackMark(mark: number): void {
    const last = this.#unacked.findLastIndex((frame) => frame.mark <= mark);
    this.ackedN = Math.max(this.ackedN, this.#unacked[last]?.n ?? 0);
    this.#forget(last);
  }

  ackAll(): void {
    this.ackedN = this.sentN;
    this.#unacked = [];
    this.#length = 0;
  }

  /** What was sent and not acked was lost on the way, and is due again. */
  rewind(): void {
    if (this.#unacked.some(({ isSnapshot }) => isSnapshot)) this.due = "snapshot";
    this.sentN = this.ackedN;
    this.ackAll();
  }

  #forget(last: number): void {
    this.#unacked = this.#unacked.slice(last + 1);
    this.#length = this.#unacked.reduce((sum, frame) => sum + frame.length, 0);
  }

  #note(frame: Unacked): void {
    this.#unacked.push(frame);
    this.#length += frame.length;
  }
}
