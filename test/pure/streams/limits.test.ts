import { describe, expect, test } from "vitest";
import { batch, window } from "../../../core/streams/batch.ts";
import { toArray } from "../../../core/streams/collect.ts";
import { distinct } from "../../../core/streams/distinct.ts";
import { flatMap } from "../../../core/streams/flat-map.ts";
import { map } from "../../../core/streams/map.ts";
import { merge } from "../../../core/streams/merge.ts";
import { pipe } from "../../../core/streams/pipe.ts";
import type { Operator } from "../../../core/streams/source.ts";
import { skip, take } from "../../../core/streams/take.ts";
import { bufferTime, debounce, throttle, timeout } from "../../../core/streams/timed.ts";
import { ManualClock } from "./clocks.ts";
import { counting, Probe, settle } from "./probe.ts";

const clock = new ManualClock();
const unsound = JSON.parse('"sideways"');

const INVALID: readonly (readonly [string, () => Operator<number, unknown>])[] = [
  ["take(-1)", () => take(-1)],
  ["take(NaN)", () => take(Number.NaN)],
  ["take(1.5)", () => take(1.5)],
  ["skip(-1)", () => skip(-1)],
  ["skip(NaN)", () => skip(Number.NaN)],
  ["batch(0)", () => batch(0)],
  ["batch(Infinity)", () => batch(Infinity)],
  ["window(0)", () => window(0)],
  ["window(2, 0)", () => window(2, 0)],
  ["distinct of no keys", () => distinct({ maxKeys: 0 })],
  ["flatMap, concurrency 0", () => flatMap((value) => [value], { concurrency: 0 })],
  ["flatMap, concurrency NaN", () => flatMap((value) => [value], { concurrency: Number.NaN })],
  ["flatMap, unknown order", () => flatMap((value) => [value], { order: unsound })],
  ["timeout(0)", () => timeout(0, clock)],
  ["timeout(NaN)", () => timeout(Number.NaN, clock)],
  ["throttle(-1)", () => throttle(-1, clock)],
  ["debounce(Infinity)", () => debounce(Infinity, clock)],
  ["bufferTime(0)", () => bufferTime(0, clock)],
  ["bufferTime of no items", () => bufferTime(10, clock, 0)],
];

test.each(INVALID)("%s is a RangeError and closes the source without reading it", async (_, make) => {
  const probe = new Probe(counting(3));
  const apply = () => pipe(merge([probe]), map(Number), make());
  expect(apply).toThrow(RangeError);
  await settle();
  expect([probe.returns, probe.pulls]).toEqual([1, 0]);
});

test("take(0) reads nothing and take(Infinity) everything", async () => {
  const probe = new Probe(counting(3));
  expect(await toArray(pipe(probe, take(0)))).toEqual([]);
  expect([probe.pulls, probe.returns]).toEqual([0, 1]);
  expect(await toArray(pipe(probe, take(Infinity)))).toEqual([1, 2, 3]);
});

test("take(3) pulls three times and closes the source with the third item", async () => {
  const probe = new Probe(counting(10));
  const reader = pipe(probe, take(3))[Symbol.asyncIterator]();
  for (let read = 0; read < 3; read++) await reader.next();
  expect([probe.pulls, probe.returns]).toEqual([3, 1]);
  expect((await reader.next()).done).toBe(true);
  expect([probe.pulls, probe.returns]).toEqual([3, 1]);
});

const keys = (items: number[]) => toArray(pipe(items, distinct({ maxKeys: 2 })));

test("distinct forgets the key that was not seen for longest, and no sooner", async () => {
  expect(await keys([1, 2, 1, 2, 1])).toEqual([1, 2]);
  expect(await keys([1, 2, 1, 3, 1])).toEqual([1, 2, 3]);
  expect(await keys([1, 2, 3, 1])).toEqual([1, 2, 3, 1]);
  expect(await toArray(pipe(["a", "A", "b"], distinct({ keyOf: (text) => text.toLowerCase() })))).toEqual(["a", "b"]);
});

test("toArray stops reading and closes the source at its limit", async () => {
  const probe = new Probe(counting(10));
  await expect(toArray(probe, 3)).rejects.toThrow(RangeError);
  expect([probe.pulls, probe.returns]).toEqual([4, 1]);
  expect(await toArray(new Probe(counting(3)), 3)).toEqual([1, 2, 3]);
});

describe("flatMap", () => {
  test.each(["source", "arrival"] as const)("in order of %s opens no more than it may", async (order) => {
    const probes = Array.from({ length: 6 }, () => new Probe(counting(2)));
    const open = () => probes.filter((probe) => probe.opened === 1 && probe.pulls < 3).length;
    const reader = pipe(
      probes,
      flatMap((probe) => probe, { concurrency: 3, order }),
    )[Symbol.asyncIterator]();
    for (let read = 0; read < 12; read++) {
      expect((await reader.next()).done).toBe(false);
      await settle();
      expect(open()).toBeLessThanOrEqual(3);
    }
    expect((await reader.next()).done).toBe(true);
  });

  test("opens as many as it may although the first is silent", async () => {
    const probes = Array.from({ length: 6 }, () => new Probe(["silence"]));
    const reader = pipe(
      probes,
      flatMap((probe) => probe, { concurrency: 3 }),
    )[Symbol.asyncIterator]();
    void reader.next();
    await settle();
    expect(probes.map((probe) => probe.opened)).toEqual([1, 1, 1, 0, 0, 0]);
    await reader.return();
    expect(probes.map((probe) => probe.returns)).toEqual([1, 1, 1, 0, 0, 0]);
  });

  test("an inner source that arrives after the end is closed again", async () => {
    const late = Promise.withResolvers<Probe>();
    const probe = new Probe(counting(3));
    const reader = pipe(
      [1],
      flatMap(() => late.promise),
    )[Symbol.asyncIterator]();
    const read = reader.next();
    await settle();
    await reader.return();
    late.resolve(probe);
    await settle();
    expect([(await read).done, probe.pulls, probe.returns]).toEqual([true, 0, 1]);
  });
});

describe("merge", () => {
  test("starves nobody: between two items of one source come at most one of each other", async () => {
    const sources = ["a", "b", "c"].map((name) => Array.from({ length: 100 }, () => name));
    const got = await toArray(merge(sources));
    for (const name of ["a", "b", "c"]) {
      const places = got.flatMap((value, index) => (value === name ? [index] : []));
      const gaps = places.slice(1).map((place, index) => place - (places[index] ?? 0));
      expect(Math.max(...gaps)).toBeLessThanOrEqual(3);
    }
  });

  test("a silent source does not hold up the others", async () => {
    const silent = new Probe(["silence"]);
    const reader = merge([silent, [1, 2]])[Symbol.asyncIterator]();
    expect([(await reader.next()).value, (await reader.next()).value]).toEqual([1, 2]);
    await reader.return();
    expect(silent.returns).toBe(1);
  });
});
