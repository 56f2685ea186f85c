import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { MAX_LINE_BYTES, openLog, readLines } from "../../../cli/ship/lines.ts";
import type { Line } from "../../../cli/ship/lines.ts";

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function linesOf(chunks: AsyncIterable<Uint8Array>): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const some of readLines(chunks)) lines.push(...some);
  return lines;
}

function split(text: string, size = 64): Promise<Line[]> {
  return linesOf(pieces(Buffer.from(text), size));
}

describe("reading lines", () => {
  test("numbers them from 1 and needs no newline at the end", async () => {
    expect(await split("one\ntwo")).toEqual([
      { number: 1, text: "one" },
      { number: 2, text: "two" },
    ]);
  });

  test("skips blank lines but counts them", async () => {
    expect(await split("one\n\n  \r\nfour\n")).toEqual([
      { number: 1, text: "one" },
      { number: 4, text: "four" },
    ]);
  });

  test("drops a byte order mark and the carriage return of CRLF", async () => {
    expect(await split("\uFEFFone\r\ntwo\r\n")).toEqual([
      { number: 1, text: "one" },
      { number: 2, text: "two" },
    ]);
  });

  test("gives the same lines however the bytes are cut, inside a character too", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("a", "é", "漢", "😀", "\n", "x\n")),
        fc.integer({ min: 1, max: 9 }),
        async (parts, size) => {
          const text = parts.join("");
          const expected = text.split("\n").flatMap((line, i) => (line === "" ? [] : [{ number: i + 1, text: line }]));
          expect(await split(text, size)).toEqual(expected);
        },
      ),
    );
  });

  test("keeps a line at the limit and not one byte more", async () => {
    const fits = "x".repeat(MAX_LINE_BYTES);
    const lines = await split(`${fits}\n${fits}x\nafter\n${fits}${fits}${fits}`, 100_000);
    expect(lines.map(({ number, text }) => [number, text?.length ?? null])).toEqual([
      [1, MAX_LINE_BYTES],
      [2, null],
      [3, 5],
      [4, null],
    ]);
  });
});

describe("opening a log", () => {
  const directory = mkdtempSync(join(tmpdir(), "streamflow-lines-"));
  afterAll(() => rmSync(directory, { recursive: true }));
  const open = (name: string, bytes: Uint8Array): { chunks: AsyncIterable<Uint8Array>; read: () => number } => {
    const path = join(directory, name);
    writeFileSync(path, bytes);
    let read = 0;
    return { chunks: openLog(path, (count) => void (read += count)), read: () => read };
  };

  test("inflates gzip whatever the name, and counts the bytes of the file itself", async () => {
    const packed = gzipSync("one\ntwo\n");
    const { chunks, read } = open("no-suffix", packed);
    expect((await linesOf(chunks)).map(({ text }) => text)).toEqual(["one", "two"]);
    expect(read()).toBe(packed.length);
  });

  test("reads files that were packed one after the other, as rotation does", async () => {
    const { chunks } = open("two.gz", Buffer.concat([gzipSync("one\n"), gzipSync("two\n")]));
    expect((await linesOf(chunks)).map(({ text }) => text)).toEqual(["one", "two"]);
  });

  test("reads plain text that is called .gz", async () => {
    expect((await linesOf(open("plain.gz", Buffer.from("one\n")).chunks)).map(({ text }) => text)).toEqual(["one"]);
  });

  test("has no lines for an empty file", async () => {
    expect(await linesOf(open("empty", Buffer.alloc(0)).chunks)).toEqual([]);
  });

  test("fails on a gzip file that was cut off", async () => {
    const packed = gzipSync("one\n".repeat(1000));
    await expect(linesOf(open("cut.gz", packed.subarray(0, packed.length - 4)).chunks)).rejects.toThrow(
      "unexpected end of file",
    );
  });
});
