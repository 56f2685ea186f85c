import { Buffer } from "node:buffer";
import { ApiError } from "../http.ts";
import type { Receipt } from "./accept.ts";
import { type ClientFrame, MAX_FRAME_BYTES, errorFrame, readFrame } from "./frames.ts";
import { MAX_EVENTS, type ParsedEvents } from "./parse.ts";
import { rejectedJson } from "./receipt.ts";

/** Frames and their bytes that may wait while earlier ones are put on the queue; a producer further ahead is cut off. */
const MAX_PENDING_FRAMES = 10_000;
const MAX_PENDING_BYTES = 4_000_000;

/** RFC 6455 section 7.4.1, and 4401 as the live socket has it. */
const CLOSE_NORMAL = 1000;
const CLOSE_UNSUPPORTED = 1003;
const CLOSE_TOO_BIG = 1009;
const CLOSE_FAILED = 1011;
const CLOSE_TRY_LATER = 1013;
const CLOSE_UNAUTHORIZED = 4401;

/** What the socket needs of the door. */
export interface SocketDoor {
  /** Whether the credential that opened the socket is still good. */
  isAllowed(): Promise<boolean>;
  /** @throws ApiError when events may not be sent now */
  assertOpen(): Promise<void>;
  take(parsed: ParsedEvents, bytes: number): Promise<Receipt>;
  onError(error: unknown): void;
}

type EventsFrame = Extract<ClientFrame, { type: "events" }>;

/**
 * Serves a producer's socket: every frame gets exactly one answer, in order. Frames that arrive while the queue is busy go
 * to it together, since a queue message per event would cost as much as a thousand events in one.
 * A frame without an answer when the socket closes was not accepted, or its answer was lost: send it again with the same ids.
 */
export class IngestSocket {
  readonly #socket: WebSocket;
  readonly #door: SocketDoor;
  #pending: ClientFrame[] = [];
  #pendingBytes = 0;
  #isServing = false;
  #isClosed = false;

  constructor(socket: WebSocket, door: SocketDoor) {
    this.#socket = socket;
    this.#door = door;
  }

  /** Starts serving. */
  accept(): void {
    this.#socket.addEventListener("message", ({ data }) => this.#receive(data));
    this.#socket.addEventListener("close", () => this.#close(CLOSE_NORMAL, "closed"));
    this.#socket.addEventListener("error", () => this.#close(CLOSE_FAILED, "failed"));
    this.#socket.accept();
  }

  #receive(data: unknown): void {
    if (typeof data !== "string") return this.#close(CLOSE_UNSUPPORTED, "frames must be text");
    const bytes = Buffer.byteLength(data);
    if (bytes > MAX_FRAME_BYTES) return this.#close(CLOSE_TOO_BIG, `a frame may have ${MAX_FRAME_BYTES} bytes`);
    if (this.#pending.length === MAX_PENDING_FRAMES || this.#pendingBytes + bytes > MAX_PENDING_BYTES) {
      return this.#close(CLOSE_TRY_LATER, "too many frames ahead of their answers");
    }
    this.#pending.push(readFrame(data, bytes));
    this.#pendingBytes += bytes;
    if (!this.#isServing) void this.#serve();
  }

  async #serve(): Promise<void> {
    this.#isServing = true;
    try {
      while (this.#pending.length > 0 && !this.#isClosed) {
        if (await this.#door.isAllowed()) await this.#answer(this.#takePending());
        else this.#close(CLOSE_UNAUTHORIZED, "the credential is no longer valid");
      }
    } catch (error) {
      this.#door.onError(error);
      this.#close(CLOSE_FAILED, "something went wrong on our side");
    } finally {
      this.#isServing = false;
    }
  }

  /** The first frames, up to MAX_EVENTS events in all; at least one. */
  #takePending(): ClientFrame[] {
    let events = 0;
    const beyond = this.#pending.findIndex((frame, at) => {
      events += frame.type === "events" ? frame.parsed.values.length : 0;
      return events > MAX_EVENTS && at > 0;
    });
    const taken = this.#pending.splice(0, beyond === -1 ? this.#pending.length : beyond);
    this.#pendingBytes = this.#pending.reduce((sum, frame) => sum + bytesOf(frame), 0);
    return taken;
  }

  async #answer(frames: readonly ClientFrame[]): Promise<void> {
    const wanted = frames.filter((frame) => frame.type === "events");
    const receipts = wanted.length > 0 ? await this.#take(wanted) : [];
    for (const frame of frames) {
      if (frame.type === "ping") this.#send({ type: "pong" });
      else if (frame.type === "bad") this.#send(errorFrame(frame.error));
      else this.#send(receipts.shift() ?? errorFrame(new ApiError("internal", "no receipt")));
    }
  }

  /** One answer per frame. */
  async #take(frames: readonly EventsFrame[]): Promise<object[]> {
    try {
      await this.#door.assertOpen();
      const values = frames.flatMap(({ parsed }) => parsed.values);
      const bytes = frames.reduce((sum, frame) => sum + frame.bytes, 0);
      return splitReceipt(frames, await this.#door.take({ values, indexes: null, unparsed: [] }, bytes));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return frames.map(() => errorFrame(error));
    }
  }

  #send(frame: object): void {
    if (!this.#isClosed) this.#socket.send(JSON.stringify(frame));
  }

  #close(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#socket.close(code, reason);
  }
}

function bytesOf(frame: ClientFrame): number {
  return frame.type === "events" ? frame.bytes : 0;
}

/** The receipt of frames taken together as one ack for each. */
function splitReceipt(frames: readonly EventsFrame[], receipt: Receipt): object[] {
  const { accepted, acceptedIndexes, rejected } = receipt;
  const rejectedIndexes = rejected.map(({ index }) => index);
  let from = 0;
  let acceptedFrom = 0;
  let rejectedFrom = 0;
  return frames.map(({ parsed }) => {
    const to = from + parsed.values.length;
    const acceptedTo = firstAtOrAfter(acceptedIndexes, acceptedFrom, to);
    const rejectedTo = firstAtOrAfter(rejectedIndexes, rejectedFrom, to);
    const ack = {
      type: "ack",
      event_ids: accepted.slice(acceptedFrom, acceptedTo).map(({ id }) => id),
      rejected: rejected
        .slice(rejectedFrom, rejectedTo)
        .map((one) => rejectedJson({ ...one, index: one.index - from })),
    };
    [from, acceptedFrom, rejectedFrom] = [to, acceptedTo, rejectedTo];
    return ack;
  });
}

/** The first position ≥ `start` of ascending `indexes` that is not below `limit`. */
function firstAtOrAfter(indexes: readonly number[], start: number, limit: number): number {
  let at = start;
  while (at < indexes.length && (indexes[at] ?? limit) < limit) at++;
  return at;
}
