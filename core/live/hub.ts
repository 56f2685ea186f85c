/**
 * The live hub without sockets, clock or sources: who follows what, and what to send to whom now.
 *
 * Problem: a page needs numbers that are right after any loss, and one slow page must neither fill memory nor slow the
 * others down.
 * Rule: every topic is a numbered log of merged deltas (topic-log.ts) that all readers share; a reader is only a position
 * in it. A reader starts from a snapshot that was asked for when the log stood at n, and gets the deltas after n: whatever
 * else the snapshot holds comes once more and changes nothing. A reader too slow for the log loses its place, is told so
 * (`gap`), and starts again from a snapshot.
 * Not a queue per reader: its size would have to be bounded, and dropping from it leads to the same snapshot.
 */

import { formatSeq, MAX_TOPICS_PER_SOCKET, parseSeq, PONG_TEXT } from "./protocol.ts";
import type { ClientFrame, ErrorFrame, PublishedFrame, Topic, TopicSnapshot } from "./protocol.ts";
import { MAX_BEHIND_WITHOUT_ACKS, MAX_WAITING_FRAMES, Reader } from "./reader.ts";
import type { Position } from "./reader.ts";
import type { TopicLog } from "./topic-log.ts";
import { TopicTable } from "./topic-table.ts";

/** One frame on its way to one socket. */
export interface Outgoing {
  readonly to: string;
  readonly text: string;
}

/** What of a socket must survive the hub's sleep. */
export interface ReaderState {
  readonly acks: boolean;
  readonly topics: readonly Topic[];
}

export class Hub {
  readonly #epoch: string;
  readonly #readers = new Map<string, Reader>();
  readonly #table: TopicTable;
  /** Readers that never ack and have something due. */
  #blocked = new Set<Reader>();
  #outbox: Outgoing[] = [];

  /** @param epoch different for each life of the hub: letters and digits */
  constructor(epoch: string) {
    this.#epoch = epoch;
    this.#table = new TopicTable(epoch);
  }

  /** Adds a socket. @param restored the state of one that outlived the last life of the hub */
  join(id: string, nowMs: number, restored: ReaderState = { acks: false, topics: [] }): void {
    const reader = new Reader(id, restored.acks, nowMs);
    this.#readers.set(id, reader);
    for (const topic of restored.topics) {
      const { n } = this.#table.follow(reader, topic);
      reader.topics.set(topic, { sentN: n, ackedN: n, due: "refresh" });
    }
  }

  leave(id: string, nowMs: number): void {
    const reader = this.#readers.get(id);
    if (reader === undefined) return;
    for (const topic of reader.topics.keys()) this.#table.unfollow(reader, topic, nowMs);
    this.#readers.delete(id);
    this.#blocked.delete(reader);
  }

  stateOf(id: string): ReaderState | null {
    const reader = this.#readers.get(id);
    return reader === undefined ? null : { acks: reader.acks, topics: [...reader.topics.keys()].sort() };
  }

  /** Counts a frame from a socket. @returns false when the socket should be closed for flooding */
  admit(id: string, nowMs: number): boolean {
    return this.#readers.get(id)?.admit(nowMs) ?? false;
  }

  /** Handles what a client sent. */
  receive(id: string, frame: ClientFrame, nowMs: number): void {
    const reader = this.#readers.get(id);
    if (reader === undefined) return;
    if (frame.type === "subscribe") this.#subscribe(reader, frame.topic, frame.after, nowMs);
    else if (frame.type === "unsubscribe") this.#unfollow(reader, frame.topic, nowMs);
    else if (frame.type === "ping") this.#outbox.push({ to: id, text: PONG_TEXT });
    else this.#ack(reader, frame.topic, frame.seq, nowMs);
  }

  /** Takes changes from a source. Those of topics that nobody follows are dropped. */
  publish(frames: readonly PublishedFrame[], nowMs: number): void {
    for (const frame of frames) this.#table.publish(frame);
    this.tick(nowMs);
  }

