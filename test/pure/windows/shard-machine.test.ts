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
function event(id: string, timestamp: number, receivedAt: number, source = "a", kind = "x", n = 1): StreamEvent {
  return { id, type: "t", source, timestamp, receivedAt, severity: "low", data: { kind, n }, metadata: {} };
}

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
});
