import { brotliCompressSync, brotliDecompressSync, constants, crc32, gunzipSync } from "node:zlib";

/** First byte of a chunk: how the rest is compressed. Read, but no longer written: a gzip member, which ends with the inflated length. */
const CODEC_GZIP = 1;
/** Then the inflated length and the CRC-32 of what follows, four bytes each, little endian: brotli has neither. */
const CODEC_BROTLI = 2;
const HEADER_BYTES = 9;
/** Codec byte, gzip header and trailer (RFC 1952). */
const MIN_GZIP_BYTES = 19;
/** Half the CPU of gzip's fastest level and 3 % fewer bytes for 500 events; quality 2 would take 60 % more for 4 % (decisions/0021). */
const BROTLI = {
  chunkSize: 65_536,
  params: { [constants.BROTLI_PARAM_QUALITY]: 1, [constants.BROTLI_PARAM_LGWIN]: 18 },
};

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
  return lengthWithin(chunk, MAX_INFLATED_BYTES);
}

/**
 * Codec byte, then the compressed UTF-8 of `text`, in a buffer of its own.
 * @throws CorruptChunkError when the text is over MAX_INFLATED_BYTES, so that nothing is written that cannot be read
 */
export function packChunk(text: string): Uint8Array<ArrayBuffer> {
  const chunk = packBytes(new TextEncoder().encode(text));
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
  inflatedBytes(chunk);
  budget?.take(chunk);
  try {
    const bytes = unpackBytes(chunk, MAX_INFLATED_BYTES);
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    budget?.release(chunk);
    if (cause instanceof CorruptChunkError) throw cause;
    throw new CorruptChunkError("is not UTF-8", { cause });
  }
}

/** Codec byte, then the compressed bytes, in a buffer of its own. */
export function packBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const compressed = brotliCompressSync(bytes, BROTLI);
  const packed = new Uint8Array(HEADER_BYTES + compressed.length);
  const view = new DataView(packed.buffer);
  view.setUint8(0, CODEC_BROTLI);
  view.setUint32(1, bytes.length, true);
  view.setUint32(5, crc32(compressed), true);
  packed.set(compressed, HEADER_BYTES);
  return packed;
}

/** What `packBytes` packed. @throws CorruptChunkError when it is not, or inflates to more than `maxBytes` */
export function unpackBytes(packed: Uint8Array, maxBytes: number): Uint8Array {
  const expected = lengthWithin(packed, maxBytes);
  const limit = { maxOutputLength: 2 * expected + SPARE_OUTPUT_BYTES, chunkSize: BROTLI.chunkSize };
  let bytes: Uint8Array;
  try {
    bytes =
      packed[0] === CODEC_GZIP ? gunzipSync(packed.subarray(1), limit) : brotliDecompressSync(checked(packed), limit);
  } catch (cause) {
    if (cause instanceof CorruptChunkError) throw cause;
    throw new CorruptChunkError("cannot be inflated", { cause });
  }
  if (bytes.length !== expected)
    throw new CorruptChunkError(`inflates to ${bytes.length} bytes instead of ${expected}`);
  return bytes;
}

/** @throws CorruptChunkError when it says it is longer than `maxBytes`, or is too short or of no known codec to say so */
function lengthWithin(packed: Uint8Array, maxBytes: number): number {
  const isGzip = packed[0] === CODEC_GZIP;
  if (!isGzip && packed[0] !== CODEC_BROTLI) throw new CorruptChunkError(`unknown codec ${String(packed[0])}`);
  if (packed.length < (isGzip ? MIN_GZIP_BYTES : HEADER_BYTES + 1))
    throw new CorruptChunkError(`${packed.length} bytes are too few`);
  const bytes = viewOf(packed).getUint32(isGzip ? packed.length - 4 : 1, true);
  if (bytes > maxBytes) throw new CorruptChunkError(`inflates to ${bytes} bytes`);
  return bytes;
}

/** The stream behind the header. @throws CorruptChunkError when it is not as it was written */
function checked(packed: Uint8Array): Uint8Array {
  const stream = packed.subarray(HEADER_BYTES);
  if (crc32(stream) !== viewOf(packed).getUint32(5, true)) throw new CorruptChunkError("has another checksum");
  return stream;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
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
  const view = viewOf(bytes);
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
