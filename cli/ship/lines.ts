import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";

/** Longer lines are not held in memory; they count as lines that do not parse. */
export const MAX_LINE_BYTES = 1024 * 1024;

/** One physical line. */
export interface Line {
  /** Counted from 1. */
  readonly number: number;
  /** Without its end-of-line; null when it was longer than MAX_LINE_BYTES. */
  readonly text: string | null;
}

const NEWLINE = 10;

/**
 * Splits a byte stream into lines, a chunk's worth at a time. A byte order mark and the carriage return of CRLF are
 * dropped, blank lines are skipped but counted in the numbers, and the last line needs no end.
 */
export async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<readonly Line[]> {
  let rest: Buffer = Buffer.alloc(0);
  let overlong = false;
  let number = 0;
  const take = (bytes: Buffer, lines: Line[]): void => {
    number++;
    const text = overlong || bytes.length > MAX_LINE_BYTES ? null : decode(bytes, number);
    overlong = false;
    if (text === null || text.trim() !== "") lines.push({ number, text });
  };
  for await (const chunk of chunks) {
    const bytes = Buffer.concat([rest, chunk]);
    const lines: Line[] = [];
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      take(bytes.subarray(start, end), lines);
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length > MAX_LINE_BYTES) {
      overlong = true;
      rest = Buffer.alloc(0);
    }
    if (lines.length > 0) yield lines;
  }
  const last: Line[] = [];
  if (rest.length > 0 || overlong) take(rest, last);
  if (last.length > 0) yield last;
}

function decode(bytes: Buffer, number: number): string {
  const text = bytes.toString("utf8");
  const withoutMark = number === 1 && text.startsWith("\uFEFF") ? text.slice(1) : text;
  return withoutMark.endsWith("\r") ? withoutMark.slice(0, -1) : withoutMark;
}

/**
 * A file's bytes (or standard input's for `-`), inflated when they are gzip, whatever the file is called.
 *
 * @param onRead  told how many bytes of the file itself were read, for a progress bar
 */
export async function* openLog(path: string, onRead: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  const input = path === "-" ? process.stdin : createReadStream(path, { highWaterMark: 256 * 1024 });
  const raw = counted(input, onRead);
  const first = await raw.next();
  if (first.done === true) return;
  const whole = startingWith(first.value, raw);
  const isGzip = first.value[0] === 0x1f && first.value[1] === 0x8b;
  yield* isGzip ? inflate(whole) : whole;
}

function inflate(bytes: AsyncIterable<Buffer>): AsyncIterable<Uint8Array> {
  const gunzip = createGunzip();
  // A failure (a cut-off file) destroys `gunzip` with the error, and so it is thrown where `gunzip` is read.
  pipeline(bytes, gunzip).catch(() => undefined);
  return gunzip;
}

async function* counted(input: AsyncIterable<unknown>, onRead: (bytes: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of input) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError("the input does not give bytes");
    onRead(chunk.length);
    yield chunk;
  }
}

async function* startingWith(first: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* rest;
}
