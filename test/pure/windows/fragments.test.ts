import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EventBatch } from "../../../core/events/event-batch.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import { Aggregation, NOTHING_LOADED, partialAggregation, valuesOf } from "../../../core/windows/aggregation.ts";
import { BatchView } from "../../../core/windows/batch-view.ts";
import type { Definition } from "../../../core/windows/definition.ts";
import { GroupKeys } from "../../../core/windows/group-keys.ts";
import { NOTHING_STORED } from "../../../core/windows/window-set.ts";
import { OVERFLOW_KEY } from "../../../core/windows/window-state.ts";
import { EVERY_MEASURE, EVERY_TYPE, MINUTE, T0 } from "./every-window-type.ts";
import { allRows, plan } from "./simulated-shard.ts";

const definitions = EVERY_TYPE.map(({ definition }): Definition => ({ ...definition, measures: EVERY_MEASURE }));

const drawn = fc.record({
  minutes: fc.oneof(fc.integer({ min: -600, max: 60 }), fc.integer({ min: -12, max: 2 })),
  // Distances of exactly a gap have to happen.
  second: fc.oneof(fc.constantFrom(0, 20, 40), fc.nat(59)),
  kind: fc.constantFrom("x", "y", "z", null),
  n: fc.oneof(fc.constantFrom(0, 0.1, 1e16, -1e16, 1), fc.double({ noNaN: true, noDefaultInfinity: true })),
  part: fc.nat(3),
});
type Drawn = typeof drawn extends fc.Arbitrary<infer T> ? T : never;

const eventOf = ({ minutes, second, kind, n }: Drawn, k: number): StreamEvent => {
  const timestamp = T0 + minutes * MINUTE + second * 1000;
  const data = { kind, n };
  return { id: `e${k}`, type: "t", source: "a", timestamp, receivedAt: T0, severity: "low", data, metadata: {} };
};

const PLAIN: Drawn = { minutes: 0, second: 0, kind: "x", n: 1, part: 0 };
const at = (ms: number, k: number): StreamEvent => ({ ...eventOf(PLAIN, k), timestamp: T0 + ms });

function merged(definition: Definition): Aggregation {
  const state = {
    id: 1,
    version: 1,
    watermark: null,
    lateEvents: 0,
    filterErrors: 0,
    partialBefore: null,
    duplicatesBefore: 0,
  };
  return new Aggregation(plan(definition), state, NOTHING_LOADED);
}

function fold(aggregation: Aggregation, events: readonly StreamEvent[], keys?: GroupKeys): void {
  if (events.length === 0) return;
  const batch = EventBatch.fromEvents(events);
  aggregation.apply(new BatchView(batch, allRows(batch), keys));
}

const shown = (aggregation: Aggregation): unknown[] =>
  [...aggregation.windows.list(-Infinity, Infinity, NOTHING_STORED)].map(({ start, end, session, groups }) => ({
    start,
    end,
    session,
    groups: new Map([...groups].map(([key, group]) => [key, valuesOf(aggregation.plan, group, end - start)])),
  }));

