import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StreamEvent } from "../../../core/events/event.ts";
import type { Definition } from "../../../core/windows/definition.ts";
import { SimulatedShard } from "./simulated-shard.ts";

const MINUTE = 60_000;
const T0 = Date.parse("2015-05-17T10:00:00Z");

const perMinute: Definition = {
  name: "per_minute",
  window: { type: "tumbling", size: "1m" },
  group_by: ["data.kind"],
  measures: { events: { fn: "count" }, total: { fn: "sum", field: "data.n" } },
};
const filtered: Definition = {
  name: "filtered",
  filter: "event.data.n > 5",
  window: { type: "tumbling", size: "7m", offset: "30s" },
  measures: { events: { fn: "count" } },
  out_of_orderness: "0s",
};

function event(id: string, timestamp: number, receivedAt: number, source = "a", kind = "x", n = 1): StreamEvent {
  return { id, type: "t", source, timestamp, receivedAt, severity: "low", data: { kind, n }, metadata: {} };
}

/** What a batch recount of the distinct events gives. */
function recount(events: Iterable<StreamEvent>): Map<string, Record<string, unknown>> {
  const counted = new Map<string, Record<string, number>>();
  const add = (name: string, values: Record<string, number>) => {
    const known = counted.get(name) ?? {};
    for (const [measure, value] of Object.entries(values)) known[measure] = (known[measure] ?? 0) + value;
    counted.set(name, known);
  };
  for (const { timestamp, data } of events) {
    const n = Number(data["n"]);
    const minute = Math.floor(timestamp / MINUTE) * MINUTE;
    add(`per_minute ${minute} ${minute + MINUTE} ${JSON.stringify({ "data.kind": data["kind"] })}`, {
      events: 1,
      total: n,
    });
    const seventh = Math.floor((timestamp - 30_000) / (7 * MINUTE)) * 7 * MINUTE + 30_000;
    if (n > 5) add(`filtered ${seventh} ${seventh + 7 * MINUTE} {}`, { events: 1 });
  }
  return counted;
}

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("offer" as const),
      picks: fc.array(fc.nat(29), { minLength: 1, maxLength: 12 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("again" as const),
      picks: fc.array(fc.nat(29), { minLength: 1, maxLength: 12 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom("tick" as const, "checkpoint" as const, "crash" as const, "resolve" as const),
    }),
  },
);

describe("one shard", () => {
  test("equals a batch recount after any disorder, duplicates, idle gaps and crashes", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            minutes: fc.oneof(fc.integer({ min: -600, max: 60 }), fc.integer({ min: -8, max: 2 })),
            second: fc.nat(59),
            source: fc.constantFrom("a", "b", "c"),
            kind: fc.constantFrom("x", "y"),
            n: fc.nat(10),
          }),
          { minLength: 30, maxLength: 30 },
        ),
        fc.array(step, { maxLength: 60, size: "max" }),
        (specs, steps) => {
          const shard = new SimulatedShard([perMinute, filtered]);
          const sent = new Map<string, StreamEvent>();
          let now = T0;
          for (const action of steps) {
            now += 20_000;
            if (action.do === "offer" || action.do === "again") {
              const events = action.picks.map((pick) => {
                const spec = specs[pick];
                if (spec === undefined) throw new Error("no such event");
                return (
                  sent.get(`e${pick}`) ??
                  event(
                    `e${pick}`,
                    T0 + spec.minutes * MINUTE + spec.second * 1000,
                    now,
                    spec.source,
                    spec.kind,
                    spec.n,
                  )
                );
              });
              for (const one of events) sent.set(one.id, one);
              shard.offer(events);
            } else if (action.do === "tick") shard.tick(now);
            else shard[action.do]();
          }
          shard.resolve();
          expect(shard.results()).toEqual(recount(sent.values()));
          expect(new Set(shard.stored.map(({ id }) => id)).size).toBe(shard.stored.length);
          expect(shard.stored).toHaveLength(sent.size);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("a closed window is closed once and each later change raises its revision by one", () => {
    const shard = new SimulatedShard([perMinute]);
    shard.offer([event("a", T0, T0), event("b", T0 + 2 * MINUTE, T0 + 2 * MINUTE)]);
    expect(shard.closings).toEqual([{ aggregation: "per_minute", start: T0, revision: 0 }]);
    shard.offer([event("late", T0 + 1, T0 + 2 * MINUTE), event("later", T0 + 2, T0 + 2 * MINUTE)]);
    shard.resolve();
    expect(shard.closings.slice(1)).toEqual([{ aggregation: "per_minute", start: T0, revision: 1 }]);
    expect(shard.machine.aggregations.get("per_minute")?.lateEvents).toBe(2);
  });

  test("a window holds until out_of_orderness has passed, exactly", () => {
    const shard = new SimulatedShard([perMinute]);
    shard.offer([event("a", T0, T0), event("b", T0 + MINUTE + 9_999, T0 + MINUTE + 9_999)]);
    expect(shard.closings).toEqual([]);
    shard.offer([event("c", T0 + MINUTE + 10_000, T0 + MINUTE + 10_000)]);
    expect(shard.closings).toHaveLength(1);
  });

  test("a slow source holds windows open until it is idle, and a returning one reopens nothing", () => {
    const shard = new SimulatedShard([perMinute]);
    shard.offer([event("a", T0, T0, "slow"), event("b", T0 + 5 * MINUTE, T0 + 5 * MINUTE, "fast")]);
    expect(shard.closings).toEqual([]);
    shard.tick(T0 + 29_999);
    expect(shard.closings).toEqual([]);
    shard.tick(T0 + 5 * MINUTE);
    expect(shard.closings).toEqual([{ aggregation: "per_minute", start: T0, revision: 0 }]);
    shard.offer([event("c", T0 + 1, T0 + 5 * MINUTE, "slow")]);
    shard.resolve();
    expect(shard.closings.at(-1)).toEqual({ aggregation: "per_minute", start: T0, revision: 1 });
  });

  test("windows close by the wall clock when all sources are silent", () => {
    const shard = new SimulatedShard([perMinute]);
    shard.offer([event("a", T0, T0)]);
    expect(shard.machine.nextTickAt()).toBe(T0 + 30_000);
    shard.tick(T0 + 30_000);
    expect(shard.machine.nextTickAt()).toBe(T0 + MINUTE + 10_000);
    shard.tick(T0 + MINUTE + 9_999);
    expect(shard.closings).toEqual([]);
    shard.tick(T0 + MINUTE + 10_000);
    expect(shard.closings).toHaveLength(1);
    expect(shard.machine.nextTickAt()).toBeNull();
  });

  test("a timestamp from the future moves the watermark no further than the clock", () => {
    const shard = new SimulatedShard([perMinute]);
    shard.offer([event("a", T0 + 60 * MINUTE, T0)]);
    expect(shard.machine.aggregations.get("per_minute")?.watermark).toBe(T0 - 10_000);
  });

  test("groups beyond max_groups go to one overflow group, and the total stays exact", () => {
    const shard = new SimulatedShard([{ ...perMinute, max_groups: 2 }]);
    shard.offer(Array.from({ length: 10 }, (_, k) => event(`e${k}`, T0, T0, "a", `kind${k}`)));
    const counts = [...shard.results().values()].map((values) => values["events"]);
    expect(counts.toSorted()).toEqual([1, 1, 8]);
  });
});
