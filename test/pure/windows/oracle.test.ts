import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StreamEvent } from "../../../core/events/event.ts";
import { valuesOf } from "../../../core/windows/aggregation.ts";
import { EVERY_TYPE, MINUTE, T0, toldForMs } from "./every-window-type.ts";
import { arrival, byAggregation, eventOf, expectedWindows, replay, specs, type Specs, windowsOf } from "./recounted.ts";
import { SimulatedShard } from "./simulated-shard.ts";

const picks = fc.array(fc.nat(39), { minLength: 1, maxLength: 12 });
const step = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant("offer" as const), picks }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("tick" as const, "checkpoint" as const, "crash" as const, "resolve" as const),
    }),
  },
);
const idleGap = fc.constantFrom(20_000, 20_000, 20_000, 10 * MINUTE);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Runs the steps on a shard that crashes and forgets. @returns it with everything resolved */
function run(all: Specs, steps: readonly (readonly [Step, number])[]): { shard: SimulatedShard; sent: StreamEvent[] } {
  const shard = new SimulatedShard(EVERY_TYPE.map(({ definition }) => definition));
  const sent = new Map<number, StreamEvent>();
  let now = T0;
  for (const [action, pauseMs] of steps) {
    now += pauseMs;
    if (action.do === "tick") shard.tick(now);
    else if (action.do !== "offer") shard[action.do]();
    else shard.offer(action.picks.map((pick) => arrival(pick, all, now, sent)));
  }
  shard.resolve();
  return { shard, sent: [...sent.values()] };
}

/** What a stream has of the things that go wrong. */
function troubles(all: Specs, steps: readonly (readonly [Step, number])[]): Set<string> {
  const found = new Set<string>();
  const copies = new Map<number, number>();
  const lastReceived = new Map<string, number>();
  const gone = new Set<string>();
  const times = new Map<number, number>();
  let now = T0;
  let newest = -Infinity;
  for (const [action, pauseMs] of steps) {
    now += pauseMs;
    if (action.do === "tick") {
      const idle = [...lastReceived].filter(([, at]) => at <= now - 30_000).map(([source]) => source);
      for (const source of idle) gone.add(source);
      if (idle.length === lastReceived.size) found.add("all sources fell silent");
      else if (idle.length > 0) found.add("a source left while others stayed");
    }
    if (action.do === "crash") found.add("a crash");
    if (action.do !== "offer") continue;
    for (const pick of action.picks) {
      const count = (copies.get(pick) ?? 0) + 1;
      copies.set(pick, count);
      if (count > 1) {
        found.add(`${Math.min(count, 5)} copies`);
        if (all[pick]?.isTimeless === true) found.add("a copy with another time");
        continue;
      }
      const { timestamp, source } = eventOf(pick, all, now);
      if (timestamp < newest) found.add("disorder");
      if (times.has(timestamp)) found.add("a tie");
      if (lastReceived.size > 0 && !lastReceived.has(source)) found.add("a source joined later");
      if (gone.delete(source)) found.add("a source came back");
      times.set(timestamp, pick);
      newest = Math.max(newest, timestamp);
      lastReceived.set(source, now);
    }
  }
  return found;
}

test("the streams have what they are to have: copies, ties, disorder, crashes, sources that join, leave and come back", () => {
  const streams = fc.sample(fc.tuple(specs, fc.array(fc.tuple(step, idleGap), { maxLength: 60, size: "max" })), {
    numRuns: 300,
    seed: 1,
  });
  const counts = new Map<string, number>();
  for (const [all, steps] of streams)
    for (const trouble of troubles(all, steps)) counts.set(trouble, (counts.get(trouble) ?? 0) + 1);
  expect(counts.size).toBe(12);
  expect(Math.min(...counts.values())).toBeGreaterThanOrEqual(60);
});

describe("one shard with windows of every type", () => {
  test("equals a batch recount after any disorder, duplicates, ties, idle gaps and crashes", () => {
    fc.assert(
      fc.property(specs, fc.array(fc.tuple(step, idleGap), { maxLength: 60, size: "max" }), (all, steps) => {
        const { shard, sent } = run(all, steps);
        expect(new Set(shard.stored.map(({ id }) => id))).toEqual(new Set(sent.map(({ id }) => id)));
        expect(shard.stored).toHaveLength(sent.length);
        expect(shard.machine.stats.total + shard.machine.duplicates).toBe(shard.offered);
        const replayed = replay(shard.history);
        for (const { definition } of EVERY_TYPE)
          expect(windowsOf(shard, definition.name)).toEqual(expectedWindows(definition.name, replayed));
        const late = [...shard.machine.aggregations].map(([name, { lateEvents }]) => [name, lateEvents] as const);
        expect(new Map(late)).toEqual(replayed.late);
        expect(byAggregation(shard.closings)).toEqual(byAggregation(replayed.told));
      }),
      { numRuns: 1000 },
    );
  });

  test("a reader who follows only what is told has exactly the windows there are", () => {
    fc.assert(
      fc.property(specs, fc.array(fc.tuple(step, idleGap), { maxLength: 30, size: "max" }), (all, steps) => {
        const { shard } = run(all, steps);
        const told = [...shard.machine.aggregations.values()].filter(
          ({ plan }) => toldForMs(plan.definition.name) === Infinity,
        );
        for (const name of shard.seen.keys()) if (name.startsWith("offset ")) shard.seen.delete(name);
        const there = told.flatMap((aggregation) =>
          shard
            .list(aggregation)
            .map(({ start, end, session }): [string, number] => [
              `${aggregation.plan.definition.name} ${start} ${session ?? ""}`,
              end,
            ]),
        );
        expect(shard.seen).toEqual(new Map(there));
      }),
      { numRuns: 300 },
    );
  });

  test("a range merges every event in it once, whatever windows overlap", () => {
    fc.assert(
      fc.property(specs, fc.array(fc.tuple(step, idleGap), { maxLength: 30, size: "max" }), (all, steps) => {
        const { shard } = run(all, steps);
        const { recounts } = replay(shard.history);
        for (const [name, aggregation] of shard.machine.aggregations) {
          let events = 0;
          for (const { groups } of aggregation.windows.portions(-Infinity, Infinity, shard.storedKeys(aggregation.id)))
            for (const group of groups.values()) events += Number(valuesOf(aggregation.plan, group, 1)["events"]);
          const counted = new Set(recounts.get(name)?.windows.flatMap((window) => window.events));
          expect([name, events]).toEqual([name, counted.size]);
        }
      }),
      { numRuns: 300 },
    );
  });
});
