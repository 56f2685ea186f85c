import { rfc3339 } from "../events/rfc3339.ts";
import type { Position } from "./position.ts";
import { type ErrorFrame, formatSeq, type Topic } from "./protocol.ts";
import { MAX_BEHIND_WITHOUT_ACKS, MAX_WAITING_FRAMES, type Reader, type Room } from "./reader.ts";
import type { TopicLog } from "./topic-log.ts";
import type { TopicTable } from "./topic-table.ts";

/** One frame on its way to one reader. */
export interface Outgoing {
  readonly to: string;
  readonly text: string;
  /** The topic's place it brings the reader to; null for answers that are not part of a topic's stream. */
  readonly place: Place | null;
}

/** A frame of a topic on its way. */
export interface Place {
  readonly topic: Topic;
  /** Larger for each frame sent to anybody. */
  readonly mark: number;
}

/** What was sent since the hub woke, to sockets; other hubs count what they send themselves. */
export interface Sent {
  frames: number;
  gaps: number;
  /** Deltas that were never sent because a snapshot took their place. */
  conflated: number;
}

/** Decides what each reader is sent now, and collects it. */
export class Delivery {
  readonly sent: Sent = { frames: 0, gaps: 0, conflated: 0 };
  #table: TopicTable;
  /** Readers that never ack and have something due in a while. */
  #blocked = new Set<Reader>();
  /** Readers that never ack and have something due once they are heard of. */
  readonly #unheard = new Set<Reader>();
  #outbox: Outgoing[] = [];
  #mark = 0;

  constructor(table: TopicTable) {
    this.#table = table;
  }

  /** From now on frames come from these logs. */
  use(table: TopicTable): void {
    this.#table = table;
  }

  /** The frames to send, in order. They are not given out again. */
  takeOutbox(): readonly Outgoing[] {
    const outbox = this.#outbox;
    this.#outbox = [];
    return outbox;
  }

  /** Sends an answer that is no part of a topic. */
  answer(id: string, text: string): void {
    this.#outbox.push({ to: id, text, place: null });
  }

  /** Sends an error to one reader. */
  refuse(id: string, error: ErrorFrame): void {
    this.answer(id, JSON.stringify(error));
  }

  forget(reader: Reader): void {
    this.#blocked.delete(reader);
    this.#unheard.delete(reader);
  }