describe("windows of every type", () => {
  test("counted in parts and put together equal those counted in one", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...definitions),
        fc.array(drawn, { maxLength: 60, size: "max" }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 20 }),
        (definition, list, parts, batchSize) => {
          const events = list.map(eventOf);
          const whole = merged(definition);
          fold(whole, events);
          const together = merged(definition);
          for (let part = 0; part < parts; part++) {
            const apart = partialAggregation(1, plan(definition), -Infinity);
            const own = events.filter((_, k) => (list[k]?.part ?? 0) % parts === part);
            for (let from = 0; from < own.length; from += batchSize) fold(apart, own.slice(from, from + batchSize));
            together.absorb(apart.toPart());
          }
          expect(shown(together)).toEqual(shown(whole));
          expect(together.filterErrors).toBe(whole.filterErrors);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("counted in turns by itself and by others equal those counted in one, by groups that come again and again", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...definitions),
        fc.array(drawn, { maxLength: 60, size: "max" }),
        fc.integer({ min: 1, max: 6 }),
        (definition, list, batchSize) => {
          const grouped = { ...definition, group_by: ["data.kind"] };
          const events = list.map(eventOf);
          const whole = merged(grouped);
          fold(whole, events);
          const together = merged(grouped);
          const keys = new GroupKeys();
          for (let from = 0; from < events.length; from += batchSize) {
            const some = events.slice(from, from + batchSize);
            if ((list[from]?.part ?? 0) % 2 === 0) {
              fold(together, some, keys);
              continue;
            }
            const apart = partialAggregation(1, plan(grouped), -Infinity);
            fold(apart, some);
            together.absorb(apart.toPart());
          }
          expect(shown(together)).toEqual(shown(whole));
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("beyond max_groups keep the number of groups and the total, whichever groups are chosen", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...definitions.filter(({ window }) => window.type !== "session")),
        fc.array(drawn, { maxLength: 40, size: "max" }),
        (definition, list) => {
          const limited = { ...definition, group_by: ["data.kind"], max_groups: 2 };
          const events = list.map(eventOf);
          const together = merged(limited);
          for (const parity of [0, 1]) {
            const apart = partialAggregation(1, plan(limited), -Infinity);
            fold(
              apart,
              events.filter((_, k) => k % 2 === parity),
            );
            together.absorb(apart.toPart());
          }
          const whole = merged(limited);
          fold(whole, events);
          const totals = (aggregation: Aggregation): unknown[] =>
            [...aggregation.windows.list(-Infinity, Infinity, NOTHING_STORED)].map(({ start, end, groups }) => ({
              start,
              groups: [...groups.keys()].filter((key) => key !== OVERFLOW_KEY).length,
              overflows: groups.has(OVERFLOW_KEY),
              count: [...groups.values()].reduce(
                (sum, group) => sum + Number(valuesOf(limitedPlan, group, end - start)["count"]),
                0,
              ),
            }));
          const limitedPlan = plan(limited);
          expect(totals(together)).toEqual(totals(whole));
        },
      ),
      { numRuns: 300 },
    );
  });

  test("a part counts an event late by the watermark that it was told of", () => {
    const definition = definitions[0];
    if (definition === undefined) throw new Error("no definition");
    const apart = partialAggregation(1, plan(definition), T0);
    fold(apart, [
      { ...eventOf({ minutes: -1, second: 0, kind: "x", n: 1, part: 0 }, 0) },
      { ...eventOf({ minutes: 0, second: 0, kind: "x", n: 1, part: 0 }, 1) },
    ]);
    expect(apart.toPart().lateEvents).toBe(1);
    fold(apart, [at(0, 2), at(1, 3)]);
    expect(apart.toPart().lateEvents).toBe(1);
    fold(apart, [at(5, 4), at(-1, 5)]);
    expect(apart.toPart().lateEvents).toBe(2);
  });
});

describe("sessions", () => {
  test("a part whose session bridges several makes one of them all, on whatever pages they lie", () => {
    const definition: Definition = { name: "s", window: { type: "session", gap: "1s" }, measures: EVERY_MEASURE };
    const long = Array.from({ length: 400 }, (_, k) => at(k * 900, k));
    const islands = [0, 5000, 50_000, 359_500].map((ms, k) => at(ms, 1000 + k));
    const together = merged(definition);
    fold(together, islands);
    expect(shown(together)).toHaveLength(4);
    const apart = partialAggregation(1, plan(definition), -Infinity);
    fold(apart, long);
    together.absorb(apart.toPart());
    const whole = merged(definition);
    fold(whole, [...long, ...islands]);
    expect(shown(together)).toHaveLength(1);
    expect(shown(together)).toEqual(shown(whole));
  });

  test("an event after two that a part has joined is of the one they became", () => {
    const definition: Definition = {
      name: "s",
      window: { type: "session", gap: "10s" },
      group_by: ["data.kind"],
      measures: EVERY_MEASURE,
    };
    const [together, whole] = [merged(definition), merged(definition)];
    const keys = new GroupKeys();
    const [first, second, between, after] = [at(0, 0), at(15_000, 1), at(8_000, 2), at(17_000, 3)];
    fold(together, [first, second], keys);
    const apart = partialAggregation(1, plan(definition), -Infinity);
    fold(apart, [between]);
    together.absorb(apart.toPart());
    fold(together, [after], keys);
    fold(whole, [first, second, between, after]);
    expect(shown(together)).toHaveLength(1);
    expect(shown(together)).toEqual(shown(whole));
  });
});
