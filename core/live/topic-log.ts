import { formatSeq, parseSeq } from "./protocol.ts";
import type { PublishedFrame, Topic, TopicSnapshot } from "./protocol.ts";
import { mergeFrames } from "./topics.ts";

/** A topic's deltas are merged to at most four a second: no eye follows more, and every reader is spared. */
export const FRAME_INTERVAL_MS = 250;
/** How long deltas are kept for readers that come back with `after`. */
export const RETAIN_MS = 60_000;
/** UTF-16 units of deltas kept per topic; beyond it the oldest go early. */
const MAX_RETAINED_LENGTH = 524_288;
/** A longer delta is not sent: a snapshot, whose size is bounded by its source, takes its place. */
export const MAX_DELTA_LENGTH = 262_144;
/** A snapshot fetched this lately serves more readers, so that 200 of them reconnecting cost one question to the source. */
export const SNAPSHOT_REUSE_MS = 1_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10_000;

/** One delta as sent to every reader. */
export interface LogFrame {
  readonly n: number;
  readonly text: string;
  readonly atMs: number;
}

/** A source's state: everything up to delta `n` is in it, perhaps more (folding a delta twice changes nothing). */
export interface Base {
  readonly n: number;
  /** JSON of the snapshot's data. */
  readonly data: string;
  readonly atMs: number;
}

/** The deltas of one topic in one epoch: what is waiting to be sent, what was sent, and the snapshot readers start from. */
export class TopicLog {
  readonly topic: Topic;
  readonly epoch: string;
  #n: number;
  #frames: LogFrame[] = [];
  #length = 0;
  #pending: PublishedFrame | null = null;
  #issuedAtMs = Number.NEGATIVE_INFINITY;
  #base: Base | null = null;
  #isWanted = false;
  #requestedAtN: number | null = null;
  #failures = 0;
  #retryAtMs = Number.NEGATIVE_INFINITY;

  /** @param startN higher than any n this topic had in this epoch, so that no old `after` fits by accident */
  constructor(topic: Topic, epoch: string, startN: number) {
    this.topic = topic;
    this.epoch = epoch;
    this.#n = startN;
  }

  /** Number of the newest delta. */
  get n(): number {
    return this.#n;
  }

  /** Takes a change; it waits until `dueAtMs`, merged with others. */
  publish(frame: PublishedFrame): void {
    this.#pending = this.#pending === null ? frame : mergeFrames(this.#pending, frame);
  }

  /** When the waiting change may go out; null when none waits. */
  get dueAtMs(): number | null {
    return this.#pending === null ? null : this.#issuedAtMs + FRAME_INTERVAL_MS;
  }

  /** Makes the waiting change the next delta, if its time has come. @returns whether it did */
  issue(nowMs: number): boolean {
    if (this.#pending === null || nowMs < this.#issuedAtMs + FRAME_INTERVAL_MS) return false;
    const { topic, data } = this.#pending;
    this.#n += 1;
    this.#pending = null;
    this.#issuedAtMs = nowMs;
    const text = JSON.stringify({ type: "delta", topic, seq: formatSeq(this.epoch, this.#n), data });
    if (text.length > MAX_DELTA_LENGTH) this.#forgetFrames();
    else this.#keep({ n: this.#n, text, atMs: nowMs });
    return true;
  }

  /** The deltas after number `n`, oldest first; null when not all of them are kept, or `n` is not of this log. */
  framesAfter(n: number): readonly LogFrame[] | null {
    const oldest = this.#n - this.#frames.length;
    return n < oldest || n > this.#n ? null : this.#frames.slice(n - oldest);
  }

  /** The delta after number `n`; null when it is not kept or there is none. */
  frameAfter(n: number): LogFrame | null {
    return this.#frames[n - this.#n + this.#frames.length] ?? null;
  }

  /** The deltas that a reader with this seq has missed; null when only a snapshot helps. */
  framesAfterSeq(after: string): readonly LogFrame[] | null {
    const seq = parseSeq(after);
    return seq === null || seq.epoch !== this.epoch ? null : this.framesAfter(seq.n);
  }

  /** The snapshot to start a reader from; null when one must be fetched first, which is noted. */
  takeBase(nowMs: number): Base | null {
    const base = this.#base;
    const isGood = base !== null && nowMs - base.atMs <= SNAPSHOT_REUSE_MS && this.framesAfter(base.n) !== null;
    if (isGood) return base;
    this.#isWanted = true;
    return null;
  }

  /** Whether a snapshot should be fetched now; if so it counts as asked for, with what is known so far surely in it. */
  takeRequest(nowMs: number): boolean {
    if (!this.#isWanted || this.#requestedAtN !== null || nowMs < this.#retryAtMs) return false;
    this.#isWanted = false;
    this.#requestedAtN = this.#n;
    return true;
  }

  /** When a failed fetch may be tried again; null when nothing waits for that. */
  get retryAtMs(): number | null {
    return this.#isWanted && this.#requestedAtN === null && this.#failures > 0 ? this.#retryAtMs : null;
  }

  fetched(data: TopicSnapshot, nowMs: number): void {
    this.#answered({ n: this.#requestedAtN ?? this.#n, data: JSON.stringify(data), atMs: nowMs });
  }

  /** As `issue`, for a delta that another log has numbered. One that is here already is left out. @returns whether it was new */
  append(frame: LogFrame): boolean {
    if (frame.n <= this.#n) return false;
    // What came between was lost, so nobody can be led past it.
    if (frame.n !== this.#n + 1) this.#forgetFrames();
    this.#n = frame.n;
    this.#keep(frame);
    return true;
  }

  /** Gives up a question that is not answered yet. Only where answers carry their number (`rebase`) may an old one still come. */
  askAgain(): void {
    if (this.#requestedAtN === null) return;
    this.#requestedAtN = null;
    this.#isWanted = true;
  }

  /** As `fetched`, for a snapshot that another log has numbered. */
  rebase(base: Base): void {
    const isOnTheWay = base.n <= this.#n && this.framesAfter(base.n) !== null;
    if (!isOnTheWay) {
      this.#forgetFrames();
      this.#n = base.n;
    }
    this.#answered(base);
  }

  #answered(base: Base): void {
    this.#base = base;
    this.#requestedAtN = null;
    // Whoever asked while the question was on its way is served by the same answer.
    this.#isWanted = false;
    this.#failures = 0;
  }

  /** @returns whether this is the first failure in a row, the one readers are told of */
  fetchFailed(nowMs: number): boolean {
    this.#requestedAtN = null;
    this.#isWanted = true;
    this.#retryAtMs = nowMs + Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#failures);
    this.#failures += 1;
    return this.#failures === 1;
  }

  #keep(frame: LogFrame): void {
    this.#frames.push(frame);
    this.#length += frame.text.length;
    let gone = 0;
    for (const old of this.#frames) {
      if (old.atMs >= frame.atMs - RETAIN_MS && this.#length <= MAX_RETAINED_LENGTH) break;
      this.#length -= old.text.length;
      gone += 1;
    }
    this.#frames = gone === 0 ? this.#frames : this.#frames.slice(gone);
  }

  #forgetFrames(): void {
    this.#frames = [];
    this.#length = 0;
  }
}
