import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DueQueue } from "../../../core/patterns/due-queue.ts";
import type { ForwardedRows } from "../../../core/patterns/forwarded-rows.ts";
import { KeeperMachine, MAX_EVENTS, MAX_KEEPER_BYTES } from "../../../core/patterns/keeper-machine.ts";
import { MAX_EVENTS_PER_KEY } from "../../../core/patterns/pattern-state.ts";
import type { StoredPattern } from "../../../core/patterns/plan.ts";
import { rowsPart } from "./rows.ts";

const step = { filter: "true" };

const pattern: StoredPattern = {
  id: 1,
  version: 1,
  definition: {
    name: "p",
    kind: "sequence",
    within: "1s",
    first: { filter: "true" },
    second: { filter: "true" },
    allowed_lateness: "1d",
  },
};

/** One event a millisecond, all of which follow one another. */
function rows(count: number, keyOf: (k: number) => string, from = 0): ForwardedRows {
  const list = Array.from({ length: count }, (_, k) => from + k);
  return rowsPart(list.map((at, k) => ({ pattern: 1, key: keyOf(k), at, id: `e${at}`, steps: 3 })));
}

function retimed(allowed: string): StoredPattern {
  return { ...pattern, definition: { ...pattern.definition, allowed_lateness: allowed } };
}

function machineOf(maxEvents?: number): KeeperMachine {
  return new KeeperMachine([pattern], [], () => {}, maxEvents);
}

const late = (at: number): ForwardedRows => rowsPart([{ pattern: 1, key: "null", at, id: `late${at}`, steps: 3 }]);

const countsOf = (machine: KeeperMachine) => machine.patterns.get(1)?.counts;

