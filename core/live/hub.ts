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
 *
 * Sockets beyond one object's limit go to nodes: hubs of the same kind that are readers of this one. A node repeats the
 * frames it gets, by their numbers, so a socket may come back at another node with the seq it has.
 */

import { Delivery, type Outgoing, type Place, type Sent } from "./delivery.ts";
import { isTopic, MAX_TOPICS_PER_SOCKET, parseSeq, PONG_TEXT } from "./protocol.ts";
import type { ClientFrame, ErrorFrame, PublishedFrame, ServerFrame, Topic, TopicSnapshot } from "./protocol.ts";
import { Reader } from "./reader.ts";
import { TopicTable } from "./topic-table.ts";

export type { Outgoing } from "./delivery.ts";

/** Topics that the readers of one node may follow together. */
const MAX_TOPICS_PER_NODE = 1_024;

/** What of a socket must survive the hub's sleep. */
export interface ReaderState {
  readonly acks: boolean;
  readonly topics: readonly Topic[];
}

/** Readers, topics, and what is on its way between them. Times are epoch ms; what must be sent is taken with `takeOutbox`. */
export class Hub {
  #epoch: string;
  #table: TopicTable;
  readonly #readers = new Map<string, Reader>();
  readonly #delivery: Delivery;
  readonly #unheard = { length: 0 };
  #ended = new Set<string>();

  /** @param epoch different for each life of the hub: letters and digits; empty for a node that has not been told yet */
  constructor(epoch: string) {
    this.#epoch = epoch;
    this.#table = new TopicTable(epoch, epoch === "");
    this.#delivery = new Delivery(this.#table);
  }

  get epoch(): string {
    return this.#epoch;
  }

  /** Sent to sockets since the hub woke. */
  get sent(): Readonly<Sent> {
    return this.#delivery.sent;
  }

