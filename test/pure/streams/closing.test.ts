import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { abortable } from "../../../core/streams/abort.ts";
import { toArray } from "../../../core/streams/collect.ts";
import { flatMap } from "../../../core/streams/flat-map.ts";
import { map } from "../../../core/streams/map.ts";
import { merge } from "../../../core/streams/merge.ts";
import { pipe } from "../../../core/streams/pipe.ts";
import type { Source, Stream } from "../../../core/streams/source.ts";
import { take } from "../../../core/streams/take.ts";
import { zip } from "../../../core/streams/zip.ts";
import { OPERATORS } from "./operators.ts";
import { counting, Probe, settle } from "./probe.ts";

const JOINS: readonly (readonly [string, (sources: readonly Source<number>[]) => Stream<unknown>])[] = [
  ["merge", (sources) => merge(sources)],
  ["zip", (sources) => zip([...sources])],
  [
    "flatMap",
    (sources) =>
      pipe(
        sources,
        flatMap((source) => source, { concurrency: 6 }),
      ),
  ],
];

describe("of six sources", () => {
  test.each(JOINS)("an early exit from %s closes 6 of 6", async (_, join) => {
    const probes = Array.from({ length: 6 }, () => new Probe(counting(9)));
    const reader = join(probes)[Symbol.asyncIterator]();
    for (let read = 0; read < 6; read++) await reader.next();
    await reader.return();
    expect(probes.map((probe) => probe.returns)).toEqual([1, 1, 1, 1, 1, 1]);
  });

  test.each(JOINS)("an error in one closes 5 of the other 5, through %s", async (_, join) => {
    const others = Array.from({ length: 5 }, () => new Probe(counting(9, "silence")));
    const failing = new Probe([1, new Error("broken")]);
    await expect(toArray(join([failing, ...others]))).rejects.toThrow("broken");
    expect(others.map((probe) => probe.returns)).toEqual([1, 1, 1, 1, 1]);
  });

  test.each(JOINS)("an error after %s closes 6 of 6", async (_, join) => {
    const probes = Array.from({ length: 6 }, () => new Probe(counting(9)));
    const stream = pipe(
      join(probes),
      map((_, index) => {
        if (index === 6) throw new Error("mine");
      }),
    );
    await expect(toArray(stream)).rejects.toThrow("mine");
    expect(probes.map((probe) => probe.returns)).toEqual([1, 1, 1, 1, 1, 1]);
  });
});

test("zip ends with the shortest although another is silent, and closes it", async () => {
  const silent = new Probe(["silence"]);
  expect(await toArray(zip([[], silent]))).toEqual([]);
  expect(silent.returns).toBe(1);
});

async function* hanging(): AsyncGenerator<number> {
  await new Promise(() => undefined);
  yield 1;
}

test("an async generator that hangs does not keep the end or an error from the consumer", async () => {
  expect(await toArray(zip([hanging(), []]))).toEqual([]);
  await expect(toArray(merge([hanging(), new Probe([new Error("broken")])]))).rejects.toThrow("broken");
});

test("an error that comes while nobody asks closes the others at once", async () => {
  const failing = new Probe([1, new Error("broken")]);
  const other = new Probe(counting(9));
  const reader = merge([failing, other])[Symbol.asyncIterator]();
  await reader.next();
  await reader.next();
  await settle();
  expect(other.returns).toBe(1);
  await expect(reader.next()).rejects.toThrow("broken");
});

const refusing = (): Source<number> => ({
  [Symbol.asyncIterator]: () => ({
    next: async () => ({ done: false, value: 1 }),
    return: () => Promise.reject(new Error("cannot close")),
  }),
});

describe("a source that fails to close", () => {
  test("makes the first return() reject, and only that", async () => {
    const reader = pipe(refusing(), map(Number))[Symbol.asyncIterator]();
    await reader.next();
    await expect(reader.return()).rejects.toThrow("cannot close");
    expect((await reader.return()).done).toBe(true);
  });

  test("is an error where an operator closes it at the end", async () => {
    await expect(toArray(pipe(refusing(), take(1)))).rejects.toThrow("cannot close");
  });

  test("does not hide the error that closed it", async () => {
    const stream = zip([refusing(), new Probe([new Error("first")])]);
    await expect(toArray(stream)).rejects.toThrow("first");
  });
});

test("an item that arrives after return() reaches no function of the user", async () => {
  const seen: unknown[] = [];
  const probe = new Probe(["silence"]);
  const reader = pipe(
    probe,
    map((value) => seen.push(value)),
  )[Symbol.asyncIterator]();
  const read = reader.next();
  await settle();
  await reader.return();
  probe.answer();
  await settle();
  expect([(await read).done, seen]).toEqual([true, []]);
});

describe("abortable", () => {
  test("closes a silent source at once and rejects with the reason, once", async () => {
    const probe = new Probe(["silence"]);
    const controller = new AbortController();
    const reader = pipe(probe, abortable(controller.signal), map(Number))[Symbol.asyncIterator]();
    const reads = [reader.next(), reader.next()];
    await settle();
    controller.abort(new Error("enough"));
    expect(probe.returns).toBe(1);
    await expect(reads[0]).rejects.toThrow("enough");
    expect((await reads[1])?.done).toBe(true);
  });

  test("closes the source while nobody asks; the next to ask gets the reason", async () => {
    const probe = new Probe(counting(9));
    const controller = new AbortController();
    const reader = pipe(probe, abortable(controller.signal))[Symbol.asyncIterator]();
    await reader.next();
    controller.abort(new Error("enough"));
    expect(probe.returns).toBe(1);
    await expect(reader.next()).rejects.toThrow("enough");
  });

  test("reads nothing when it was aborted before", async () => {
    const probe = new Probe(counting(9));
    await expect(toArray(pipe(probe, abortable(AbortSignal.abort(new Error("early")))))).rejects.toThrow("early");
    expect([probe.pulls, probe.returns]).toEqual([0, 1]);
  });

  test("lets go of the signal at the end", async () => {
    const listeners = new Set<() => void>();
    const signal = {
      aborted: false,
      reason: undefined,
      addEventListener: (_: "abort", listener: () => void) => void listeners.add(listener),
      removeEventListener: (_: "abort", listener: () => void) => void listeners.delete(listener),
    };
    const reader = pipe([1], abortable(signal))[Symbol.asyncIterator]();
    await reader.next();
    expect(listeners.size).toBe(1);
    await reader.next();
    expect(listeners.size).toBe(0);
  });
});

async function closedReader(make: (typeof OPERATORS)[number]) {
  const probes = Array.from({ length: make.sources }, () => new Probe(counting(9)));
  const refs = probes.map((probe) => new WeakRef(probe));
  const reader = make.make(probes)[Symbol.asyncIterator]();
  await reader.next();
  await reader.return();
  return { reader, refs };
}

describe("a closed reader", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");

  test.each(OPERATORS)("of $name holds no source", async (operator) => {
    const { reader, refs } = await closedReader(operator);
    await expect
      .poll(() => {
        collect();
        return refs.filter((ref) => ref.deref() !== undefined).length;
      })
      .toBe(0);
    expect((await reader.next()).done).toBe(true);
  });
});
