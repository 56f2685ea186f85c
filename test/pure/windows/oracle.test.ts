import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EventBatch } from "../../../core/events/event-batch.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import { valuesOf } from "../../../core/windows/aggregation.ts";
import { BatchRecount, type Recounted } from "./batch-recount.ts";
import { EVERY_TYPE, MINUTE, T0, toldForMs } from "./every-window-type.ts";
import { allRows, type Logged, SimulatedShard } from "./simulated-shard.ts";

const picks = fc.array(fc.nat(39), { minLength: 1, maxLength: 12 });
const step = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant("offer" as const), picks }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom("tick" as const, "checkpoint" as const, "crash" as const, "resolve" as const),
    }),
  },
);
const specs = fc.array(
  fc.record({
    minutes: fc.oneof(fc.integer({ min: -600, max: 60 }), fc.integer({ min: -12, max: 2 })),
    // Ties, and distances of exactly a gap, have to happen.
    second: fc.oneof(fc.constantFrom(0, 20, 40), fc.nat(59)),
    source: fc.constantFrom("a", "b", "c"),
    kind: fc.constantFrom("x", "y"),
    n: fc.nat(10),
  }),
  { minLength: 40, maxLength: 40 },
);
const idleGap = fc.constantFrom(20_000, 20_000, 20_000, 10 * MINUTE);

type Specs = typeof specs extends fc.Arbitrary<infer T> ? T : never;
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
    else {
      // A number picked before is the same event again.
      for (const pick of action.picks) if (!sent.has(pick)) sent.set(pick, eventOf(pick, all, now));
      shard.offer(action.picks.flatMap((pick) => sent.get(pick) ?? []));
    }
  }
  shard.resolve();
  return { shard, sent: [...sent.values()] };
}

function eventOf(pick: number, all: Specs, receivedAt: number): StreamEvent {
  const spec = all[pick];
  if (spec === undefined) throw new Error("no such event");
  const timestamp = T0 + spec.minutes * MINUTE + spec.second * 1000;
  const data = { kind: spec.kind, n: spec.n };
  return { id: `e${pick}`, type: "t", source: spec.source, timestamp, receivedAt, severity: "low", data, metadata: {} };
}

/** Replays a log on a shard that never stops, beside a recount of everything after each entry. */
function replay(history: readonly Logged[]) {
  const twin = new SimulatedShard(EVERY_TYPE.map(({ definition }) => definition));
  const recounts = new Map(EVERY_TYPE.map(({ definition, recount }) => [definition.name, new BatchRecount(recount)]));
  const told: { aggregation: string; start: number; end: number; revision: number }[] = [];
  for (const logged of history) {
    const watermarks = watermarksOf(twin);
    const expected = new Map<string, Recounted[]>();
    for (const [name, recount] of recounts)
      expected.set(
        name,
        logged.kind === "events" ? recount.take(logged.events, watermarks.get(name) ?? Number.NaN) : [],
      );
    if (logged.kind === "tick") twin.machine.tick(logged.at);
    else {
      const batch = EventBatch.fromEvents(logged.events);
      twin.machine.fold(batch, allRows(batch));
    }
    for (const [name, recount] of recounts) {
      const [from, to] = [watermarks.get(name) ?? Number.NaN, watermarksOf(twin).get(name) ?? Number.NaN];
      const revised = (expected.get(name) ?? []).filter(
        ({ end, revision }) => revision === 0 || end + toldForMs(name) > from,
      );
      for (const window of [...revised, ...recount.advance(from, to)])
        told.push({ aggregation: name, start: window.start, end: window.end, revision: window.revision });
    }
  }
  return { twin, recounts, told };
}

const watermarksOf = ({ machine }: SimulatedShard): Map<string, number> =>
  new Map([...machine.aggregations].map(([name, { watermark }]) => [name, watermark]));

const countOf = (events: readonly StreamEvent[]) => ({
  events: events.length,
  total: events.reduce((sum, { data }) => sum + Number(data["n"]), 0),
});

/** Each window with its state and its groups' values, as the shard has them. */
function windowsOf(shard: SimulatedShard, name: string): unknown[] {
  const aggregation = shard.machine.aggregations.get(name);
  if (aggregation === undefined) return [];
  return shard.list(aggregation).map(({ start, end, closed, revision, groups }) => ({
    start,
    end,
    closed,
    revision,
    groups: new Map([...groups].map(([key, group]) => [key, valuesOf(aggregation.plan, group, end - start)])),
  }));
}

/** Aggregations tell in no order among themselves. */
const byAggregation = (list: readonly { readonly aggregation: string }[]) =>
  EVERY_TYPE.map(({ definition: { name } }) => list.filter(({ aggregation }) => aggregation === name));

describe("one shard with windows of every type", () => {
  test("equals a batch recount after any disorder, duplicates, ties, idle gaps and crashes", () => {
    fc.assert(
      fc.property(specs, fc.array(fc.tuple(step, idleGap), { maxLength: 60, size: "max" }), (all, steps) => {
        const { shard, sent } = run(all, steps);
        expect(new Set(shard.stored.map(({ id }) => id))).toEqual(new Set(sent.map(({ id }) => id)));
        expect(shard.stored).toHaveLength(sent.length);
        const { recounts, told } = replay(shard.history);
        for (const { definition, recount } of EVERY_TYPE) {
          const watermark = watermarksOf(shard).get(definition.name) ?? Number.NaN;
          const windows = recounts.get(definition.name)?.windows ?? [];
          expect(windowsOf(shard, definition.name)).toEqual(
            [...windows]
              .sort((a, b) => a.start - b.start || ((a.session ?? "") < (b.session ?? "") ? -1 : 1))
              .map((window) => ({
                start: window.start,
                end: window.end,
                closed: window.end <= watermark,
                revision: window.revision,
                groups: new Map(
                  [...Map.groupBy(window.events, recount.groupOf)].map(([key, events]) => [key, countOf(events)]),
                ),
              })),
          );
        }
        expect(byAggregation(shard.closings)).toEqual(byAggregation(told));
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
