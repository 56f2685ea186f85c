import { describe, expect, test } from "vitest";
import { EventBatch } from "../../../core/events/event-batch.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import type { Definition } from "../../../core/windows/definition.ts";
import { DeltaBuilder } from "../../../core/windows/delta-builder.ts";
import { epochOf, termsOf } from "../../../core/windows/delta-terms.ts";
import { encodeKnownIds } from "../../../core/windows/id-handover.ts";
import { MAX_SOURCES } from "../../../core/windows/sources.ts";
import { allRows, SimulatedShard } from "./simulated-shard.ts";

const MINUTE = 60_000;
const T0 = Date.parse("2015-05-17T10:00:00Z");

const perMinute: Definition = {
  name: "per_minute",
  window: { type: "tumbling", size: "1m" },
  group_by: ["data.kind"],
  measures: { events: { fn: "count" }, total: { fn: "sum", field: "data.n" } },
};
function event(id: string, timestamp: number, receivedAt: number, source = "a", kind = "x", n = 1): StreamEvent {
  return { id, type: "t", source, timestamp, receivedAt, severity: "low", data: { kind, n }, metadata: {} };
}

const deep = (id: string, data: StreamEvent["data"], metadata: StreamEvent["metadata"]): StreamEvent => ({
  ...event(id, T0, T0),
  data,
  metadata,
});

const group = (method: string | null, b: string | number | null) => ({
  "data.http.request.method": method,
  "metadata.a.b": b,
});

const onTime = (id: string, at: number, source: string): StreamEvent => event(id, at, at, source);

