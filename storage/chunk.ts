import { constants, gunzipSync, gzipSync } from "node:zlib";

/** First byte of a chunk: how the rest is compressed. zstd may get the next number once workerd can write it. */
const CODEC_GZIP = 1;
/** Level 1: higher levels save 5 to 10 % of the bytes and cost 15 to 45 % of the encode speed. */
const GZIP_LEVEL = constants.Z_BEST_SPEED;
/** A gzip member ends with its inflated length, four bytes, little endian (RFC 1952 section 2.3.1). */
const GZIP_LENGTH_BYTES = 4;
/** Codec byte, gzip header and trailer. */
const MIN_CHUNK_BYTES = 19;

/** workerd holds maxOutputLength against the buffer it grows in steps, not against the bytes in it: a tight limit refuses good chunks. */
const SPARE_OUTPUT_BYTES = 1_000_000;

/** No chunk may inflate to more, bytes of UTF-8. */
export const MAX_INFLATED_BYTES = 4_000_000;
/** Inflated text that may be alive at once in one isolate: a small part of its 128 MB, as parsing takes several times that. */
export const MAX_INFLATED_IN_FLIGHT_BYTES = 16_000_000;

/** The bytes are not a chunk, or one that cannot be inflated. */
export class CorruptChunkError extends Error {
  override readonly name = "CorruptChunkError";
}

/** A counter of inflated bytes in use; one per isolate. */
export class InflateBudget {
  /** Bytes taken and not yet released. */
  inFlight = 0;
  /** The highest `inFlight` so far. */
  peak = 0;

  /** Takes what `chunk` says it inflates to. @throws RangeError beyond MAX_INFLATED_IN_FLIGHT_BYTES; then nothing is taken */
  take(chunk: Uint8Array): void {
    const wanted = this.inFlight + inflatedBytes(chunk);
    if (wanted > MAX_INFLATED_IN_FLIGHT_BYTES) throw new RangeError(`${wanted} inflated bytes in flight`);
    this.inFlight = wanted;
    this.peak = Math.max(this.peak, wanted);
  }

  /** Gives back what `take(chunk)` took. */
  release(chunk: Uint8Array): void {
    this.inFlight -= inflatedBytes(chunk);
  }
}

/** What a chunk says it inflates to, bytes. @throws CorruptChunkError */
export function inflatedBytes(chunk: Uint8Array): number {
  if (chunk[0] !== CODEC_GZIP) throw new CorruptChunkError(`unknown codec ${String(chunk[0])}`);
  if (chunk.length < MIN_CHUNK_BYTES) throw new CorruptChunkError(`${chunk.length} bytes are too few`);
  const bytes = new DataView(chunk.buffer, chunk.byteOffset).getUint32(chunk.length - GZIP_LENGTH_BYTES, true);
  if (bytes > MAX_INFLATED_BYTES) throw new CorruptChunkError(`inflates to ${bytes} bytes`);
  return bytes;
}

/**
 * Codec byte, then the compressed UTF-8 of `text`, in a buffer of its own.
 * @throws CorruptChunkError when the text is over MAX_INFLATED_BYTES, so that nothing is written that cannot be read
 */
export function packChunk(text: string): Uint8Array<ArrayBuffer> {
  const compressed = gzipSync(text, { level: GZIP_LEVEL });
  const chunk = new Uint8Array(1 + compressed.length);
  chunk[0] = CODEC_GZIP;
  chunk.set(compressed, 1);
  inflatedBytes(chunk);
  return chunk;
}

/**
 * The text of a chunk. With a `budget`, takes the inflated size from it: the caller must `release(chunk)` once done with
 * the text, also when it later fails; when this throws, nothing is left taken.
 * @throws CorruptChunkError on an unknown codec, corrupt or truncated bytes, or more than MAX_INFLATED_BYTES
 * @throws RangeError when the budget is spent
 */
export function unpackChunk(chunk: Uint8Array, budget?: InflateBudget): string {
  const expected = inflatedBytes(chunk);
  budget?.take(chunk);
  try {
    const bytes = gunzipSync(chunk.subarray(1), { maxOutputLength: 2 * expected + SPARE_OUTPUT_BYTES });
    if (bytes.length !== expected) throw new RangeError(`inflates to ${bytes.length} bytes instead of ${expected}`);
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    budget?.release(chunk);
    throw new CorruptChunkError("cannot be inflated", { cause });
  }
}

/** Codec byte, then the compressed bytes, in a buffer of its own. */
export function packBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const compressed = gzipSync(bytes, { level: GZIP_LEVEL });
  const packed = new Uint8Array(1 + compressed.length);
  packed[0] = CODEC_GZIP;
  packed.set(compressed, 1);
  return packed;
}

/** What `packBytes` packed. @throws CorruptChunkError when it is not, or inflates to more than `maxBytes` */
export function unpackBytes(packed: Uint8Array, maxBytes: number): Uint8Array {
  if (packed[0] !== CODEC_GZIP) throw new CorruptChunkError(`unknown codec ${String(packed[0])}`);
  try {
    return gunzipSync(packed.subarray(1), { maxOutputLength: maxBytes + SPARE_OUTPUT_BYTES });
  } catch (cause) {
    throw new CorruptChunkError("cannot be inflated", { cause });
  }
}

/** Puts byte strings in one: each is preceded by its length, four bytes, little endian. */
export function joinChunks(list: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(list.reduce((bytes, chunk) => bytes + 4 + chunk.length, 0));
  const view = new DataView(joined.buffer);
  let at = 0;
  for (const chunk of list) {
    view.setUint32(at, chunk.length, true);
    joined.set(chunk, at + 4);
    at += 4 + chunk.length;
  }
  return joined;
}

/** What `joinChunks` joined, as views of `bytes`. @throws CorruptChunkError when a length does not fit */
export function splitChunks(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const list: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = at + 4 <= bytes.length ? at + 4 + view.getUint32(at, true) : Infinity;
    if (end > bytes.length) throw new CorruptChunkError(`a chunk at ${at} ends beyond ${bytes.length} bytes`);
    list.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return list;
}
