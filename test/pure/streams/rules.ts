import { expect } from "vitest";
import type { Source } from "../../../core/streams/source.ts";
import { counting, Probe, settle } from "./probe.ts";

/** One operator in a form that lets every item through, so that the same rules can be checked on all of them. */
export interface OperatorCase {
  readonly name: string;
  /** How many sources `make` wants. */
  readonly sources: number;
  make(sources: readonly Source<number>[]): AsyncIterable<unknown>;
  /** Items of each source that n results need at most. */
  needs(results: number): number;
  /** Items read ahead of each source, as documented. */
  readonly ahead: number;
}

/** What every operator must do. */
export interface Rule {
  readonly name: string;
  /** Numbers of the Reactive Streams specification, or the protocol, that it stands for. */
  readonly source: string;
  /** Operators it is about; default: all. */
  readonly only?: (operator: OperatorCase) => boolean;
  /** Takes many turns of the event loop, but settles. */
  readonly isLong?: boolean;
  /** @throws when the operator breaks it; may also never settle */
  check(operator: OperatorCase): Promise<void>;
}

type Script = ConstructorParameters<typeof Probe>[0];

/** An iterator as the rules want it; what a library's lacks is a TypeError when it is used. */
type Reader = AsyncIterator<unknown> & Required<Pick<AsyncIterator<unknown>, "return" | "throw">> & AsyncDisposable;

function open(stream: AsyncIterable<unknown>): Reader {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- other libraries' iterators may lack some: that is what is found out
  return stream[Symbol.asyncIterator]() as Reader;
}

function build(
  operator: OperatorCase,
  script: Script,
  first = script,
): { probes: Probe[]; stream: AsyncIterable<unknown> } {
  const probes = Array.from({ length: operator.sources }, (_, index) => new Probe(index === 0 ? first : script));
  return { probes, stream: operator.make(probes) };
}

