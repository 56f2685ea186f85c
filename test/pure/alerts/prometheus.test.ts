import { describe, expect, test } from "vitest";
import { compileMatchers, matchersSchema } from "../../../core/alerts/matcher.ts";
import { packInstances, unpackInstances } from "../../../core/alerts/instance.ts";
import { afterTransition } from "../../../core/alerts/alert-life.ts";
import { ruleSchema } from "../../../core/alerts/rule.ts";
import { Bench, MINUTE, ruleOf, windowOf } from "./fixtures.ts";

// Cases of prometheus/prometheus (Apache-2.0), written anew for windows of a minute: cmd/promtool/testdata/{rules,unittest}.yml,
// rules/manager_test.go, promql/promqltest (absent). TestAlertingRule and TestKeepFiringFor are in timer.test.ts.

describe("promtool's rules", () => {
  test("InstanceDown, up == 0 for 5m: nothing told at once, pending at 4m, firing from 5m on, with labels and annotations", () => {
    const bench = new Bench(ruleOf("value == 0", 5));
    const states = Array.from({ length: 12 }, (_, minute) => {
      bench.take(windowOf(minute, { "localhost:9090": 0 }));
      return bench.open.join();
    });
    expect(states[0]).toBe("localhost:9090 pending");
    expect(states[4]).toBe("localhost:9090 pending");
    expect(states.slice(5)).toEqual(Array.from({ length: 7 }, () => "localhost:9090 firing"));
    const firing = bench.transitions.find(({ kind }) => kind === "firing");
    if (firing === undefined) throw new Error("nothing fired");
    const annotations = {
      summary: "Instance {{ group.instance }} down",
      description: "{{ group.instance }} of team {{ labels.team }} has been down for more than 5 minutes.",
    };
    const labels = { severity: "page", team: "infra" };
    const more = {
      name: "InstanceDown",
      aggregation: "a",
      condition: "value == 0",
      level: "critical",
      labels,
      annotations,
    };
    const { record } = afterTransition(null, firing, { ...ruleSchema.parse(more), id: "r" }, 0);
    expect(record).toMatchObject({
      message: "Instance localhost:9090 down",
      annotations: { description: "localhost:9090 of team infra has been down for more than 5 minutes." },
      labels,
    });
  });

  test("AlwaysFiring: fires in the first window, and its group is {}", () => {
    const bench = new Bench(ruleOf("true"));
    bench.take({ ...windowOf(1, {}), groups: [{ group: {}, values: { value: 1 } }] });
    expect(bench.transitions).toMatchObject([{ kind: "firing", instance: { group: {} } }]);
  });

  test("staleness: a series that is gone is gone with its next window, and kept as long as keep_firing_for says", () => {
    const stale = new Bench(ruleOf("value == 0"));
    stale.take(windowOf(0, { x: 0 }));
    expect(stale.take(windowOf(1, {}))).toEqual(["x resolved"]);
    const kept = new Bench(ruleOf("value == 0", 0, 5));
    kept.take(windowOf(0, { x: 0 }));
    const later = [1, 2, 3, 4, 5, 6].map((minute) => kept.take(windowOf(minute, {})).length);
    expect(later).toEqual([0, 0, 0, 0, 0, 1]);
  });
});

/** Minutes from the outage's end to firing. Prometheus shifts by the outage, for its clock ran on; our clock is the windows' end. */
const minutesToFire = (begunBefore: number, outage: number, hadData: boolean): number => {
  const rule = ruleOf("value > 0", 25);
  const bench = new Bench(rule);
  for (let minute = 0; minute <= begunBefore; minute++) bench.take(windowOf(minute, { x: 1 }));
  const open = bench.state.instances.get("rule") ?? new Map();
  bench.state = { ...bench.state, instances: new Map([["rule", unpackInstances(packInstances(open))]]) };
  // What came in during the outage waited in the queue and is told late, in order; or nothing came.
  let minute = begunBefore + 1;
  for (; minute <= begunBefore + outage; minute++) bench.take(windowOf(minute, hadData ? { x: 1 } : {}));
  const restored = minute - 1;
  while (!bench.open.includes("x firing")) bench.take(windowOf(minute++, { x: 1 }));
  return minute - 1 - restored;
};

describe("TestForStateRestore: for 25m, 10 minutes in, an outage", () => {
  test("an outage of ours neither starts the wait over nor makes it longer: events waited, and their windows count", () => {
    expect(minutesToFire(10, 10, true)).toBe(5);
  });

  test("an outage of the source starts it over, however long it was", () => {
    expect(minutesToFire(10, 10, false)).toBe(26);
    expect(minutesToFire(10, 40, false)).toBe(26);
  });

  test("near its due time it fires at its due time, not before", () => {
    expect(minutesToFire(24, 0, true)).toBe(1);
  });
});

describe("absent()", () => {
  test("absent(nonexistent{job}): a group that was seen and is missing, with the group as its labels", () => {
    const bench = new Bench(ruleOf("value > 100", 0, 0, { noData: { afterMs: MINUTE } }));
    bench.take(windowOf(1, { myjob: 1, other: 1 }));
    expect(bench.take(windowOf(2, { other: 1 }))).toEqual(["myjob firing"]);
    expect(bench.transitions.at(-1)?.instance).toMatchObject({
      kind: "no_data",
      group: { instance: "myjob" },
      values: {},
    });
  });

  test("absent(sum(…)): an aggregation without groups that goes quiet is {}", () => {
    const bench = new Bench(ruleOf("value > 100", 0, 0, { noData: { windows: 1 } }));
    bench.take({ ...windowOf(1, {}), groups: [{ group: {}, values: { value: 1 } }] });
    bench.take(windowOf(2, {}));
    expect(bench.transitions).toMatchObject([{ kind: "firing", instance: { kind: "no_data", group: {} } }]);
  });

  test("a regular expression says nothing about what is absent: only what was seen can be missed", () => {
    const bench = new Bench(ruleOf("value > 100", 0, 0, { noData: { windows: 1 } }));
    expect([windowOf(1, {}), windowOf(2, {}), windowOf(3, {})].flatMap((window) => bench.take(window))).toEqual([]);
    const matches = compileMatchers(matchersSchema.parse(["instance=~my.*", "level=error"]));
    expect(matches({ ruleId: "r", ruleName: "r", level: "error", labels: {}, group: {} })).toBe(false);
  });
});
