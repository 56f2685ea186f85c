import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { valuesOf } from "../../../core/windows/aggregation.ts";
import type { Definition } from "../../../core/windows/definition.ts";
import { EVERY_MEASURE, EVERY_TYPE, MINUTE, T0 } from "./every-window-type.ts";
import { arrival, byAggregation, expectedWindows, replay, specs, type Specs, windowsOf } from "./recounted.ts";
import { type Accident, SimulatedTenant } from "./simulated-shards.ts";

const accident = fc.constantFrom<Accident>("none", "none", "none", "before", "after");
const action = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant("offer" as const),
      picks: fc.array(fc.nat(39), { minLength: 1, maxLength: 12 }),
      isStale: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("ship" as const), which: fc.nat(7), accident }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("redeliver" as const), which: fc.nat(100) }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("step" as const), accident, times: fc.integer({ min: 1, max: 12 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("aim" as const), count: fc.constantFrom(1, 2, 3, 8) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom("checkpoint" as const, "crash" as const, "resolve" as const, "seal" as const),
      which: fc.nat(8),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("tick" as const) }) },
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;
const pause = fc.constantFrom(20_000, 20_000, 20_000, 10 * MINUTE);

const PER_MINUTE: Definition = {
  name: "made",
  window: { type: "tumbling", size: "1m" },
  measures: { events: { fn: "count" } },
};
const definitions = EVERY_TYPE.map(({ definition }) => definition);

function act(tenant: SimulatedTenant, one: Action, all: Specs, now: number): void {
  const { objects, home } = tenant;
  switch (one.do) {
    case "offer":
      return tenant.offer(
        one.picks.map((pick) => arrival(pick, all, now, tenant.sent)),
        one.isStale,
      );
    case "ship": {
      const intake = objects[one.which % Math.max(1, objects.length)];
      if (intake?.outbox.hasNews === true) tenant.ship(intake, one.accident);
      return;
    }
    case "redeliver":
      return tenant.redeliver(one.which);
    case "step":
      for (let k = 0; k < one.times; k++) tenant.step(k === 0 ? one.accident : "none");
      return;
    case "aim":
      return tenant.aim(one.count);
    case "tick":
      return home.tick(now);
    default: {
      const object = one.which === 0 ? home : (objects[(one.which - 1) % Math.max(1, objects.length)] ?? home);
      object[one.do]();
    }
  }
}

function run(
  count: number,
  all: Specs,
  actions: readonly (readonly [Action, number])[],
  wanted = definitions,
): SimulatedTenant {
  const tenant = new SimulatedTenant(wanted);
  tenant.aim(count);
  while (tenant.isMoving) tenant.step("none");
  let now = T0;
  for (const [one, pauseMs] of actions) {
    now += pauseMs;
    act(tenant, one, all, now);
  }
  tenant.finish();
  return tenant;
}

/** What the windows have, whatever was told of them on the way. */
const valuesIn = (tenant: SimulatedTenant) =>
  definitions.map(({ name }) =>
    windowsOf(tenant.home, name).map((window) => ({ ...(window as object), revision: undefined, closed: undefined })),
  );

const ship = (accident: Accident): Action => ({ do: "ship", which: 0, accident });
const offer = (pick: number): Action => ({ do: "offer", picks: [pick], isStale: false });

describe("shards, their hand-overs and home", () => {
  test("equal a batch recount after any disorder, redelivery, loss, crash and change of their number", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 8),
        specs,
        fc.array(fc.tuple(action, pause), { maxLength: 60, size: "max" }),
        (count, all, actions) => {
          const tenant = run(count, all, actions);
          const { home, sent } = tenant;
          const { total } = home.machine.stats;
          expect(total).toBe(sent.size);
          expect(total + home.machine.allDuplicates).toBe(tenant.offered);
          const replayed = replay(home.history);
          for (const { name } of definitions) expect(windowsOf(home, name)).toEqual(expectedWindows(name, replayed));
          expect(byAggregation(home.closings)).toEqual(byAggregation(replayed.told));
        },
      ),
      { numRuns: 1000 },
    );
  }, 120_000);

  test("duplicates found after a delta was lost are told, though home has its events from a copy that came late", () => {
    const spec = { minutes: 0, second: 0, source: "a", kind: "x", n: 0, isTimeless: false } as const;
    const all = Array.from({ length: 40 }, () => spec);
    const actions: Action[] = [
      { do: "aim", count: 3 },
      offer(0),
      { do: "step", accident: "none", times: 4 },
      offer(4),
      ship("after"),
      ship("none"),
      ship("before"),
      { do: "crash", which: 1 },
      ship("none"),
      { do: "redeliver", which: 2 },
      offer(0),
    ];
    const tenant = run(
      1,
      all,
      actions.map((one) => [one, 20_000] as const),
    );
    expect(tenant.home.machine.stats.total).toBe(2);
    expect(tenant.home.machine.allDuplicates).toBe(1);
  });

  test("an aggregation made at any moment counts exactly what is merged after it", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 8),
        specs,
        fc.array(fc.tuple(fc.oneof(action, action, fc.constant({ do: "define" as const })), pause), {
          maxLength: 50,
          size: "max",
        }),
        (count, all, actions) => {
          const tenant = new SimulatedTenant(definitions);
          tenant.aim(count);
          const made: { readonly name: string; readonly at: number }[] = [];
          let now = T0;
          for (const [one, pauseMs] of actions) {
            now += pauseMs;
            if (one.do !== "define") act(tenant, one, all, now);
            else if (made.length < 5) {
              made.push({ name: `made ${made.length}`, at: tenant.home.history.length });
              tenant.home.define({ ...PER_MINUTE, name: `made ${made.length - 1}` });
            }
          }
          tenant.finish();
          const { home } = tenant;
          for (const { name, at } of made) {
            const merged = home.history.slice(at).flatMap((logged) => (logged.kind === "events" ? logged.events : []));
            const aggregation = home.machine.aggregations.get(name);
            let counted = 0;
            if (aggregation === undefined) throw new Error(`${name} is gone`);
            for (const { groups } of home.list(aggregation))
              for (const group of groups.values()) counted += Number(valuesOf(aggregation.plan, group, 1)["events"]);
            expect([name, counted]).toEqual([name, merged.length]);
          }
          expect(home.machine.stats.total).toBe(tenant.sent.size);
        },
      ),
      { numRuns: 200 },
    );
  }, 120_000);

  test("have the same values of every measure, be they 1, 2 or 8", () => {
    const everyMeasure = definitions.map((definition) => ({ ...definition, measures: EVERY_MEASURE }));
    fc.assert(
      fc.property(specs, fc.array(fc.tuple(action, pause), { maxLength: 50, size: "max" }), (all, actions) => {
        const offered = actions.filter(([one]) => one.do !== "aim");
        const [one, ...others] = [1, 2, 8].map((count) => valuesIn(run(count, all, offered, everyMeasure)));
        for (const other of others) expect(other).toEqual(one);
      }),
      { numRuns: 150 },
    );
  }, 120_000);
});