  /** Sends what has become due. Who waited longest comes first. */
  tick(nowMs: number): void {
    this.#table.forgetAbandoned(nowMs);
    const blocked = this.#blocked;
    this.#blocked = new Set();
    for (const reader of blocked) this.#serve(reader, nowMs);
    for (const log of this.#table.issue(nowMs)) {
      this.#wake(log.topic);
      this.#advanceAll(log, nowMs);
    }
  }

  /** When `tick` should be called next; null when only a frame from somewhere can make something due. */
  nextTickMs(): number | null {
    const topicTimes = this.#table.logs.flatMap((log) => [log.dueAtMs, log.retryAtMs]);
    const readerTimes = [...this.#blocked].map((reader) => reader.nextRoomMs);
    const times = [...topicTimes, ...readerTimes].filter((at) => at !== null);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** Topics whose snapshots are to be fetched now; each is answered by `fetched` or `fetchFailed`. */
  takeRequests(nowMs: number): Topic[] {
    return this.#table.logs.filter((log) => log.takeRequest(nowMs)).map((log) => log.topic);
  }

  /** A source's answer; null means that it has no such topic, which ends its subscriptions. */
  fetched(topic: Topic, data: TopicSnapshot | null, nowMs: number): void {
    const log = this.#table.logOf(topic);
    if (log === undefined) return;
    if (data !== null) {
      log.fetched(data, nowMs);
      this.#advanceAll(log, nowMs);
      return;
    }
    for (const reader of this.#table.readersOf(topic)) {
      this.refuse(reader.id, { type: "error", error: "not_found", message: `There is no topic ${topic}.`, topic });
      this.#unfollow(reader, topic, nowMs);
    }
    this.#table.forget(topic);
  }

  /** A source did not answer: it is asked again later. */
  fetchFailed(topic: Topic, nowMs: number): void {
    const isFirst = this.#table.logOf(topic)?.fetchFailed(nowMs) ?? false;
    if (!isFirst) return;
    const message = "The state cannot be had right now; it will follow.";
    for (const reader of this.#table.readersOf(topic)) {
      if (reader.topics.get(topic)?.due !== "snapshot") continue;
      this.refuse(reader.id, { type: "error", error: "unavailable", message, topic });
    }
  }

  /** Sends an error to one socket. */
  refuse(id: string, error: ErrorFrame): void {
    this.#outbox.push({ to: id, text: JSON.stringify(error) });
  }

  /** Topics that sources should report: those followed, and those left so lately that a reader may come back. Sorted. */
  followedTopics(nowMs: number): Topic[] {
    this.#table.forgetAbandoned(nowMs);
    return this.#table.topics;
  }

  /** The frames to send, in order. They are not given out again. */
  takeOutbox(): readonly Outgoing[] {
    const outbox = this.#outbox;
    this.#outbox = [];
    return outbox;
  }

  #subscribe(reader: Reader, topic: Topic, after: string | undefined, nowMs: number): void {
    if (!reader.topics.has(topic) && reader.topics.size >= MAX_TOPICS_PER_SOCKET) {
      const message = `A socket may follow ${MAX_TOPICS_PER_SOCKET} topics.`;
      this.refuse(reader.id, { type: "error", error: "too_many_requests", message, topic });
      return;
    }
    const log = this.#table.follow(reader, topic);
    const missed = after === undefined ? null : log.framesAfterSeq(after);
    reader.topics.set(topic, { sentN: log.n, ackedN: log.n, due: missed === null ? "snapshot" : "deltas" });
    // A replay goes out in one burst: `after` says that everything up to there was handled, which is as good as an ack.
    for (const { text } of missed ?? []) this.#send(reader, topic, text, nowMs);
    this.#serve(reader, nowMs);
  }

  #unfollow(reader: Reader, topic: Topic, nowMs: number): void {
    reader.topics.delete(topic);
    this.#table.unfollow(reader, topic, nowMs);
  }