  /** Adds a socket. @param restored the state of one that outlived the last life of the hub */
  join(id: string, nowMs: number, restored: ReaderState = { acks: false, topics: [] }): void {
    const reader = new Reader(id, { acks: restored.acks }, this.#unheard, nowMs);
    this.#readers.set(id, reader);
    for (const topic of restored.topics) this.#table.follow(reader, topic, "refresh");
  }

  /** Adds a node, unless it is there. What it was sent is acked by `delivered`, or given up by `rewind`. */
  joinNode(id: string, nowMs: number): void {
    if (!this.#readers.has(id))
      this.#readers.set(id, new Reader(id, { acks: true, isNode: true }, this.#unheard, nowMs));
  }

  leave(id: string, nowMs: number): void {
    const reader = this.#readers.get(id);
    if (reader === undefined) return;
    for (const topic of reader.topics.keys()) this.#table.unfollow(reader, topic, nowMs);
    this.#readers.delete(id);
    this.#delivery.forget(reader);
    reader.heard(nowMs);
  }

  stateOf(id: string): ReaderState | null {
    const reader = this.#readers.get(id);
    return reader === undefined ? null : { acks: reader.acks, topics: [...reader.topics.keys()].sort() };
  }

  /** Counts a frame from a socket. @returns false when the socket should be closed for flooding */
  admit(id: string, nowMs: number): boolean {
    const reader = this.#readers.get(id);
    if (reader === undefined) return false;
    this.heardOf(id, nowMs, nowMs);
    return reader.admit(nowMs);
  }

  /** Notes that a socket said something at `atMs`, though not to the hub: a ping that the platform answered. */
  heardOf(id: string, atMs: number, nowMs: number): void {
    const reader = this.#readers.get(id);
    if (reader === undefined || atMs < reader.heardAtMs) return;
    reader.heard(atMs);
    this.#delivery.heard(reader, nowMs);
  }

  /** Sockets that get nothing more until they are heard of, and when that was last, epoch ms. */
  unheard(): { id: string; heardAtMs: number }[] {
    return [...this.#delivery.unheard].map(({ id, heardAtMs }) => ({ id, heardAtMs }));
  }

  /** Handles what a client sent. */
  receive(id: string, frame: ClientFrame, nowMs: number): void {
    const reader = this.#readers.get(id);
    if (reader === undefined) return;
    if (frame.type === "subscribe") this.#subscribe(reader, frame.topic, frame.after, nowMs);
    else if (frame.type === "unsubscribe") this.#table.unfollow(reader, frame.topic, nowMs);
    else if (frame.type === "ping") this.#delivery.answer(id, PONG_TEXT);
    else this.#ack(reader, frame.topic, frame.seq, nowMs);
  }

  /** A node has these frames. */
  delivered(id: string, places: readonly Place[], nowMs: number): void {
    const reader = this.#readers.get(id);
    if (reader === undefined) return;
    for (const { topic, mark } of places) reader.topics.get(topic)?.ackMark(mark);
    this.#delivery.serve(reader, nowMs);
  }

  /** Whether a node got the frames it was sent last is not known, so they are sent again. */
  rewind(id: string, nowMs: number): void {
    const reader = this.#readers.get(id);
    if (reader === undefined) return;
    for (const position of reader.topics.values()) position.rewind();
    this.#delivery.serve(reader, nowMs);
  }

  /** Takes changes from a source. Those of topics that nobody follows are dropped. */
  publish(frames: readonly PublishedFrame[], nowMs: number): void {
    for (const frame of frames) this.#table.publish(frame);
    this.tick(nowMs);
  }

  /**
   * A node learns its root's epoch. One that had another sends all its readers a snapshot: frames may have been lost with the
   * root. One that just woke goes on: its readers have all there was. @returns whether the epoch is new here
   */
  adopt(epoch: string, nowMs: number): boolean {
    if (epoch === this.#epoch) return false;
    const isAwake = this.#epoch !== "";
    this.#epoch = epoch;
    this.#table = new TopicTable(epoch, true);
    this.#delivery.use(this.#table);
    for (const reader of this.#readers.values()) {
      for (const [topic, { due }] of reader.topics) {
        this.#table.follow(reader, topic, due === "refresh" && !isAwake ? "refresh" : "snapshot");
      }
      this.#delivery.serve(reader, nowMs);
    }
    return true;
  }

  /** A node that woke, or whose root did, follows what it followed. @param missed topics that changed before the root knew */
  resume(id: string, topics: readonly Topic[], missed: ReadonlySet<Topic>, nowMs: number): void {
    const reader = this.#readers.get(id);
    if (reader === undefined) return;
    for (const topic of topics.filter((one) => !reader.topics.has(one)).slice(0, MAX_TOPICS_PER_NODE)) {
      this.#table.follow(reader, topic, missed.has(topic) ? "snapshot" : "refresh");
    }
    this.#delivery.serve(reader, nowMs);
  }

  /** A node follows these topics and no others. */
  keepOnly(id: string, topics: readonly Topic[], nowMs: number): void {
    const reader = this.#readers.get(id);
    const kept = new Set(topics);
    if (reader === undefined) return;
    for (const topic of reader.topics.keys()) if (!kept.has(topic)) this.#table.unfollow(reader, topic, nowMs);
  }

  /** A node takes a frame from its root, and repeats it. @param text the frame as it came */
  repeat(frame: ServerFrame, text: string, nowMs: number): void {
    if (frame.type === "pong") return;
    if (frame.type === "error") {
      this.#repeatError(frame, nowMs);
      return;
    }
    const { topic } = frame;
    const log = this.#table.logOf(topic);
    const n = parseSeq(frame.seq)?.n;
    // A gap needs nothing: its snapshot is on the way, and shows that something is missing.
    if (log === undefined || n === undefined || frame.type === "gap") return;
    if (frame.type === "snapshot") log.rebase({ n, data: JSON.stringify(frame.data), atMs: nowMs });
    else if (!log.append({ n, text, atMs: nowMs })) return;
    this.#wake(topic);
    this.#delivery.serveAll(log, nowMs);
  }

  /** A node's questions that were not answered yet are asked again. */
  askAgain(): void {
    for (const log of this.#table.logs) log.askAgain();
  }

  /** Sends what has become due. Who waited longest comes first. */
  tick(nowMs: number): void {
    this.#table.forgetAbandoned(nowMs);
    this.#delivery.serveBlocked(nowMs);
    for (const log of this.#table.issue(nowMs)) {
      this.#wake(log.topic);
      this.#delivery.serveAll(log, nowMs);
    }
  }

  /** When `tick` should be called next; null when only a frame from somewhere can make something due. */
  nextTickMs(): number | null {
    const topicTimes = this.#table.logs.flatMap((log) => [log.dueAtMs, log.retryAtMs]);
    const times = [...topicTimes, this.#delivery.nextRoomMs].filter((at) => at !== null);
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
      this.#delivery.serveAll(log, nowMs);
      return;
    }
    for (const reader of this.#table.readersOf(topic)) {
      this.refuse(reader.id, { type: "error", error: "not_found", message: `There is no topic ${topic}.`, topic });
      this.#table.unfollow(reader, topic, nowMs);
      this.#ended.add(reader.id);
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
    this.#delivery.refuse(id, error);
  }

  /** Topics that sources should report: those followed, and those left so lately that a reader may come back. Sorted. */
  followedTopics(nowMs: number): Topic[] {
    this.#table.forgetAbandoned(nowMs);
    return this.#table.topics;
  }

  /** The frames to send, in order. They are not given out again. */
  takeOutbox(): readonly Outgoing[] {
    return this.#delivery.takeOutbox();
  }

  /** Readers whose state changed without their doing: a topic they followed does not exist. They are not given out again. */
  takeEnded(): string[] {
    if (this.#ended.size === 0) return [];
    const ended = [...this.#ended];
    this.#ended = new Set();
    return ended;
  }

  #subscribe(reader: Reader, topic: Topic, after: string | undefined, nowMs: number): void {
    const limit = reader.isNode ? MAX_TOPICS_PER_NODE : MAX_TOPICS_PER_SOCKET;
    if (!reader.topics.has(topic) && reader.topics.size >= limit) {
      const message = `A socket may follow ${limit} topics.`;
      this.refuse(reader.id, { type: "error", error: "too_many_requests", message, topic });
      return;
    }
    const { log, position } = this.#table.follow(reader, topic, "snapshot");
    if (after !== undefined && log.framesAfterSeq(after) !== null) {
      position.due = "deltas";
      this.#delivery.replay(reader, log, position, after, nowMs);
    }
    this.#delivery.serve(reader, nowMs);
  }

  #ack(reader: Reader, topic: Topic, seq: string, nowMs: number): void {
    if (!reader.acks) startAcking(reader, nowMs);
    const position = reader.topics.get(topic);
    const acked = parseSeq(seq);
    if (position === undefined || acked === null) return;
    if (acked.epoch === this.#epoch) position.ack(acked.n);
    // Only a reader that was behind acks a frame of a life that ended: it may have missed what came after.
    else if (position.due === "refresh") position.due = "snapshot";
    this.#delivery.serve(reader, nowMs);
  }

  #repeatError({ topic, error }: ErrorFrame, nowMs: number): void {
    if (!isTopic(topic)) return;
    if (error === "not_found") this.fetched(topic, null, nowMs);
    else this.fetchFailed(topic, nowMs);
  }

  /** Something changed, so readers from an earlier life of the hub start again. */
  #wake(topic: Topic): void {
    for (const reader of this.#table.readersOf(topic)) {
      const position = reader.topics.get(topic);
      if (position?.due === "refresh") position.due = "snapshot";
    }
  }
}

/** From now on acks pace this reader; what it got before counts as handled. */
function startAcking(reader: Reader, nowMs: number): void {
  reader.heard(nowMs);
  reader.acks = true;
  for (const position of reader.topics.values()) position.ackAll();
}
