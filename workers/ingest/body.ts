import { gunzipSync } from "node:zlib";
import { ApiError } from "../http.ts";

/** Bytes of a body as sent, and again when inflated. */
export const MAX_BODY_BYTES = 10_000_000;
/** Bodies one isolate holds at once, bytes: parsing takes several times that, of the 128 MB there are. */
const MAX_BODY_BYTES_IN_FLIGHT = 32_000_000;
/** workerd holds zlib's limit against the buffer it grows in steps, not against the bytes in it: a tight one refuses good bodies. */
const MAX_INFLATE_BUFFER_BYTES = 2 * MAX_BODY_BYTES;
/**
 * First buffer of a body, bytes: for single events, and for about 500. Then it grows with what arrives and not with
 * Content-Length, so that a sender who promises much and sends it slowly holds little.
 */
const SMALL_BUFFER_BYTES = 16_384;
const LARGE_BUFFER_BYTES = 262_144;
/** Large buffers kept for the next request: making and collecting them takes longer than filling them. */
const MAX_SPARE_BUFFERS = 16;

let bytesInFlight = 0;
const spareBuffers: Uint8Array<ArrayBuffer>[] = [];

/** A body's text and what it costs to hold; `release` once it and what was parsed from it are done with. */
export interface Body {
  readonly text: string;
  /** Bytes of UTF-8, inflated. */
  readonly bytes: number;
  release(): void;
}

/**
 * Reads and decodes a request's body. What arrives is counted: Content-Length is only a hint for the first buffer.
 * @throws ApiError `payload_too_large` over MAX_BODY_BYTES as sent or inflated; `bad_request` for truncated or corrupt gzip,
 *   for text that is not UTF-8 and for a body cut off; `unsupported_media_type` for another encoding; `unavailable` while this isolate
 *   holds too many bodies
 */
export async function readBody(request: Request): Promise<Body> {
  const isGzip = hasGzip(request);
  const hold = new Hold();
  try {
    const { buffer, filled } = await readBytes(request, hold);
    const sent = buffer.subarray(0, filled);
    const bytes = isGzip ? inflate(sent, hold) : sent;
    const body = { text: decode(bytes), bytes: bytes.length, release: () => hold.release() };
    keepSpare(buffer);
    return body;
  } catch (error) {
    hold.release();
    throw error;
  }
}

/** Bytes one request holds of this isolate's MAX_BODY_BYTES_IN_FLIGHT. */
class Hold {
  #bytes = 0;

  take(bytes: number): void {
    if (bytesInFlight + bytes > MAX_BODY_BYTES_IN_FLIGHT) {
      throw new ApiError("unavailable", "Too many large requests at once; try again.", null, 1);
    }
    bytesInFlight += bytes;
    this.#bytes += bytes;
  }

  /** May be called twice. */
  release(): void {
    bytesInFlight -= this.#bytes;
    this.#bytes = 0;
  }
}

function hasGzip(request: Request): boolean {
  const encoding = (request.headers.get("Content-Encoding") ?? "identity").trim().toLowerCase();
  if (encoding === "gzip" || encoding === "x-gzip") return true;
  if (encoding === "identity" || encoding === "") return false;
  throw new ApiError(
    "unsupported_media_type",
    `Content-Encoding must be gzip or absent, not ${encoding.slice(0, 40)}.`,
  );
}

/** Fills one buffer by few large reads: the default reader would hand out 4 KB at a time. */
async function readBytes(request: Request, hold: Hold): Promise<{ buffer: Uint8Array<ArrayBuffer>; filled: number }> {
  let buffer = firstBuffer(Number(request.headers.get("Content-Length")));
  let filled = 0;
  if (request.body === null) return { buffer, filled };
  hold.take(buffer.length);
  const reader = request.body.getReader({ mode: "byob" });
  for (;;) {
    const { value, done } = await readOrGone(reader, buffer.subarray(filled));
    if (value !== undefined) {
      // The read detached the old buffer; this is the same memory.
      buffer = new Uint8Array(value.buffer);
      filled += value.length;
    }
    if (filled > MAX_BODY_BYTES) {
      await reader.cancel();
      throw tooLarge("The body");
    }
    if (done || value.length === 0) return { buffer, filled };
    if (filled === buffer.length) buffer = grown(buffer, hold);
  }
}

/** @param declared Content-Length; 0 or NaN when there is none */
function firstBuffer(declared: number): Uint8Array<ArrayBuffer> {
  if (!(declared >= SMALL_BUFFER_BYTES)) return new Uint8Array(SMALL_BUFFER_BYTES);
  return spareBuffers.pop() ?? new Uint8Array(LARGE_BUFFER_BYTES);
}

/** Its bytes were another request's, and only those that the next one overwrites are ever read. */
function keepSpare(buffer: Uint8Array<ArrayBuffer>): void {
  if (buffer.length === LARGE_BUFFER_BYTES && spareBuffers.length < MAX_SPARE_BUFFERS) spareBuffers.push(buffer);
}

/** Fills `view`, less only at the end of the stream. A sender that goes away half-way is no error of ours. */
async function readOrGone(
  reader: ReadableStreamBYOBReader,
  view: Uint8Array<ArrayBuffer>,
): Promise<ReadableStreamReadResult<Uint8Array<ArrayBuffer>>> {
  try {
    return await reader.readAtLeast(view.length, view);
  } catch {
    throw new ApiError("bad_request", "The body could not be read to its end.");
  }
}

function grown(buffer: Uint8Array, hold: Hold): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(MAX_BODY_BYTES + 1, buffer.length * 2));
  hold.take(larger.length - buffer.length);
  larger.set(buffer);
  return larger;
}

/** zlib stops at a limit, so a bomb costs the limit and not its size. */
function inflate(compressed: Uint8Array, hold: Hold): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = gunzipSync(compressed, { maxOutputLength: MAX_INFLATE_BUFFER_BYTES });
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge("The inflated body");
    throw new ApiError("bad_request", "The body is not complete, valid gzip.");
  }
  if (bytes.length > MAX_BODY_BYTES) throw tooLarge("The inflated body");
  hold.take(bytes.length);
  return bytes;
}

/** A byte order mark at the start is dropped. */
function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new ApiError("bad_request", "The body is not UTF-8.");
  }
}

function tooLarge(what: string): ApiError {
  return new ApiError("payload_too_large", `${what} may have at most ${MAX_BODY_BYTES} bytes.`, {
    max_bytes: MAX_BODY_BYTES,
  });
}