  #ack(reader: Reader, topic: Topic, seq: string, nowMs: number): void {
    if (!reader.acks) startAcking(reader);
    const position = reader.topics.get(topic);
    const acked = parseSeq(seq);
    if (position === undefined || acked === null) return;
    if (acked.epoch === this.#epoch) position.ackedN = Math.max(position.ackedN, Math.min(acked.n, position.sentN));
    // Only a reader that was behind acks a frame of a life that ended: it may have missed what came after.
    else if (position.due === "refresh") position.due = "snapshot";
    this.#serve(reader, nowMs);
  }

  /** Something changed, so readers from an earlier life of the hub start again. */
  #wake(topic: Topic): void {
    for (const reader of this.#table.readersOf(topic)) {
      const position = reader.topics.get(topic);
      if (position?.due === "refresh") position.due = "snapshot";
    }
  }

  #advanceAll(log: TopicLog, nowMs: number): void {
    for (const reader of this.#table.readersOf(log.topic)) this.#serve(reader, nowMs);
  }

  /** Sends a reader what it may have now. A topic that was sent moves to the end, so the loop comes round to it again until nothing more may go. */
  #serve(reader: Reader, nowMs: number): void {
    for (const [topic, position] of reader.topics) {
      const log = this.#table.logOf(topic);
      if (log !== undefined) this.#sendNext(reader, position, log, nowMs);
    }
  }

  /** Sends one frame of a topic, if one is due and there is room. */
  #sendNext(reader: Reader, position: Position, log: TopicLog, nowMs: number): void {
    if (position.due === "refresh" || (position.due === "deltas" && position.sentN >= log.n)) return;
    const hasRoom = reader.hasRoom(position, nowMs);
    if (position.due === "deltas" && isLost(position, log, hasRoom)) position.due = "gap";
    // Its few frames are better spent on what is true now than on catching up; nothing is lost to it, so there is no gap.
    const isBehind = !reader.acks && !hasRoom && log.n - position.sentN > MAX_BEHIND_WITHOUT_ACKS;
    if (position.due === "deltas" && isBehind) position.due = "snapshot";
    // A reader that acks hears of its gap at once; the snapshot waits until it has caught up.
    const isUrgent = position.due === "gap" && reader.acks;
    if (hasRoom || isUrgent) this.#sendDue(reader, position, log, nowMs);
    else if (!reader.acks) this.#blocked.add(reader);
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
    const seq = formatSeq(this.#epoch, log.n);
    this.#send(reader, log.topic, JSON.stringify({ type: "gap", topic: log.topic, seq }), nowMs);
  }

  #sendDelta(reader: Reader, position: Position, log: TopicLog, nowMs: number): void {
    const frame = log.frameAfter(position.sentN);
    if (frame === null) return;
    position.sentN = frame.n;
    this.#send(reader, log.topic, frame.text, nowMs);
  }

  #sendSnapshot(reader: Reader, position: Position, log: TopicLog, nowMs: number): void {
    const base = log.takeBase(nowMs);
    if (base === null) return;
    position.sentN = base.n;
    position.ackedN = base.n;
    position.due = "deltas";
    const seq = formatSeq(this.#epoch, base.n);
    const head = JSON.stringify({
      type: "snapshot",
      topic: log.topic,
      seq,
      server_time: new Date(nowMs).toISOString(),
    });
    this.#send(reader, log.topic, `${head.slice(0, -1)},"data":${base.data}}`, nowMs);
  }

  #send(reader: Reader, topic: Topic, text: string, nowMs: number): void {
    reader.noteSent(topic, nowMs);
    this.#outbox.push({ to: reader.id, text });
  }
}

/** From now on acks pace this reader; what it got before counts as handled. */
function startAcking(reader: Reader): void {
  reader.acks = true;
  for (const position of reader.topics.values()) position.ackedN = position.sentN;
}

/** Whether a reader can no longer go on from its place: the next delta is gone, or too many wait for a reader without room. */
function isLost(position: Position, log: TopicLog, hasRoom: boolean): boolean {
  return log.frameAfter(position.sentN) === null || (!hasRoom && log.n - position.sentN > MAX_WAITING_FRAMES);
}
