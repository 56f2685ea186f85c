import { expect, test } from "vitest";
import { toArray } from "../../../core/streams/collect.ts";
import { map } from "../../../core/streams/map.ts";
import { pipe } from "../../../core/streams/pipe.ts";
import { take } from "../../../core/streams/take.ts";
import type { Source } from "../../../core/streams/source.ts";
import { fromReadable, toReadable } from "../../../core/streams/web-streams.ts";
import { counting, Probe, settle } from "./probe.ts";

const readableOf = <T>(source: Source<T>): ReadableStream<T> =>
  toReadable(source, (from, strategy) => new ReadableStream<T>(from, strategy));

test("a stream goes through a ReadableStream and back, undefined items too", async () => {
  const items = [1, undefined, null, "four"];
  const readable = readableOf(items);
  expect(await toArray(fromReadable(() => readable.getReader()))).toEqual(items);
});

test("a readable reads its source only as it is read itself", async () => {
  const probe = new Probe(counting(9));
  const reader = readableOf(probe).getReader();
  await settle();
  expect(probe.opened).toBe(0);
  await reader.read();
  await settle();
  expect(probe.pulls).toBe(1);
});

test("cancelling the readable closes the source, even in the middle of a read or before the first", async () => {
  const probe = new Probe(["silence"]);
  const reader = readableOf(probe).getReader();
  void reader.read();
  await settle();
  await reader.cancel();
  expect(probe.returns).toBe(1);
  const unread = new Probe(counting(9));
  await readableOf(unread).cancel();
  expect([unread.pulls, unread.returns]).toEqual([0, 1]);
});

test("an error of the source is the readable's, and the other way round", async () => {
  const failing = new Probe([1, new Error("broken")]);
  const readable = readableOf(failing);
  await expect(toArray(fromReadable(() => readable.getReader()))).rejects.toThrow("broken");
});

test("leaving early cancels the readable with the read that is under way, and unlocks it", async () => {
  let cancelled = 0;
  const readable = new ReadableStream<number>({
    pull: () => new Promise(() => undefined),
    cancel: () => void cancelled++,
  });
  const reader = fromReadable(() => readable.getReader())[Symbol.asyncIterator]();
  const read = reader.next();
  await settle();
  expect(readable.locked).toBe(true);
  await reader.return();
  expect([(await read).done, cancelled, readable.locked]).toEqual([true, 1, false]);
});

test("operators stand between two platform streams", async () => {
  const readable = readableOf([1, 2, 3, 4]);
  const stream = pipe(
    fromReadable<number>(() => readable.getReader()),
    map((value) => value * 10),
    take(3),
  );
  const written: number[] = [];
  await readableOf(stream).pipeTo(new WritableStream({ write: (value) => void written.push(value) }));
  expect(written).toEqual([10, 20, 30]);
});
