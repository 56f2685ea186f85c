import type { Position } from "./position.ts";
import type { Topic } from "./protocol.ts";

/** Frames that may wait for a slow reader; with more waiting they are dropped and a snapshot follows, which is shorter and fresher. */
export const MAX_WAITING_FRAMES = 8;
/** Frames of a topic that may wait for a reader that never acks; with more it gets a snapshot instead of them. */
export const MAX_BEHIND_WITHOUT_ACKS = 2;
/** Frames in any one second to a reader that never acked: nobody knows whether it keeps up. */
const UNACKED_FRAMES_PER_SECOND = 4;
/** Characters sent to a reader that never acks since it last said anything (a ping will do). Then it gets no more until it does. */
export const MAX_UNHEARD_LENGTH = 1_048_576;
/** Characters that it may be sent even while the unheard of all readers together are MAX_UNHEARD_TOTAL or more. */
export const MIN_UNHEARD_LENGTH = 65_536;
/** A quarter of an object's 128 MB. */
export const MAX_UNHEARD_TOTAL = 33_554_432;
/** Frames a reader may send in a burst, and per second in the long run: acks of ten full topics are 40. */
const INCOMING_BURST = 200;
const INCOMING_PER_SECOND = 100;

/** Whether a frame may be sent: now, in a while, or only after the reader has been heard of. */
export type Room = "now" | "later" | "when heard";

/** Characters sent to all readers that never ack since each was last heard of. */
export interface Unheard {
  length: number;
}

/** What the hub knows of one reader: a socket, or another hub that passes frames on to its own sockets. */
export class Reader {
  readonly id: string;
  readonly isNode: boolean;
  /** In the order of their turns. */
  readonly topics = new Map<Topic, Position>();
  /** Whether it ever acked: then acks pace it. */
  acks: boolean;
  readonly #all: Unheard;
  #recentMs: number[] = [];
  #unheardLength = 0;
  #heardAtMs: number;
  #credit = INCOMING_BURST;
  #creditedAtMs: number;

  constructor(id: string, { acks, isNode = false }: { acks: boolean; isNode?: boolean }, all: Unheard, nowMs: number) {
    this.id = id;
    this.isNode = isNode;
    this.acks = acks;
    this.#all = all;
    this.#heardAtMs = nowMs;
    this.#creditedAtMs = nowMs;
  }

  /** When it last said anything, epoch ms. */
  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  /** Whether one more frame of a topic may be sent. */
  room(position: Position, nowMs: number): Room {
    if (this.acks) return position.hasRoom ? "now" : "when heard";
    if (this.isUnheard) return "when heard";
    return nowMs >= this.nextRoomMs ? "now" : "later";
  }

  /** Whether it has been sent all that a reader may be that says nothing. */
  get isUnheard(): boolean {
    if (this.acks || this.#unheardLength < MIN_UNHEARD_LENGTH) return false;
    return this.#unheardLength >= MAX_UNHEARD_LENGTH || this.#all.length >= MAX_UNHEARD_TOTAL;
  }

  /** When a reader that never acks may get its next frame, epoch ms. */
  get nextRoomMs(): number {
    const oldest = this.#recentMs[0];
    const isFull = this.#recentMs.length >= UNACKED_FRAMES_PER_SECOND;
    return isFull && oldest !== undefined ? oldest + 1_000 : Number.NEGATIVE_INFINITY;
  }

  /** Counts a frame sent, and puts its topic last in turn. @param length in characters */
  noteSent(topic: Topic, length: number, nowMs: number): void {
    const position = this.topics.get(topic);
    if (position !== undefined && this.topics.delete(topic)) this.topics.set(topic, position);
    if (this.acks) return;
    this.#unheardLength += length;
    this.#all.length += length;
    this.#recentMs = [...this.#recentMs, nowMs].slice(-UNACKED_FRAMES_PER_SECOND);
  }

  /** It said something, so it lives: what it was sent before counts as read. */
  heard(atMs: number): void {
    this.#heardAtMs = Math.max(this.#heardAtMs, atMs);
    this.#all.length -= this.#unheardLength;
    this.#unheardLength = 0;
  }

  /** Counts one frame from the client. @returns false when it sends more than any honest client would */
  admit(nowMs: number): boolean {
    const refill = (Math.max(0, nowMs - this.#creditedAtMs) / 1_000) * INCOMING_PER_SECOND;
    this.#credit = Math.min(INCOMING_BURST, this.#credit + refill) - 1;
    this.#creditedAtMs = nowMs;
    return this.#credit >= 0;
  }
}
