import { type Due, Position } from "./position.ts";
import type { PublishedFrame, Topic } from "./protocol.ts";
import type { Reader } from "./reader.ts";
import { RETAIN_MS, TopicLog } from "./topic-log.ts";

interface Entry {
  readonly log: TopicLog;
  readonly readers: Set<Reader>;
  /** When the last reader left, epoch ms; null while there is one. */
  emptySinceMs: number | null;
}

/** The topics somebody follows, or left so lately that a reader may come back to its place; who follows, and where they stand. */
export class TopicTable {
  readonly #epoch: string;
  readonly #isRepeating: boolean;
  readonly #entries = new Map<Topic, Entry>();
  #highestN = 0;

  /** @param isRepeating its logs get their numbers from another table's, from the first frame on */
  constructor(epoch: string, isRepeating = false) {
    this.#epoch = epoch;
    this.#isRepeating = isRepeating;
  }

  /** The topics' names, sorted. */
  get topics(): Topic[] {
    return [...this.#entries.keys()].sort();
  }

  get logs(): TopicLog[] {
    return [...this.#entries.values()].map((entry) => entry.log);
  }

  logOf(topic: Topic): TopicLog | undefined {
    return this.#entries.get(topic)?.log;
  }

  readersOf(topic: Topic): Reader[] {
    return [...(this.#entries.get(topic)?.readers ?? [])];
  }

  /** Puts a reader at the end of a topic, which is made when it is new. */
  follow(reader: Reader, topic: Topic, due: Due): { log: TopicLog; position: Position } {
    const entry = this.#entries.get(topic) ?? this.#make(topic);
    entry.readers.add(reader);
    entry.emptySinceMs = null;
    const { log } = entry;
    const position = new Position(log.n, due);
    reader.topics.set(topic, position);
    return { log, position };
  }

  unfollow(reader: Reader, topic: Topic, nowMs: number): void {
    reader.topics.delete(topic);
    const entry = this.#entries.get(topic);
    if (entry === undefined || !entry.readers.delete(reader)) return;
    if (entry.readers.size === 0) entry.emptySinceMs = nowMs;
  }

  publish(frame: PublishedFrame): void {
    this.#entries.get(frame.topic)?.log.publish(frame);
  }

  /** Makes deltas of the changes whose time has come. @returns their logs */
  issue(nowMs: number): TopicLog[] {
    const issued = this.logs.filter((log) => log.issue(nowMs));
    for (const log of issued) this.#highestN = Math.max(this.#highestN, log.n);
    return issued;
  }

  forget(topic: Topic): void {
    this.#entries.delete(topic);
  }

  /** Forgets topics that were left more than RETAIN_MS ago: nobody can resume them any more. */
  forgetAbandoned(nowMs: number): void {
    for (const [topic, { emptySinceMs }] of this.#entries) {
      if (emptySinceMs !== null && nowMs - emptySinceMs > RETAIN_MS) this.#entries.delete(topic);
    }
  }

  /** A topic that was forgotten missed changes, so its numbers go on above any it had: no old `after` may fit by accident. */
  #make(topic: Topic): Entry {
    this.#highestN += 1;
    const entry = {
      log: new TopicLog(topic, this.#epoch, this.#isRepeating ? 0 : this.#highestN),
      readers: new Set<Reader>(),
      emptySinceMs: null,
    };
    this.#entries.set(topic, entry);
    return entry;
  }
}