async function toArray(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const items: unknown[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

const DONE = { done: true, value: undefined };

/** The rules of Reactive Streams and of the iterator protocol. */
export const RULES: readonly Rule[] = [
  {
    name: "touches no source before the first next()",
    source: "1.9",
    async check(operator) {
      const { probes, stream } = build(operator, counting(4));
      open(stream);
      await settle();
      expect(probes.map(({ opened, pulls }) => [opened, pulls])).toEqual(probes.map(() => [0, 0]));
    },
  },
  {
    name: "reads no further ahead than it says",
    source: "1.1",
    async check(operator) {
      const { probes, stream } = build(operator, counting(30));
      const reader = open(stream);
      for (let results = 1; results <= 4; results++) {
        await reader.next();
        await settle();
        const pulls = Math.max(...probes.map((probe) => probe.pulls));
        expect(pulls).toBeLessThanOrEqual(operator.needs(results) + operator.ahead);
      }
      await reader.return();
    },
  },
  {
    name: "is done after the end, however often it is asked, and then closes nothing",
    source: "1.2, 1.5, 1.7",
    async check(operator) {
      const { probes, stream } = build(operator, counting(2));
      const reader = open(stream);
      while ((await reader.next()).done !== true);
      expect([await reader.next(), await reader.next(), await reader.return()]).toEqual([DONE, DONE, DONE]);
      for (const probe of probes) expect(probe.returns).toBe(0);
    },
  },
  {
    name: "overlapping next() calls settle in order, each with its own item",
    source: "1.3",
    async check(operator) {
      const items = await toArray(build(operator, counting(4)).stream);
      const reader = open(build(operator, counting(4)).stream);
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
    },
  },
  {
    name: "an error is told once, ends it, and closes the other sources but not the failed one",
    source: "1.4, 1.7, 4.2",
    async check(operator) {
      const error = new Error("broken");
      const { probes, stream } = build(operator, counting(50, "silence"), [1, 2, error, 4]);
      const reader = open(stream);
      const outcomes = await Promise.allSettled(Array.from({ length: 40 }, () => reader.next()));
      const failures = outcomes.filter((outcome) => outcome.status === "rejected");
      expect(failures.map(({ reason }) => reason)).toEqual([error]);
      const after = outcomes.slice(outcomes.findIndex((outcome) => outcome.status === "rejected") + 1);
      for (const outcome of after) expect(outcome).toMatchObject({ value: DONE });
      expect(await reader.next()).toEqual(DONE);
      expect(await reader.return()).toEqual(DONE);
      expect(probes.map((probe) => probe.returns)).toEqual(probes.map((_, index) => (index === 0 ? 0 : 1)));
    },
  },
  {
    name: "return() reaches every source in the same tick, even in the middle of a read",
    source: "1.6, 2.6, 3.12",
    async check(operator) {
      const { probes, stream } = build(operator, ["silence"]);
      const reader = open(stream);
      const reads = [reader.next(), reader.next()];
      await settle();
      expect(probes.map((probe) => probe.pulls)).toEqual(probes.map(() => 1));
      const returned = reader.return();
      expect(probes.map((probe) => probe.returns)).toEqual(probes.map(() => 1));
      expect(await Promise.all([...reads, returned])).toEqual([DONE, DONE, DONE]);
    },
  },
  {
    name: "return() may come again and at the same time; each source is closed once",
    source: "3.5, 3.7",
    async check(operator) {
      const { probes, stream } = build(operator, ["silence"]);
      const reader = open(stream);
      const read = reader.next();
      await settle();
      expect(await Promise.all([read, reader.return(), reader.return()])).toEqual([DONE, DONE, DONE]);
      expect([await reader.return(), await reader.next()]).toEqual([DONE, DONE]);
      for (const probe of probes) expect(probe.returns).toBe(1);
    },
  },
  {
    name: "what was in flight when it was stopped never comes out, and asks for nothing more",
    source: "1.8, 2.8",
    async check(operator) {
      const { probes, stream } = build(operator, ["silence", 5, 6, 7]);
      const reader = open(stream);
      const read = reader.next();
      await settle();
      await reader.return();
      for (const probe of probes) probe.answer();
      await settle();
      expect([await read, await reader.next()]).toEqual([DONE, DONE]);
      expect(probes.map((probe) => probe.pulls)).toEqual(probes.map(() => 1));
    },
  },
  {
    name: "throw() closes every source and rejects with the error",
    source: "iterator protocol",
    async check(operator) {
      const { probes, stream } = build(operator, ["silence"]);
      const reader = open(stream);
      const read = reader.next();
      await settle();
      const error = new Error("mine");
      await expect(reader.throw(error)).rejects.toBe(error);
      expect(await read).toEqual(DONE);
      for (const probe of probes) expect(probe.returns).toBe(1);
    },
  },
  {
    name: "await using closes every source",
    source: "iterator protocol",
    async check(operator) {
      const { probes, stream } = build(operator, ["silence"]);
      const scope = async (): Promise<void> => {
        await using reader = open(stream);
        void reader.next();
        await settle();
      };
      await scope();
      for (const probe of probes) expect(probe.returns).toBe(1);
    },
  },
  {
    name: "each iterator reads the sources anew",
    source: "1.11",
    async check(operator) {
      const { probes, stream } = build(operator, counting(4));
      expect(await toArray(stream)).toEqual(await toArray(stream));
      for (const probe of probes) expect(probe.opened).toBe(2);
    },
  },
  {
    name: "a source that cannot be opened is an error like any other",
    source: "1.4, 4.2",
    async check(operator) {
      const error = new Error("cannot open");
      const broken: AsyncIterable<number> = {
        [Symbol.asyncIterator]: () => {
          throw error;
        },
      };
      const others = Array.from({ length: operator.sources - 1 }, () => new Probe(["silence"]));
      const reader = open(operator.make([...others, broken]));
      await expect(reader.next()).rejects.toBe(error);
      expect(await reader.next()).toEqual(DONE);
      for (const probe of others) expect(probe.returns).toBe(probe.opened);
    },
  },
  {
    name: "100,000 items that are there at once do not grow the stack",
    source: "3.2, 3.3",
    isLong: true,
    async check(operator) {
      const items = Array.from({ length: 100_000 / operator.sources }, (_, index) => index + 1);
      const stream = operator.make(Array.from({ length: operator.sources }, () => items));
      let results = 0;
      for await (const _ of stream) results += 1;
      expect(results).toBeGreaterThan(0);
    },
  },
  {
    name: "return() before the first next() closes the sources and reads nothing",
    source: "3.5",
    only: ({ name }) => name !== "flatMap, over its inner sources",
    async check(operator) {
      const { probes, stream } = build(operator, counting(4));
      const reader = open(stream);
      expect(await reader.return()).toEqual(DONE);
      expect(await reader.next()).toEqual(DONE);
      expect(probes.map(({ pulls, returns }) => [pulls, returns])).toEqual(probes.map(() => [0, 1]));
    },
  },
  {
    name: "leaving the loop early closes every source",
    source: "1.6, 3.12",
    only: ({ name }) => name !== "reduce",
    async check(operator) {
      const { probes, stream } = build(operator, counting(50));
      for await (const _ of stream) break;
      expect(probes.map((probe) => probe.returns)).toEqual(probes.map(() => 1));
    },
  },
  {
    name: "nothing comes after return()",
    source: "1.8, 3.6",
    only: ({ name }) => name !== "reduce",
    async check(operator) {
      const { stream } = build(operator, counting(50));
      const reader = open(stream);
      await reader.next();
      const returned = reader.return();
      expect(await reader.next()).toEqual(DONE);
      expect(await returned).toEqual(DONE);
    },
  },
  {
    name: "of six sources an early exit closes 6",
    source: "1.6, 3.12",
    only: joins,
    async check(operator) {
      const probes = Array.from({ length: 6 }, () => new Probe(counting(10_000)));
      const reader = open(operator.make(probes));
      for (let read = 0; read < 6; read++) await reader.next();
      await reader.return();
      expect(probes.map((probe) => probe.returns)).toEqual([1, 1, 1, 1, 1, 1]);
    },
  },
  {
    name: "of six sources an error in one closes the other 5",
    source: "1.4, 4.2",
    only: joins,
    async check(operator) {
      const others = Array.from({ length: 5 }, () => new Probe(counting(9, "silence")));
      const failing = new Probe([1, new Error("broken")]);
      await expect(toArray(operator.make([failing, ...others]))).rejects.toThrow("broken");
      expect(others.map((probe) => probe.returns)).toEqual([1, 1, 1, 1, 1]);
    },
  },
];

/** Operators that take as many sources as one likes, each of which must be read to get an item of all. */
function joins({ name }: OperatorCase): boolean {
  return name === "merge" || name === "zip";
}
