// The rules of Reactive Streams and of the iterator protocol, each against every operator.
import { describe, expect, test } from "vitest";
import { toArray } from "../../../core/streams/collect.ts";
import type { Stream } from "../../../core/streams/source.ts";
import { OPERATORS, type OperatorCase } from "./operators.ts";
import { counting, Probe, settle } from "./probe.ts";

type Script = ConstructorParameters<typeof Probe>[0];

function build(operator: OperatorCase, script: Script, first = script): { probes: Probe[]; stream: Stream<unknown> } {
  const probes = Array.from({ length: operator.sources }, (_, index) => new Probe(index === 0 ? first : script));
  return { probes, stream: operator.make(probes) };
}

const DONE = { done: true, value: undefined };

describe.each(OPERATORS)("$name", (operator) => {
  /** What comes of sources 1 … 4, read politely. */
  const expected = (): Promise<unknown[]> => toArray(build(operator, counting(4)).stream);

  test("touches no source before the first next()", async () => {
    const { probes, stream } = build(operator, counting(4));
    stream[Symbol.asyncIterator]();
    await settle();
    expect(probes.map(({ opened, pulls }) => [opened, pulls])).toEqual(probes.map(() => [0, 0]));
  });

  test("reads no further ahead than it says", async () => {
    const { probes, stream } = build(operator, counting(30));
    const reader = stream[Symbol.asyncIterator]();
    for (let results = 1; results <= 4; results++) {
      await reader.next();
      await settle();
      const pulls = Math.max(...probes.map((probe) => probe.pulls));
      expect(pulls).toBeLessThanOrEqual(operator.needs(results) + operator.ahead);
    }
    await reader.return();
  });

  test("is done after the end, however often it is asked, and then closes nothing", async () => {
    const { probes, stream } = build(operator, counting(2));
    const reader = stream[Symbol.asyncIterator]();
    while ((await reader.next()).done !== true);
    expect([await reader.next(), await reader.next(), await reader.return()]).toEqual([DONE, DONE, DONE]);
    for (const probe of probes) expect(probe.returns).toBe(0);
  });

  test("overlapping next() calls settle in order, each with its own item", async () => {
    const items = await expected();
    const reader = build(operator, counting(4)).stream[Symbol.asyncIterator]();
    const settled: number[] = [];
    const calls = Array.from({ length: items.length + 2 }, async (_, index) => {
      const step = await reader.next();
      settled.push(index);
      return step;
    });
    const steps = await Promise.all(calls);
    expect(steps.slice(0, items.length).map((step) => step.value)).toEqual(items);
    expect(steps.slice(items.length)).toEqual([DONE, DONE]);
    expect(settled).toEqual(settled.map((_, index) => index));
  });

  test("an error is told once, ends it, and closes the other sources but not the failed one", async () => {
    const error = new Error("broken");
    const { probes, stream } = build(operator, counting(50, "silence"), [1, 2, error, 4]);
    const reader = stream[Symbol.asyncIterator]();
    const outcomes = await Promise.allSettled(Array.from({ length: 40 }, () => reader.next()));
    const failures = outcomes.filter((outcome) => outcome.status === "rejected");
    expect(failures.map(({ reason }) => reason)).toEqual([error]);
    const after = outcomes.slice(outcomes.findIndex((outcome) => outcome.status === "rejected") + 1);
    for (const outcome of after) expect(outcome).toMatchObject({ value: DONE });
    expect(await reader.next()).toEqual(DONE);
    expect(await reader.return()).toEqual(DONE);
    expect(probes.map((probe) => probe.returns)).toEqual(probes.map((_, index) => (index === 0 ? 0 : 1)));
  });

  test("return() reaches every source in the same tick, even in the middle of a read", async () => {
    const { probes, stream } = build(operator, ["silence"]);
    const reader = stream[Symbol.asyncIterator]();
    const reads = [reader.next(), reader.next()];
    await settle();
    expect(probes.map((probe) => probe.pulls)).toEqual(probes.map(() => 1));
    const returned = reader.return();
    expect(probes.map((probe) => probe.returns)).toEqual(probes.map(() => 1));
    expect(await Promise.all([...reads, returned])).toEqual([DONE, DONE, DONE]);
  });

  test("return() may come again and at the same time; each source is closed once", async () => {
    const { probes, stream } = build(operator, ["silence"]);
    const reader = stream[Symbol.asyncIterator]();
    const read = reader.next();
    await settle();
    expect(await Promise.all([read, reader.return(), reader.return()])).toEqual([DONE, DONE, DONE]);
    expect([await reader.return(), await reader.next()]).toEqual([DONE, DONE]);
    for (const probe of probes) expect(probe.returns).toBe(1);
  });

  test("what was in flight when it was stopped never comes out, and asks for nothing more", async () => {
    const { probes, stream } = build(operator, ["silence", 5, 6, 7]);
    const reader = stream[Symbol.asyncIterator]();
    const read = reader.next();
    await settle();
    await reader.return();
    for (const probe of probes) probe.answer();
    await settle();
    expect([await read, await reader.next()]).toEqual([DONE, DONE]);
    expect(probes.map((probe) => probe.pulls)).toEqual(probes.map(() => 1));
  });

  test("throw() closes every source and rejects with the error", async () => {
    const { probes, stream } = build(operator, ["silence"]);
    const reader = stream[Symbol.asyncIterator]();
    const read = reader.next();
    await settle();
    const error = new Error("mine");
    await expect(reader.throw(error)).rejects.toBe(error);
    expect(await read).toEqual(DONE);
    for (const probe of probes) expect(probe.returns).toBe(1);
  });

  test("await using closes every source", async () => {
    const { probes, stream } = build(operator, ["silence"]);
    const scope = async (): Promise<void> => {
      await using reader = stream[Symbol.asyncIterator]();
      void reader.next();
      await settle();
    };
    await scope();
    for (const probe of probes) expect(probe.returns).toBe(1);
  });

  test("each iterator reads the sources anew", async () => {
    const { probes, stream } = build(operator, counting(4));
    expect(await toArray(stream)).toEqual(await toArray(stream));
    for (const probe of probes) expect(probe.opened).toBe(2);
  });

  test("a source that cannot be opened is an error like any other", async () => {
    const error = new Error("cannot open");
    const broken: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => {
        throw error;
      },
    };
    const others = Array.from({ length: operator.sources - 1 }, () => new Probe(["silence"]));
    const reader = operator.make([...others, broken])[Symbol.asyncIterator]();
    await expect(reader.next()).rejects.toBe(error);
    expect(await reader.next()).toEqual(DONE);
    for (const probe of others) expect(probe.returns).toBe(probe.opened);
  });

  test("100,000 items that are there at once do not grow the stack", async () => {
    const items = Array.from({ length: 100_000 / operator.sources }, (_, index) => index + 1);
    const stream = operator.make(Array.from({ length: operator.sources }, () => items));
    let results = 0;
    for await (const _ of stream) results += 1;
    expect(results).toBeGreaterThan(0);
  });
});

describe.each(OPERATORS.filter(({ name }) => name !== "flatMap, over its inner sources"))("$name", (operator) => {
  test("return() before the first next() closes the sources and reads nothing", async () => {
    const { probes, stream } = build(operator, counting(4));
    const reader = stream[Symbol.asyncIterator]();
    expect(await reader.return()).toEqual(DONE);
    expect(await reader.next()).toEqual(DONE);
    expect(probes.map(({ pulls, returns }) => [pulls, returns])).toEqual(probes.map(() => [0, 1]));
  });
});

describe.each(OPERATORS.filter(({ name }) => name !== "reduce"))("$name", (operator) => {
  test("leaving the loop early closes every source", async () => {
    const { probes, stream } = build(operator, counting(50));
    for await (const _ of stream) break;
    expect(probes.map((probe) => probe.returns)).toEqual(probes.map(() => 1));
  });

  test("nothing comes after return()", async () => {
    const { stream } = build(operator, counting(50));
    const reader = stream[Symbol.asyncIterator]();
    await reader.next();
    const returned = reader.return();
    expect(await reader.next()).toEqual(DONE);
    expect(await returned).toEqual(DONE);
  });
});