describe("one shard", () => {
  test("a closed window is closed once and each later change raises its revision by one", () => {
    const shard = new SimulatedShard([perMinute]);
    shard.offer([event("a", T0, T0), event("b", T0 + 2 * MINUTE, T0 + 2 * MINUTE)]);
    expect(shard.closings).toEqual([{ aggregation: "per_minute", start: T0, end: T0 + MINUTE, revision: 0 }]);
    shard.offer([event("late", T0 + 1, T0 + 2 * MINUTE), event("later", T0 + 2, T0 + 2 * MINUTE)]);
    shard.resolve();
    expect(shard.closings.slice(1)).toEqual([{ aggregation: "per_minute", start: T0, end: T0 + MINUTE, revision: 1 }]);
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
    expect(shard.closings).toEqual([{ aggregation: "per_minute", start: T0, end: T0 + MINUTE, revision: 0 }]);
    shard.offer([event("c", T0 + 1, T0 + 5 * MINUTE, "slow")]);
    shard.resolve();
    expect(shard.closings.at(-1)).toEqual({ aggregation: "per_minute", start: T0, end: T0 + MINUTE, revision: 1 });
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

  test("of more than a thousand sources those beyond share one entry, and together hold no more than the newest of them", () => {
    const shard = new SimulatedShard([perMinute]);
    const sources = Array.from({ length: MAX_SOURCES }, (_, k) =>
      event(`e${k}`, T0 + 5 * MINUTE, T0 + 5 * MINUTE, `s${k}`),
    );
    shard.offer(sources);
    shard.resolve();
    const watermark = () => shard.machine.aggregations.get("per_minute")?.watermark;
    expect(watermark()).toBe(T0 + 5 * MINUTE - 10_000);
    shard.offer(sources.map(({ source }, k) => onTime(`l${k}`, T0 + 9 * MINUTE, source)));
    shard.offer([onTime("x", T0 + 6 * MINUTE, "beyond"), onTime("y", T0 + 7 * MINUTE, "beyond too")]);
    shard.resolve();
    shard.crash();
    expect(watermark()).toBe(T0 + 9 * MINUTE - 10_000);
    shard.offer([onTime("z", T0 + 10 * MINUTE, "beyond")]);
    shard.resolve();
    shard.offer(sources.map(({ source }, k) => onTime(`m${k}`, T0 + 12 * MINUTE, source)));
    shard.resolve();
    expect(watermark()).toBe(T0 + 10 * MINUTE - 10_000);
    expect([...shard.machine.sources]).toHaveLength(MAX_SOURCES + 1);
  });

  test("a timestamp from the future moves the watermark no further than the clock", () => {
    const shard = new SimulatedShard([perMinute]);
    shard.offer([event("a", T0 + 60 * MINUTE, T0)]);
    expect(shard.machine.aggregations.get("per_minute")?.watermark).toBe(T0 - 10_000);
  });

  test("groups beyond max_groups go to one overflow group, and the total stays exact", () => {
    const shard = new SimulatedShard([{ ...perMinute, max_groups: 2 }]);
    shard.offer(Array.from({ length: 10 }, (_, k) => event(`e${k}`, T0, T0, "a", `kind${k}`)));
    expect([...shard.results().keys()].at(-1)).toContain('"overflow":true');
    const counts = [...shard.results().values()].map((values) => values["events"]);
    expect(counts.toSorted()).toEqual([1, 1, 8]);
  });

  test("by default 10,000 groups of a window stand for themselves, the next ones together, also after a crash", () => {
    const shard = new SimulatedShard([perMinute]);
    const offer = (from: number, to: number): void => {
      shard.offer(Array.from({ length: to - from }, (_, k) => event(`e${from + k}`, T0, T0, "a", `kind${from + k}`)));
      // More ids than are remembered here.
      shard.resolve();
    };
    offer(0, 10_000);
    expect(shard.results().size).toBe(10_000);
    expect([...shard.results().keys()].filter((name) => name.includes('"overflow":true'))).toEqual([]);
    shard.checkpoint();
    shard.crash();
    offer(10_000, 10_005);
    shard.offer([event("again", T0, T0, "a", "kind7")]);
    shard.resolve();
    shard.crash();
    const results = shard.results();
    expect(results.size).toBe(10_001);
    expect([...results].filter(([name]) => name.includes('"overflow":true')).map(([, values]) => values)).toEqual([
      { events: 5, total: 5 },
    ]);
    expect([...results.values()].reduce((sum, values) => sum + Number(values["events"]), 0)).toBe(10_006);
  });

  test("groups by paths of any depth, by the values as they are, and by null where there is nothing", () => {
    const shard = new SimulatedShard([{ ...perMinute, group_by: ["data.http.request.method", "metadata.a.b"] }]);
    shard.offer([
      deep("1", { http: { request: { method: "GET" } }, n: 1 }, { a: { b: 1 } }),
      deep("2", { http: { request: { method: "GET" } }, n: 1 }, { a: { b: "1" } }),
      deep("3", { http: "GET", n: 1 }, { a: [{ b: 1 }] }),
      deep("4", { http: { request: null }, n: 1 }, {}),
    ]);
    const groups = [...shard.results()].map(([name, { events }]) => [
      JSON.parse(name.slice(name.indexOf("{"))),
      events,
    ]);
    expect(groups).toHaveLength(3);
    expect(groups).toEqual(
      expect.arrayContaining([
        [group("GET", 1), 1],
        [group("GET", "1"), 1],
        [group(null, null), 2],
      ]),
    );
  });

  test("a copy without a time of its own is not new while the first one waits for its look-up", () => {
    const { machine } = new SimulatedShard([perMinute]);
    const batch = EventBatch.fromEvents([
      { ...event("waits", T0, T0), timestampAssigned: true },
      { ...event("other", T0, T0), timestampAssigned: true },
    ]);
    const { fresh, unknown, duplicates } = machine.offer(batch, (id) => id === "waits");
    expect([[...fresh], [...unknown], duplicates]).toEqual([[1], [], 1]);
  });

  test("taking slots back moves no watermark by what their giver has counted and not yet told", () => {
    const shard = new SimulatedShard([perMinute]);
    shard.offer([event("1", T0, T0)]);
    const sources = [
      { name: "", newest: null, stored: [] },
      { name: "a", newest: T0 + 10 * MINUTE, stored: [] },
    ];
    shard.adopt(encodeKnownIds({ newestReceived: null, assignedForgottenThrough: null, sources, groups: [] }));
    shard.offer([event("2", T0 + 1000, T0 + 1000)]);
    expect(shard.machine.aggregations.get("per_minute")?.watermark).toBe(T0 - 9000);
    expect(shard.closings).toEqual([]);
  });

  test("a shard whose storage began anew is counted from its beginning, beside what its earlier life counted", () => {
    const { machine } = new SimulatedShard([perMinute]);
    const epoch = epochOf(machine.definitions);
    const terms = termsOf(epoch, machine.definitions, []);
    const ship = (incarnation: string, ...ids: string[]): boolean => {
      const batch = EventBatch.fromEvents(ids.map((id) => event(id, T0, T0)));
      const builder = new DeltaBuilder(terms, 0);
      builder.add(batch, allRows(batch));
      const totals = { applied: ids.length, duplicates: 0, storedBytes: 100 };
      const delta = builder.delta({ shard: 1, incarnation, totals });
      const isAwaited = machine.awaits(delta);
      if (isAwaited) machine.merge(delta);
      return isAwaited;
    };
    expect([ship("a", "1", "2"), ship("a", "1", "2"), ship("b", "3")]).toEqual([true, false, true]);
    expect(machine.stats.total).toBe(3);
    expect(machine.shards.totals.applied).toBe(3);
  });
});
