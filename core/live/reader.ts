import type { Topic } from "./protocol.ts";

/** Frames a reader that acks may have unacked per topic: 8 s of a full topic, far above any healthy round trip. */
export const MAX_UNACKED_FRAMES = 32;
/** Frames that may wait for a slow reader; with more waiting they are dropped and a snapshot follows, which is shorter and fresher. */
export const MAX_WAITING_FRAMES = 8;
/** Frames of a topic that may wait for a reader that never acks; with more it gets a snapshot instead of them. */
export const MAX_BEHIND_WITHOUT_ACKS = 2;
/** Frames in any one second to a reader that never acked: nobody knows whether it keeps up. */
export const UNACKED_FRAMES_PER_SECOND = 4;
/** Frames a reader may send in a burst, and per second in the long run: acks of ten full topics are 40. */
const INCOMING_BURST = 200;
const INCOMING_PER_SECOND = 100;

/** Where a reader stands in one topic. */
export interface Position {
  /** Number of the last delta sent (or contained in the snapshot sent). */
  sentN: number;
  ackedN: number;
  /**
   * What it gets next. `refresh`: it comes from an earlier life of the hub and has all there was; it needs a snapshot
   * once something changes.
   */
  due: "deltas" | "gap" | "snapshot" | "refresh";
}

/** What the hub knows of one socket. */
export class Reader {
  readonly id: string;
  /** In the order of their turns. */
  readonly topics = new Map<Topic, Position>();
  /** Whether it ever acked: then acks pace it. */
  acks: boolean;
  #recentMs: number[] = [];
  #credit = INCOMING_BURST;
  #creditedAtMs: number;

  constructor(id: string, acks: boolean, nowMs: number) {
    this.id = id;
    this.acks = acks;
    this.#creditedAtMs = nowMs;
  }

  /** Whether one more frame of a topic may be sent now. */
  hasRoom(position: Position, nowMs: number): boolean {
    if (this.acks) return position.sentN - position.ackedN < MAX_UNACKED_FRAMES;
    return nowMs >= this.nextRoomMs;
  }

  /** When a reader that never acks may get its next frame, epoch ms. */
  get nextRoomMs(): number {
    const oldest = this.#recentMs[0];
    const isFull = this.#recentMs.length >= UNACKED_FRAMES_PER_SECOND;
    return isFull && oldest !== undefined ? oldest + 1_000 : Number.NEGATIVE_INFINITY;
  }

  /** Counts a frame sent, and puts its topic last in turn. */
  noteSent(topic: Topic, nowMs: number): void {
    const position = this.topics.get(topic);
    if (position !== undefined && this.topics.delete(topic)) this.topics.set(topic, position);
    if (this.acks) return;
    this.#recentMs = [...this.#recentMs, nowMs].slice(-UNACKED_FRAMES_PER_SECOND);
  }

  /** Counts one frame from the client. @returns false when it sends more than any honest client would */
  admit(nowMs: number): boolean {
    const refill = (Math.max(0, nowMs - this.#creditedAtMs) / 1_000) * INCOMING_PER_SECOND;
    this.#credit = Math.min(INCOMING_BURST, this.#credit + refill) - 1;
    this.#creditedAtMs = nowMs;
    return this.#credit >= 0;
  }
}
