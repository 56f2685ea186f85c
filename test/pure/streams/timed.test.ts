import { describe, expect, test } from "vitest";
import type { Source, Stream } from "../../../core/streams/source.ts";
import { bufferTime, debounce, StreamTimeoutError, throttle, timeout } from "../../../core/streams/timed.ts";
import { ManualClock } from "./clocks.ts";
import { counting, Probe, settle } from "./probe.ts";

/** An item after each of these gaps, ms; its value is the time at which it comes. Then, after a last gap, the end. */
function timeline(clock: ManualClock, gaps: readonly number[], endGapMs = 0): Source<number> {
  const wait = (ms: number): Promise<void> => new Promise((resolve) => void clock.setTimer(ms, resolve));
  return (async function* () {
    for (const gap of gaps) {
      await wait(gap);
      yield clock.now();
    }
    await wait(endGapMs);
  })();
}

/** Reads eagerly and writes down what came when: [ms, value], and how it ended. */
function record<T>(clock: ManualClock, stream: Stream<T>): unknown[] {
  const log: unknown[] = [];
  const read = async (): Promise<void> => {
    for await (const value of stream) log.push([clock.now(), value]);
    log.push([clock.now(), "end"]);
  };
  read().catch((error: unknown) => log.push([clock.now(), error]));
  return log;
}

describe("throttle", () => {
  test("lets an item through, then none for the quiet time", async () => {
    const clock = new ManualClock();
    const log = record(clock, throttle<number>(10, clock)(timeline(clock, [1, 4, 4, 2, 3, 30])));
    await clock.advance(100);
    expect(log).toEqual([
      [1, 1],
      [11, 11],
      [44, 44],
      [44, "end"],
    ]);
  });
});

describe("debounce", () => {
  test("gives the last item of a flurry once it has been quiet", async () => {
    const clock = new ManualClock();
    const log = record(clock, debounce<number>(10, clock)(timeline(clock, [1, 4, 9, 30], 50)));
    await clock.advance(200);
    expect(log).toEqual([
      [24, 14],
      [54, 44],
      [94, "end"],
    ]);
  });

  test("gives the last item at once when the source ends", async () => {
    const clock = new ManualClock();
    const log = record(clock, debounce<number>(10, clock)(timeline(clock, [1, 4], 2)));
    await clock.advance(100);
    expect(log).toEqual([
      [7, 5],
      [7, "end"],
    ]);
    expect(clock.pending).toBe(0);
  });

  test("an item that arrives while nobody asks keeps its time", async () => {
    const clock = new ManualClock();
    const reader = debounce<number>(10, clock)(timeline(clock, [1, 20, 30], 1))[Symbol.asyncIterator]();
    const first = reader.next();
    await clock.advance(15);
    expect((await first).value).toBe(1);
    await clock.advance(85);
    const second = reader.next();
    await settle();
    expect((await second).value).toBe(21);
    expect(clock.now()).toBe(100);
    await reader.return();
  });
});

test("a read that the deadline overtook is not asked for again", async () => {
  const clock = new ManualClock();
  const probe = new Probe([1, "silence"]);
  const reader = debounce<number>(10, clock)(probe)[Symbol.asyncIterator]();
  const first = reader.next();
  await clock.advance(10);
  expect((await first).value).toBe(1);
  const second = reader.next();
  await settle();
  expect(probe.pulls).toBe(2);
  await reader.return();
  expect((await second).done).toBe(true);
});

test("an item that comes after the limit is too late although the timer is later still", async () => {
  let nowMs = 0;
  const late = (async function* () {
    await Promise.resolve();
    nowMs = 11;
    yield 1;
  })();
  const reader = timeout<number>(10, { now: () => nowMs, setTimer: () => () => undefined })(late)[
    Symbol.asyncIterator
  ]();
  await expect(reader.next()).rejects.toThrow(StreamTimeoutError);
});

describe("bufferTime", () => {
  test("gives a slow consumer full lists of a fast source", async () => {
    const clock = new ManualClock();
    const gaps = Array.from({ length: 60 }, () => 1);
    const reader = bufferTime<number>(10, clock)(timeline(clock, gaps))[Symbol.asyncIterator]();
    for (let lists = 0; lists < 3; lists++) {
      const read = reader.next();
      await clock.advance(15);
      const { value = [] } = await read;
      expect(value.length).toBeGreaterThanOrEqual(9);
      await clock.advance(100);
    }
    await reader.return();
  });

  test("begins a list with its first item and gives it when its time is up, full, or at the end", async () => {
    const clock = new ManualClock();
    const log = record(clock, bufferTime<number>(10, clock, 3)(timeline(clock, [5, 4, 5, 3, 3, 3, 40], 1)));
    await clock.advance(200);
    expect(log).toEqual([
      [14, [5, 9, 14]],
      [23, [17, 20, 23]],
      [64, [63]],
      [64, "end"],
    ]);
    expect(clock.pending).toBe(0);
  });

  test("waits its time for a list that does not fill up", async () => {
    const clock = new ManualClock();
    const log = record(clock, bufferTime<number>(10, clock)(timeline(clock, [5, 4, 20], 30)));
    await clock.advance(200);
    expect(log).toEqual([
      [15, [5, 9]],
      [39, [29]],
      [59, "end"],
    ]);
  });
});

describe("timeout", () => {
  test("fails when an item takes too long, and closes the source", async () => {
    const clock = new ManualClock();
    const probe = new Probe(counting(2, "silence"));
    const log = record(clock, timeout<number>(10, clock)(probe));
    await clock.advance(100);
    expect(log).toEqual([
      [0, 1],
      [0, 2],
      [10, new StreamTimeoutError(10)],
    ]);
    expect(probe.returns).toBe(1);
    expect(clock.pending).toBe(0);
  });

  test("counts neither time between items below the limit nor the consumer's own", async () => {
    const clock = new ManualClock();
    const reader = timeout<number>(10, clock)(timeline(clock, [9, 9, 9], 9))[Symbol.asyncIterator]();
    for (const expected of [9, 118, 227]) {
      const read = reader.next();
      await clock.advance(9);
      expect((await read).value).toBe(expected);
      await clock.advance(100);
    }
    const last = reader.next();
    await clock.advance(9);
    expect((await last).done).toBe(true);
  });
});

test.each([
  ["debounce", (clock: ManualClock) => debounce<number>(10, clock)],
  ["bufferTime", (clock: ManualClock) => bufferTime<number>(10, clock)],
  ["timeout", (clock: ManualClock) => timeout<number>(10, clock)],
])("%s leaves no timer behind when it is stopped", async (_, make) => {
  const clock = new ManualClock();
  const probe = new Probe([1, "silence"]);
  const reader = make(clock)(probe)[Symbol.asyncIterator]();
  const reads = [reader.next(), reader.next()];
  await settle();
  expect(clock.pending).toBe(1);
  await reader.return();
  await Promise.all(reads);
  expect([clock.pending, probe.returns]).toEqual([0, 1]);
});