describe("a keeper's limits", () => {
  test("a key at its limit keeps everything; one event more drops a tenth, the oldest, and says so", () => {
    const machine = machineOf();
    machine.take({ rows: rows(MAX_EVENTS_PER_KEY, () => "null") });
    expect([machine.size, countsOf(machine)?.dropped]).toEqual([MAX_EVENTS_PER_KEY, 0]);
    machine.take({ rows: rows(1, () => "null", MAX_EVENTS_PER_KEY) });
    const kept = MAX_EVENTS_PER_KEY * 0.9;
    expect([machine.size, countsOf(machine)?.dropped]).toEqual([kept, MAX_EVENTS_PER_KEY + 1 - kept]);
  });

  test("what was told of dropped events stands, and events that would have to be seen with them are refused", () => {
    const machine = machineOf();
    machine.take({ rows: rows(MAX_EVENTS_PER_KEY, () => "null"), watermarks: [[1, MAX_EVENTS_PER_KEY]] });
    machine.take({ rows: rows(1, () => "null", MAX_EVENTS_PER_KEY) });
    expect(machine.take({ rows: late(2000) })).toEqual([]);
    expect(countsOf(machine)?.tooLate).toBe(1);
    // Well behind what was dropped, and before the watermark: a pair is split in two.
    const kinds = machine.take({ rows: late(10_000.5) }).map(({ kind }) => kind);
    expect(kinds.toSorted()).toEqual(["matched", "matched", "retracted"]);
  });

  test("a keeper over its limit drops the oldest events of all keys alike", () => {
    const machine = machineOf(1000);
    machine.take({ rows: rows(1000, (k) => `${k % 10}`) });
    expect(machine.size).toBe(1000);
    machine.take({ rows: rows(1, () => "0", 1000) });
    expect(machine.size).toBe(900);
    for (const { events } of machine.patterns.get(1)?.keys.values() ?? [])
      expect(events.size).toBeGreaterThanOrEqual(89);
    expect(countsOf(machine)?.dropped).toBe(101);
  });

  test.each([
    ["many keys", (k: number) => ({ key: `"user-${k}"`, id: `e${k}` })],
    ["long keys", (k: number) => ({ key: JSON.stringify(`${k}`.padEnd(1000, "x")), id: `e${k}` })],
    ["long ids", (k: number) => ({ key: "null", id: `${k}`.padEnd(5000, "x") })],
  ])("a keeper over its memory drops the oldest events: %s", (_, nameOf) => {
    const machine = machineOf();
    let sent = 0;
    while (countsOf(machine)?.dropped === 0) {
      const batch = Array.from({ length: 1000 }, () => sent++);
      machine.take({ rows: rowsPart(batch.map((k) => ({ pattern: 1, at: k, steps: 3, ...nameOf(k) }))) });
      expect(machine.bytes).toBeLessThanOrEqual(MAX_KEEPER_BYTES);
    }
    expect(machine.bytes).toBeGreaterThan(MAX_KEEPER_BYTES * 0.85);
    expect(sent).toBeLessThan(MAX_EVENTS);
    const oldest = [...(machine.patterns.get(1)?.keys.values() ?? [])].map(({ events }) => events.at(0));
    expect(Math.min(...oldest)).toBe(countsOf(machine)?.dropped);
  });

  test("events of one moment go as a whole, as none is the oldest", () => {
    const machine = machineOf(100);
    const flood = Array.from({ length: 101 }, (_, k) => ({
      pattern: 1,
      key: `${k % 7}`,
      at: 5,
      id: `e${k}`,
      steps: 3,
    }));
    machine.take({ rows: rowsPart(flood) });
    expect([machine.size, countsOf(machine)?.dropped]).toEqual([0, 101]);
    const ofOne = machineOf();
    ofOne.take({
      rows: rowsPart(
        Array.from({ length: MAX_EVENTS_PER_KEY + 1 }, (_, k) => ({
          pattern: 1,
          key: "1",
          at: 5,
          id: `e${k}`,
          steps: 3,
        })),
      ),
    });
    expect([ofOne.size, ofOne.bytes]).toEqual([0, 0]);
  });

  test("a key dropped as a whole refuses what is not newer, as if it were still there", () => {
    const machine = machineOf(10);
    machine.take({ rows: rows(1, () => "gone") });
    machine.take({ rows: rows(12, () => "busy", 5000) });
    expect(machine.patterns.get(1)?.keys.has("gone")).toBe(false);
    const gone = { pattern: 1, key: "gone", steps: 3 };
    machine.take({
      rows: rowsPart([
        { ...gone, at: 0, id: "a" },
        { ...gone, at: 1, id: "b" },
      ]),
    });
    expect(countsOf(machine)?.tooLate).toBe(1);
  });

  test.each([
    ["sequence", { kind: "sequence", first: step, second: step }, 8000 * 4],
    ["count", { kind: "count", event: step, times: 4 }, 8000],
  ] as const)("in order, a key of a %s matches the same beyond its limit", (_, fields, matches) => {
    const definition = { name: "p", within: "10ms", allowed_lateness: "1d", ...fields };
    const machine = new KeeperMachine([{ id: 1, version: 1, definition }], [], () => {});
    // Bursts of five, each of which is four pairs and one count.
    for (let burst = 0; burst < 8000; burst++)
      machine.take({ rows: rows(5, () => "null", burst * 100), watermarks: [[1, burst * 100 + 50]] });
    expect(countsOf(machine)).toMatchObject({ matches, retracted: 0, tooLate: 0 });
    expect(countsOf(machine)?.dropped).toBeGreaterThan(20_000);
  });

  test("with a longer allowed_lateness nothing is taken that what was forgotten would have to be seen with", () => {
    const machine = machineOf();
    machine.take({ patterns: [retimed("1s")] });
    machine.take({ rows: rows(1, () => "null", 100_000), watermarks: [[1, 100_000]] });
    machine.take({ patterns: [retimed("1h")] });
    machine.take({ rows: late(99_000) });
    machine.take({ rows: late(99_001) });
    expect(countsOf(machine)).toMatchObject({ late: 1, tooLate: 1 });
  });
});

describe("names that are due", () => {
  test("come out in order of time, each once, at the time it was given last", () => {
    const action = fc.tuple(fc.constantFrom("a", "b", "c", "d", "e"), fc.oneof(fc.nat(50), fc.constant(Infinity)));
    fc.assert(
      fc.property(fc.array(action, { maxLength: 400 }), fc.nat(50), (actions, until) => {
        const queue = new DueQueue();
        for (const [name, at] of actions) queue.set(name, at);
        const times = [...new Map(actions)].filter(([, at]) => at !== Infinity).map(([name, at]) => ({ name, at }));
        const due = times.filter(({ at }) => at <= until);
        const taken = queue.takeThrough(until);
        expect(taken.toSorted()).toEqual(due.map(({ name }) => name).toSorted());
        const atOf = (name: string): number => times.find((one) => one.name === name)?.at ?? NaN;
        expect(taken.map(atOf)).toEqual(taken.map(atOf).toSorted((a, b) => a - b));
        const rest = times.filter(({ at }) => at > until).map(({ at }) => at);
        expect(queue.nextAt).toBe(Math.min(Infinity, ...rest));
      }),
      { numRuns: 500 },
    );
  });
});
