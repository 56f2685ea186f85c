import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { ClosedWindow } from "../../core/windows/window-json.ts";
import { AlertManager } from "../../durable-objects/alert-manager.ts";
import { event, events, T0 } from "./event-messages.ts";
import { everyWindow, message, newAggregator, takeClock } from "./window-aggregator-bench.ts";

const MINUTE = 60_000;

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const minutely = {
  name: "mine",
  window: { type: "tumbling" as const, size: "1m" },
  measures: { n: { fn: "count" as const } },
};

/** Stands for the AlertManager. @param open aggregations that it says have open alerts */
function listenToWindows(open: string[] = []) {
  const told: ClosedWindow[] = [];
  const spy = vi.spyOn(AlertManager.prototype, "windowsClosed").mockImplementation(async (batch) => {
    told.push(...batch);
    return { open };
  });
  return { told, spy };
}

const busy = (prefix: string, count: number) =>
  message(Array.from({ length: count }, (_, k) => event(`${prefix}-${k}`, Date.now() + k, { source: "a" })));

describe("silence", () => {
  test("of one source closes its windows though another sends without pause", async () => {
    const { stub, object, rate } = newAggregator();
    const clock = takeClock();
    await stub.apply([message([event("quiet", T0, { source: "b" })])]);
    const report = async (used: number) =>
      await rate.lease({ isolate: "a", used: { events: used, bytes: 0 }, want: 100 });
    await report(51);
    await stub.apply([busy("first", 40)]);
    await runDurableObjectAlarm(object);
    expect((await stub.windows("events_1h", everyWindow))?.windows[0]).toMatchObject({ status: "open" });
    clock.pass(2000);
    await report(200);
    await stub.apply([busy("second", 150)]);
    await runDurableObjectAlarm(object);
    expect((await stub.windows("events_1h", everyWindow))?.windows[0]).toMatchObject({ status: "closed" });
  });

  test("of all, with an alert open, does not let the log of idle checks grow without end", async () => {
    const { stub, object } = newAggregator();
    const clock = takeClock();
    listenToWindows(["events_1m"]);
    await stub.watchRules([{ aggregation: "events_1m", lookBacks: [], early: [] }]);
    await stub.apply([message([event("last", Date.now())])]);
    for (let k = 0; k < 700; k++) {
      clock.pass(MINUTE);
      await runDurableObjectAlarm(object);
    }
    const count = "select count(*) as rows, sum(kind = 'tick') as ticks from log";
    const log = await runInDurableObject(object, (_, { storage }) => storage.sql.exec(count).one());
    expect(log["ticks"]).toBeGreaterThan(0);
    expect(log["rows"]).toBeLessThanOrEqual(400);
  });

  test("is told to an open alert also after its aggregation was given other times", async () => {
    const { stub, object } = newAggregator();
    const clock = takeClock();
    const { told } = listenToWindows(["mine"]);
    await stub.putAggregation(minutely, { mode: "create" });
    await stub.watchRules([{ aggregation: "mine", lookBacks: [], early: [] }]);
    await stub.apply([message([event("last", Date.now())])]);
    clock.pass(3 * MINUTE);
    await runDurableObjectAlarm(object);
    expect(told[0]).toMatchObject({ aggregation: "mine", groups: [{ values: { n: 1 } }] });
    const heard = told.at(-1);
    await stub.putAggregation({ ...minutely, idle_timeout: "10s" }, { mode: "replace" });
    clock.pass(3 * MINUTE);
    await runDurableObjectAlarm(object);
    expect(told.at(-1)).toMatchObject({ aggregation: "mine", start: heard?.end, groups: [] });
  });

  test("is told to an open alert for the time of an eviction as well", async () => {
    const { stub, object } = newAggregator();
    const clock = takeClock();
    const { told } = listenToWindows(["events_1m"]);
    await stub.watchRules([{ aggregation: "events_1m", lookBacks: [], early: [] }]);
    await stub.apply([message([event("last", Date.now())])]);
    clock.pass(3 * MINUTE);
    await runDurableObjectAlarm(object);
    await stub.flush();
    const heard = told.at(-1);
    await evictDurableObject(object);
    clock.pass(3 * MINUTE);
    await runDurableObjectAlarm(object);
    expect(told.at(-1)).toMatchObject({ start: heard?.end, groups: [] });
  });
});