  /** When somebody has room again; null when nobody waits for that. */
  get nextRoomMs(): number | null {
    let next: number | null = null;
    for (const { nextRoomMs } of this.#blocked) if (next === null || nextRoomMs < next) next = nextRoomMs;
    return next;
  }

  /** Readers that get nothing more until they are heard of. */
  get unheard(): ReadonlySet<Reader> {
    return this.#unheard;
  }

  /** A reader said something: if that is what it waits for, it goes on. */
  heard(reader: Reader, nowMs: number): void {
    if (this.#unheard.delete(reader)) this.serve(reader, nowMs);
  }

  /** Serves those that waited for room. */
  serveBlocked(nowMs: number): void {
    const blocked = this.#blocked;
    this.#blocked = new Set();
    for (const reader of blocked) this.serve(reader, nowMs);
  }

  serveAll(log: TopicLog, nowMs: number): void {
    for (const reader of this.#table.readersOf(log.topic)) this.serve(reader, nowMs);
  }

  /** Sends a reader what it may have now. A topic that was sent moves to the end, so the loop comes round to it again until nothing more may go. */
  serve(reader: Reader, nowMs: number): void {
    for (const [topic, position] of reader.topics) {
      const log = this.#table.logOf(topic);
      if (log !== undefined) this.#sendNext(reader, position, log, nowMs);
    }
  }

  /** Sends all deltas that a reader has missed, in one burst. */
  replay(reader: Reader, log: TopicLog, position: Position, after: string, nowMs: number): void {
    const missed = log.framesAfterSeq(after) ?? [];
    for (const { text } of missed) this.#send(reader, log.topic, text, nowMs);
    const length = missed.reduce((sum, { text }) => sum + text.length, 0);
    // `after` says that everything up to there was handled, which is as good as an ack; what is not acked of the burst is its length.
    if (length > 0) position.sentDeltas(position.sentN, length, this.#mark);
  }

  /** Sends one frame of a topic, if one is due and there is room. */
  #sendNext(reader: Reader, position: Position, log: TopicLog, nowMs: number): void {
    if (position.due === "refresh" || (position.due === "deltas" && position.sentN >= log.n)) return;
    const room = reader.room(position, nowMs);
    if (position.due === "deltas" && isLost(position, log, room)) skip(position, "gap");
    // Its few frames are better spent on what is true now than on catching up; nothing is lost to it, so there is no gap.
    const isBehind = room === "later" && log.n - position.sentN > MAX_BEHIND_WITHOUT_ACKS;
    if (position.due === "deltas" && isBehind) skip(position, "snapshot");
    // A reader without room hears of its gap at once; the snapshot waits until it was heard of.
    const isUrgent = position.due === "gap" && room === "when heard";
    if (room === "now" || isUrgent) this.#sendDue(reader, position, log, nowMs);
    else if (room === "later") this.#blocked.add(reader);
    else if (!reader.acks) this.#unheard.add(reader);
  }

  #sendDue(reader: Reader, position: Position, log: TopicLog, nowMs: number): void {
    switch (position.due) {
      case "gap":
        return this.#sendGap(reader, position, log, nowMs);
      case "snapshot":
        return this.#sendSnapshot(reader, position, log, nowMs);
      case "deltas":
        return this.#sendDelta(reader, position, log, nowMs);
      case "refresh":
        return undefined;
    }
  }

  #sendGap(reader: Reader, position: Position, log: TopicLog, nowMs: number): void {
    position.due = "snapshot";
    if (!reader.isNode) this.sent.gaps += 1;
    const text = JSON.stringify({ type: "gap", topic: log.topic, seq: formatSeq(log.epoch, log.n) });
    this.#send(reader, log.topic, text, nowMs);
  }

  #sendDelta(reader: Reader, position: Position, log: TopicLog, nowMs: number): void {
    const frame = log.frameAfter(position.sentN);
    if (frame === null) return;
    const mark = this.#send(reader, log.topic, frame.text, nowMs);
    position.sentDeltas(frame.n, frame.text.length, mark);
  }

  #sendSnapshot(reader: Reader, position: Position, log: TopicLog, nowMs: number): void {
    const base = log.takeBase(nowMs);
    if (base === null) return;
    if (!reader.isNode) this.sent.conflated += Math.max(0, base.n - (position.skippedFrom ?? base.n));
    position.skippedFrom = null;
    const { topic } = log;
    const head = { type: "snapshot", topic, seq: formatSeq(log.epoch, base.n), server_time: rfc3339(nowMs) };
    const text = `${JSON.stringify(head).slice(0, -1)},"data":${base.data}}`;
    const mark = this.#send(reader, topic, text, nowMs);
    position.sentSnapshot(base.n, text.length, mark);
  }

  /** @returns the frame's mark */
  #send(reader: Reader, topic: Topic, text: string, nowMs: number): number {
    reader.noteSent(topic, text.length, nowMs);
    if (!reader.isNode) this.sent.frames += 1;
    this.#mark += 1;
    this.#outbox.push({ to: reader.id, text, place: { topic, mark: this.#mark } });
    return this.#mark;
  }
}

/** From here on deltas are left out. */
function skip(position: Position, due: "gap" | "snapshot"): void {
  position.skippedFrom = position.sentN;
  position.due = due;
}

/** Whether a reader can no longer go on from its place: the next delta is gone, or too many wait for a reader without room. */
function isLost(position: Position, log: TopicLog, room: Room): boolean {
  return (
    log.frameAfter(position.sentN) === null || (room === "when heard" && log.n - position.sentN > MAX_WAITING_FRAMES)
  );
}
