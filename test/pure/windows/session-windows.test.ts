import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StreamEvent } from "../../../core/events/event.ts";
import type { Definition } from "../../../core/windows/definition.ts";
import { SimulatedShard } from "./simulated-shard.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const T0 = Date.parse("2026-05-17T10:00:00Z");
const sessions: Definition = {
  name: "sessions",
  window: { type: "session", gap: "10m" },
  group_by: ["data.kind"],
  measures: { events: { fn: "count" } },
};

let made = 0;
function event(atMs: number, kind = "x", receivedAt = atMs): StreamEvent {
  const id = `e${made++}`;
  return { id, type: "t", source: "a", timestamp: atMs, receivedAt, severity: "low", data: { kind }, metadata: {} };
}

/** Sessions as [start, end, revision, status, events], times in minutes from T0. */
function listed(shard: SimulatedShard): unknown[] {
  const aggregation = shard.machine.aggregations.get("sessions");
  if (aggregation === undefined) throw new Error("no such aggregation");
  return shard.list(aggregation).map(({ start, end, revision, closed, groups }) => {
    const events = [...groups.values()].map(({ accumulators }) => accumulators[0]?.result(1));
    return [(start - T0) / MINUTE, (end - T0) / MINUTE, revision, closed ? "closed" : "open", ...events];
  });
}

const restarts: readonly (readonly [string, (shard: SimulatedShard) => void])[] = [
  ["in memory", () => {}],
  [
    "after a checkpoint and a crash",
    (shard) => {
      shard.checkpoint();
      shard.crash();
    },
  ],
];

describe.each(restarts)("sessions %s", (_, restart) => {
  test("a late event joins a closed session to an open one: open again, one revision more", () => {
    const shard = new SimulatedShard([sessions]);
    shard.offer([event(T0), event(T0 + 15 * MINUTE)]);
    shard.offer([event(T0 + 16 * MINUTE)]);
    expect(listed(shard)).toEqual([
      [0, 10, 0, "closed", 1],
      [15, 26, 0, "open", 2],
    ]);
    restart(shard);
    shard.offer([event(T0 + 8 * MINUTE)]);
    shard.resolve();
    expect(listed(shard)).toEqual([[0, 26, 1, "open", 4]]);
    shard.tick(T0 + HOUR);
    expect(shard.closings.at(-1)).toMatchObject({ start: T0, revision: 1 });
  });

  test("a late event joins two closed sessions: the larger revision and one more", () => {
    const shard = new SimulatedShard([sessions]);
    shard.offer([event(T0), event(T0 + 15 * MINUTE), event(T0 + 2 * HOUR, "y")]);
    shard.offer([event(T0 + 16 * MINUTE)]);
    restart(shard);
    shard.offer([event(T0 + 8 * MINUTE)]);
    shard.resolve();
    expect(listed(shard)).toEqual([
      [0, 26, 2, "closed", 4],
      [120, 130, 0, "open", 1],
    ]);
  });

  test("one that goes on for months is found by a late event anywhere in it", () => {
    const shard = new SimulatedShard([sessions]);
    const days = 60;
    for (let day = 0; day < days; day++) {
      const from = T0 + day * 24 * HOUR;
      shard.offer(Array.from({ length: 160 }, (__, k) => event(from + k * 9 * MINUTE)));
    }
    const end = (days - 1) * 24 * 60 + 159 * 9 + 10;
    expect(listed(shard)).toEqual([[0, end, 0, "open", days * 160]]);
    restart(shard);
    shard.offer([event(T0 + 30 * 24 * HOUR + 1), event(T0 - 20 * MINUTE)]);
    shard.resolve();
    expect(listed(shard)).toEqual([
      [-20, -10, 0, "closed", 1],
      [0, end, 0, "open", days * 160 + 1],
    ]);
  });
});

describe("sessions", () => {
  test("events of a group a gap apart are two sessions, a millisecond less and they are one", () => {
    const shard = new SimulatedShard([sessions]);
    shard.offer([
      event(T0, "apart"),
      event(T0 + 10 * MINUTE, "apart"),
      event(T0, "joined"),
      event(T0 + 10 * MINUTE - 1, "joined"),
    ]);
    expect(listed(shard)).toHaveLength(3);
  });

  test("those that end at the same time are told in order of start and group", () => {
    const shard = new SimulatedShard([sessions]);
    shard.offer([event(T0, "b"), event(T0 + MINUTE, "b"), event(T0 + MINUTE, "a"), event(T0 + HOUR, "c")]);
    expect(shard.closings.map(({ start, end }) => [start - T0, end - T0])).toEqual([
      [0, 11 * MINUTE],
      [MINUTE, 11 * MINUTE],
    ]);
  });

  test("groups beyond max_groups share the overflow group's sessions, and the total stays exact", () => {
    const shard = new SimulatedShard([{ ...sessions, max_groups: 2 }]);
    shard.offer(Array.from({ length: 10 }, (_, k) => event(T0 + k, `kind${k}`)));
    expect(listed(shard).map((entry) => (Array.isArray(entry) ? entry.at(-1) : entry))).toEqual([1, 1, 8]);
  });

  test("an idle check is due when the first of them would end, however often it grew", () => {
    const shard = new SimulatedShard([sessions]);
    for (let k = 0; k < 20; k++) shard.offer([event(T0 + k * MINUTE)]);
    shard.tick(T0 + 20 * MINUTE);
    expect(shard.machine.nextTickAt()).toBe(T0 + 29 * MINUTE + 10_000);
    shard.tick(T0 + 29 * MINUTE + 10_000);
    expect(shard.closings).toHaveLength(1);
    expect(shard.machine.nextTickAt()).toBeNull();
  });

  test("it is known at any time which of them ends first, whatever they did: grow, join, close, rest on disk and come back", () => {
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.record({ minute: fc.nat(300), kind: fc.constantFrom("x", "y", "z") }) },
      { weight: 1, arbitrary: fc.constant("checkpoint" as const) },
      { weight: 1, arbitrary: fc.constant("crash" as const) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const shard = new SimulatedShard([{ ...sessions, out_of_orderness: "30m" }]);
        for (const one of steps) {
          if (one === "checkpoint") shard.checkpoint();
          else if (one === "crash") shard.crash();
          else shard.offer([event(T0 + one.minute * MINUTE, one.kind)]);
          shard.resolve();
          const aggregation = shard.machine.aggregations.get("sessions");
          if (aggregation === undefined) throw new Error("no such aggregation");
          const ends = shard.list(aggregation).flatMap(({ closed, end }) => (closed ? [] : [end]));
          expect(aggregation.earliestOpenEnd()).toBe(ends.length === 0 ? null : Math.min(...ends));
        }
      }),
      { numRuns: 300 },
    );
  });

  test("records that hold nothing any more are deleted", () => {
    const shard = new SimulatedShard([sessions]);
    // Two pages of forty minutes each, until the second one's session joins the first one's.
    shard.offer([event(T0 + 30 * MINUTE), event(T0 + 42 * MINUTE)]);
    shard.checkpoint();
    const id = 1;
    const before = shard.storedKeys(id)(0, Number.MAX_SAFE_INTEGER, 100).length;
    shard.offer([event(T0 + 36 * MINUTE)]);
    shard.resolve();
    shard.checkpoint();
    expect([before, shard.storedKeys(id)(0, Number.MAX_SAFE_INTEGER, 100).length]).toEqual([2, 1]);
  });
});