describe("closed windows that wait for the alerts", () => {
  test("are told once each, as they are by then, and not before the pause after a failure is over", async () => {
    const { stub, object } = newAggregator();
    const clock = takeClock();
    const { told, spy } = listenToWindows();
    spy.mockRejectedValueOnce(new Error("away"));
    await stub.watchRules([{ aggregation: "events_1m", lookBacks: [], early: [] }]);
    await stub.apply([message([event("a", T0), event("b", T0 + 60 * MINUTE)])]);
    for (let k = 0; k < 20; k++) await stub.apply([message([event(`late-${k}`, T0 + k + 1)])]);
    expect(spy).toHaveBeenCalledTimes(1);
    clock.pass(2001);
    await runDurableObjectAlarm(object);
    const first = told.filter(({ start }) => start === T0);
    expect(first.map(({ revision, groups }) => [revision, groups[0]?.values["count"]])).toEqual([[20, 21]]);
  });

  test("outlast a restart however many they are", async () => {
    const { stub, object } = newAggregator();
    const { told, spy } = listenToWindows();
    spy.mockRejectedValue(new Error("away"));
    await stub.watchRules([{ aggregation: "events_1m", lookBacks: [], early: [] }]);
    const count = 50_000;
    const sparse = Array.from({ length: count + 1 }, (_, k) => event(`e-${k}`, T0 + k * MINUTE));
    const messages = Array.from({ length: 11 }, (_, k) => message(sparse.slice(k * 5000, (k + 1) * 5000)));
    expect(await stub.apply(messages)).toMatchObject({ fresh: count + 1 });
    await stub.flush();
    const longest = "select max(length(value)) as bytes from meta where key like 'untold%'";
    const row = await runInDurableObject(object, (_, { storage }) => storage.sql.exec(longest).one());
    // The platform's limit is 2 MB.
    expect(row["bytes"]).toBeLessThan(1_000_000);
    await evictDurableObject(object);
    spy.mockImplementation(async (batch) => {
      told.push(...batch);
      return { open: [] };
    });
    await stub.apply([message([event("wake", T0 + (count + 1) * MINUTE)])]);
    await expect
      .poll(() => new Set(told.map(({ start }) => start)).size, { timeout: 20_000 })
      .toBeGreaterThanOrEqual(count);
  });

  test("are not mixed up with those of the aggregation that replaced theirs", async () => {
    const { stub, object } = newAggregator();
    const clock = takeClock();
    const { told, spy } = listenToWindows();
    spy.mockRejectedValueOnce(new Error("away"));
    const start = Date.now() - 2 * MINUTE;
    const window = (size: "1m" | "1h", sizeMs: number) => ({
      ...minutely,
      window: { type: "tumbling" as const, size, offset: `${start % sizeMs}ms` },
    });
    await stub.putAggregation(window("1m", MINUTE), { mode: "create" });
    await stub.watchRules([{ aggregation: "mine", lookBacks: [], early: [] }]);
    await stub.apply([message(events(120, "first", start))]);
    await expect.poll(() => spy.mock.calls.length).toBe(1);
    // Begins with the minute that waits to be told, and is not over yet.
    await stub.putAggregation(window("1h", 60 * MINUTE), { mode: "replace" });
    await stub.apply([message([event("same-hour", start + MINUTE)])]);
    clock.pass(2001);
    await runDurableObjectAlarm(object);
    await stub.apply([message([event("a-minute-later", start + 2 * MINUTE)])]);
    expect(told).toEqual([]);
  });
});
