import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { StreamEvent } from "../../core/events/event.ts";
import { aggregatorName } from "../../core/events/names.ts";
import type { Definition } from "../../core/windows/definition.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { AlertManager } from "../../durable-objects/alert-manager.ts";
import { LiveHub } from "../../durable-objects/live-hub.ts";
import { StoredEvents } from "../../durable-objects/aggregator/stored-events.ts";
import type { WindowAggregator } from "../../durable-objects/window-aggregator.ts";
import { event } from "./event-messages.ts";
import { type Answer, call, makeKey, makeTenant } from "./http-client.ts";
import { everyWindow, hourlyCounts, message, newAggregator } from "./window-aggregator-bench.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** An hour began; what is measured from here has just been received. */
const T0 = Math.floor(Date.now() / HOUR) * HOUR - 12 * HOUR;

afterEach(() => vi.restoreAllMocks());

type Stub = ReturnType<typeof newAggregator>["stub"];

/** Events a minute apart; every third is of another kind. */
const minutes = (count: number, prefix = "e", from = T0): StreamEvent[] =>
  Array.from({ length: count }, (_, k) =>
    event(`${prefix}-${k}`, from + k * MINUTE, {
      data: { kind: k % 3 === 0 ? "b" : "a", n: k },
      receivedAt: Date.now(),
    }),
  );

const byKind: Definition = {
  name: "by_kind",
  window: { type: "tumbling", size: "1h" },
  group_by: ["data.kind"],
  measures: { n: { fn: "count" }, sum: { fn: "sum", field: "data.n" } },
};

async function isOver(stub: Stub): Promise<void> {
  await expect
    .poll(async () => (await stub.listRebuilds()).map(({ state }) => state), { timeout: 10_000 })
    .not.toContainEqual(expect.stringMatching(/waiting|running/));
}

/** Hour since T0, group and count of each window, and whether it is partial. */
async function shown(stub: Stub, name = "by_kind", version: number | null = null): Promise<unknown[]> {
  const page = await stub.windows(name, everyWindow, version);
  return (page?.windows ?? []).map(({ start, group, values, partial, revision }) => [
    (Date.parse(start) - T0) / HOUR,
    group["data.kind"],
    values["n"],
    partial,
    revision,
  ]);
}

/** Has windows be wrong, as a bug might: the second and the third hour show what the first does. */
async function damage(tenant: string): Promise<void> {
  const object = env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant, 0));
  await windowAggregator(env, tenant).flush();
  await runInDurableObject(object, (_, { storage }) => {
    const first = "select body from windows as w where w.aggregation = windows.aggregation and w.start = ?";
    const { sql } = storage;
    sql.exec(
      `update windows set body = (${first}) where aggregation >= 100 and start in (?, ?)`,
      T0,
      T0 + HOUR,
      T0 + 2 * HOUR,
    );
  });
  await evictDurableObject(object);
}

/** From now on `work` is done before and after each piece that is read from the store. */
function whileReading(work: () => Promise<void>): void {
  const { next } = StoredEvents.prototype;
  vi.spyOn(StoredEvents.prototype, "next").mockImplementation(async function (this: StoredEvents) {
    await work();
    const read = await next.call(this);
    await work();
    return read;
  });
}

describe("an aggregation made while events are there already", () => {
  test("has its open windows filled in from the store and from the log, and says partial until then", async () => {
    const { stub } = newAggregator();
    await stub.apply([message(minutes(30))]);
    await stub.flush();
    await stub.apply([message(minutes(10, "unsealed", T0 + 30 * MINUTE))]);
    const made = await stub.putAggregation(byKind, { mode: "create" });
    expect(made).toMatchObject({ ok: true, aggregation: { filling: true } });
    await stub.apply([message(minutes(5, "after", T0 + 40 * MINUTE))]);
    await isOver(stub);
    expect(await shown(stub)).toEqual([
      [0, "a", 29, false, 0],
      [0, "b", 16, false, 0],
    ]);
    expect(await stub.getAggregation("by_kind")).toMatchObject({ filling: false, lateEvents: 0 });
  });

  test("is filled in after an eviction, wherever that comes", async () => {
    const { stub, object } = newAggregator();
    await stub.apply([message(minutes(50))]);
    await stub.putAggregation(byKind, { mode: "create" });
    await evictDurableObject(object);
    await stub.apply([message(minutes(5, "after", T0 + 50 * MINUTE))]);
    await runInDurableObject(object, (instance: WindowAggregator) => instance.alarm());
    await isOver(stub);
    expect(await shown(stub)).toEqual([
      [0, "a", 36, false, 0],
      [0, "b", 19, false, 0],
    ]);
  });

  test("leaves the closed windows alone, unless backfill is asked for", async () => {
    const { stub } = newAggregator();
    await stub.apply([message(minutes(200))]);
    await stub.putAggregation(byKind, { mode: "create" });
    await isOver(stub);
    expect((await shown(stub)).map((one) => (one as unknown[])[0])).toEqual([3, 3]);
    const all: Definition = { ...byKind, name: "all" };
    await stub.putAggregation(all, { mode: "create", backfill: true });
    await isOver(stub);
    expect(await shown(stub, "all")).toEqual([
      [0, "a", 40, false, 0],
      [0, "b", 20, false, 0],
      [1, "a", 40, false, 0],
      [1, "b", 20, false, 0],
      [2, "a", 40, false, 0],
      [2, "b", 20, false, 0],
      [3, "a", 13, false, 0],
      [3, "b", 7, false, 0],
    ]);
  });

  test.each([
    ["hopping", { type: "hopping", size: "1h", slide: "20m" }],
    ["tumbling", { type: "tumbling", size: "1h" }],
    ["session", { type: "session", gap: "90s" }],
  ] as const)(
    "lacks nothing once everything is counted: %s windows that begin before the oldest event, and those of older ones that come later",
    async (name, window) => {
      const { stub, object } = newAggregator();
      await stub.apply([message(minutes(200, "e", T0 + 10 * MINUTE))]);
      await stub.putAggregation({ ...byKind, name, window }, { mode: "create", backfill: true });
      await isOver(stub);
      const partial = async (): Promise<unknown[]> =>
        (await shown(stub, name)).filter((one) => (one as unknown[])[3] === true);
      expect(await partial()).toEqual([]);
      await stub.apply([message(minutes(5, "older", T0 - 3 * HOUR))]);
      await evictDurableObject(object);
      expect(await partial()).toEqual([]);
      expect((await shown(stub, name)).some((one) => Number((one as unknown[])[0]) <= -2)).toBe(true);
    },
  );

  test("sessions and hopping windows are filled in as well, from where the oldest open one begins", async () => {
    const { stub } = newAggregator();
    const hours = [0, 10, 20, 25, 100, 105, 112].map((minute) =>
      event(`s-${minute}`, T0 + minute * MINUTE, { data: { kind: "a" } }),
    );
    await stub.apply([message(hours)]);
    const measures: Definition["measures"] = { n: { fn: "count" } };
    await stub.putAggregation({ name: "runs", window: { type: "session", gap: "15m" }, measures }, { mode: "create" });
    await stub.putAggregation(
      { name: "hops", window: { type: "hopping", size: "1h", slide: "30m" }, measures },
      { mode: "create", backfill: true },
    );
    await isOver(stub);
    expect(await shown(stub, "runs")).toEqual([[100 / 60, undefined, 3, false, 0]]);
    expect((await shown(stub, "hops")).map((one) => (one as unknown[])[2])).toEqual([4, 4, 3, 3]);
  });
});

describe("a changed aggregation", () => {
  const changed: Definition = { ...byKind, measures: { n: { fn: "count" }, most: { fn: "max", field: "data.n" } } };

  test("fills in its open windows, and the closed ones of the version before can still be read", async () => {
    const { stub, object } = newAggregator();
    await stub.putAggregation(byKind, { mode: "create" });
    await stub.apply([message(minutes(130))]);
    const before = (await shown(stub)).slice(0, 4);
    expect(await stub.putAggregation(changed, { mode: "replace" })).toMatchObject({ aggregation: { version: 2 } });
    await evictDurableObject(object);
    await runInDurableObject(object, (instance: WindowAggregator) => instance.alarm());
    await isOver(stub);
    expect(await shown(stub)).toEqual([
      [2, "a", 6, false, 0],
      [2, "b", 4, false, 0],
    ]);
    expect(await shown(stub, "by_kind", 1)).toEqual(before);
    expect(await stub.getAggregation("by_kind")).toMatchObject({ pastVersions: [{ version: 1, definition: byKind }] });
  });

  test("with backfill counts the closed windows too, and the version before is gone once it has", async () => {
    const { stub } = newAggregator();
    await stub.putAggregation(byKind, { mode: "create" });
    await stub.apply([message(minutes(130))]);
    const before = await shown(stub);
    await stub.putAggregation(changed, { mode: "replace", backfill: true });
    await isOver(stub);
    expect(await shown(stub)).toEqual(before);
    expect(await stub.getAggregation("by_kind")).toMatchObject({ version: 2, pastVersions: [] });
    expect(await stub.windows("by_kind", everyWindow, 1)).toBeNull();
  });

  test("keeps five versions, and none of a name that was deleted and made again", async () => {
    const { stub, object } = newAggregator();
    await stub.putAggregation(byKind, { mode: "create" });
    await stub.apply([message(minutes(130))]);
    for (let k = 0; k < 8; k++)
      await stub.putAggregation({ ...byKind, filter: `event.data.n > ${k}` }, { mode: "replace" });
    const kept = (await stub.getAggregation("by_kind"))?.pastVersions.map(({ version }) => version);
    expect(kept).toEqual([8, 7, 6, 5, 4]);
    expect(await stub.deleteAggregation("by_kind")).toBe("deleted");
    await stub.putAggregation(byKind, { mode: "create" });
    await isOver(stub);
    await stub.flush();
    expect(await stub.getAggregation("by_kind")).toMatchObject({ version: 1, pastVersions: [] });
    const left = await runInDurableObject(object, (_, { storage }) =>
      storage.sql.exec("select distinct aggregation from windows where aggregation >= 100").toArray(),
    );
    expect(left).toHaveLength(1);
  });
});

describe("a rebuild", () => {
  test("makes right what was wrong, from the store and the log, and raises the revision there only", async () => {
    const { stub, tenant } = newAggregator();
    await stub.putAggregation(byKind, { mode: "create" });
    await stub.apply([message(minutes(200))]);
    const sums = async (): Promise<unknown[]> =>
      (await stub.windows("by_kind", everyWindow))?.windows.map(({ values, revision }) => [values["sum"], revision]) ??
      [];
    const right = (await sums()) as [number, number][];
    await damage(tenant);
    expect((await sums())[2]).toEqual(right[0]);
    const answer = await stub.requestRebuild({ from: T0, to: T0 + 3 * HOUR }, "by_kind");
    expect(answer).toMatchObject({ ok: true, job: { kind: "rebuild" } });
    await isOver(stub);
    expect(await sums()).toEqual(right.map(([sum], k) => [sum, k >= 2 && k < 6 ? 1 : 0]));
    expect((await stub.listRebuilds())[0]).toMatchObject({ state: "done", windowsChanged: 2, eventsRead: 200 });
  });

  test("of what is right changes nothing and raises no revision", async () => {
    const { stub, object } = newAggregator();
    await stub.apply([message(minutes(200)), message(minutes(50, "again", T0 + HOUR))]);
    const before = await hourlyCounts(stub);
    await stub.requestRebuild({ from: 0, to: T0 + 300 * HOUR }, null);
    await isOver(stub);
    expect(await hourlyCounts(stub)).toEqual(before);
    expect(await stub.listRebuilds()).toMatchObject([{ state: "done", windowsChanged: 0 }]);
    await evictDurableObject(object);
    expect(await hourlyCounts(stub)).toEqual(before);
  });

  test("takes in what comes meanwhile: new, late and twice", async () => {
    const { stub, object, tenant } = newAggregator();
    await stub.putAggregation(byKind, { mode: "create" });
    const first = minutes(200);
    await stub.apply([message(first)]);
    await damage(tenant);
    let k = 0;
    await runInDurableObject(object, async (instance: WindowAggregator) => {
      whileReading(async () => {
        await instance.apply([message(minutes(6, `live-${k}`, T0 + (200 + k * 6) * MINUTE))]);
        await instance.apply([message(minutes(1, `late-${k}`, T0 + (k % 3) * HOUR))]);
        await instance.apply([message(first.slice(k * 10, k * 10 + 20))]);
        k++;
      });
      await instance.requestRebuild({ from: T0, to: T0 + 10 * HOUR }, null);
      await vi.waitFor(() => expect(instance.listRebuilds()[0]?.state).toBe("done"), { timeout: 10_000 });
    });
    expect(k).toBeGreaterThanOrEqual(8);
    await stub.flush();
    const late = (hour: number): number => Math.floor((k + 2 - hour) / 3);
    const hours = [60 + late(0), 60 + late(1), 60 + late(2)];
    expect((await hourlyCounts(stub)).slice(0, 3)).toEqual(hours);
    const shownNow = (await shown(stub)) as [number, string, number][];
    expect(shownNow.slice(0, 6).map(([, , n]) => n)).toEqual(hours.flatMap((n) => [40, n - 40]));
    const all = shownNow.reduce((sum, [, , n]) => sum + n, 0);
    expect(all).toBe(200 + 7 * k);
    expect((await stub.stats()).total_events).toBe(all);
  });

  test("goes on after a crash in the middle of it", async () => {
    const { tenant, ...made } = newAggregator();
    await made.stub.putAggregation(byKind, { mode: "create" });
    await made.stub.apply([message(minutes(200))]);
    const right = ((await shown(made.stub)) as unknown[][]).map((one) => one.slice(0, 3));
    await damage(tenant);
    // A stub does not survive the crash of its object.
    const stub = (): Stub => windowAggregator(env, tenant);
    const object = () => env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant, 0));
    let pieces = 0;
    for (let k = 0; k < 3; k++) {
      const stuck = vi.spyOn(StoredEvents.prototype, "next").mockImplementation(() => {
        pieces++;
        return new Promise(() => {});
      });
      if (k === 0) await stub().requestRebuild({ from: T0, to: T0 + 10 * HOUR }, "by_kind");
      else await runInDurableObject(object(), (instance: WindowAggregator) => instance.alarm());
      await expect.poll(() => pieces).toBe(k + 1);
      await stub().apply([message(minutes(1, `extra-${k}`, T0 + 5 * HOUR))]);
      await runInDurableObject(object(), async (_, state) => state.abort("crash")).catch(() => {});
      stuck.mockRestore();
    }
    expect(await stub().listRebuilds()).toMatchObject([{ state: "running" }]);
    await runInDurableObject(object(), (instance: WindowAggregator) => instance.alarm());
    await isOver(stub());
    expect(((await shown(stub())) as unknown[][]).map((one) => one.slice(0, 3))).toEqual([...right, [5, "b", 3]]);
  });

  test("tells live readers and never the alerts", async () => {
    const { stub, tenant } = newAggregator();
    await stub.putAggregation({ ...byKind, allowed_lateness: "400d" }, { mode: "create" });
    await stub.watchRules([{ aggregation: "by_kind", lookBacks: [], early: [] }]);
    await stub.apply([message(minutes(200))]);
    await damage(tenant);
    await stub.watch({ topics: ["aggregation:by_kind"], untilMs: Date.now() + 60_000 });
    const published = vi.spyOn(LiveHub.prototype, "publish");
    const told = vi.spyOn(AlertManager.prototype, "windowsClosed");
    await stub.requestRebuild({ from: T0, to: T0 + 3 * HOUR }, "by_kind");
    await isOver(stub);
    await expect.poll(() => JSON.stringify(published.mock.calls)).toContain('"revision":1');
    // What they are told next comes in order of end, after anything the rebuild had for them.
    await stub.apply([message(minutes(1, "next", T0 + 6 * HOUR))]);
    const starts = (): number[] => told.mock.calls.flatMap(([windows]) => windows.map(({ start }) => start));
    await expect.poll(starts).toContain(T0 + 3 * HOUR);
    const revisions = told.mock.calls.flatMap(([windows]) => windows.map(({ revision }) => revision));
    expect(revisions.filter((revision) => revision > 0)).toEqual([]);
  });

  test("of an aggregation that is deleted meanwhile is cancelled", async () => {
    const { stub, object } = newAggregator();
    await stub.putAggregation(byKind, { mode: "create" });
    await stub.apply([message(minutes(20))]);
    await runInDurableObject(object, async (instance: WindowAggregator) => {
      await instance.requestRebuild({ from: T0, to: T0 + HOUR }, "by_kind");
      instance.deleteAggregation("by_kind");
    });
    await isOver(stub);
    expect(await stub.listRebuilds()).toMatchObject([{ state: "cancelled" }]);
  });

  test("waits for a store that is away, says why, and ends when it is back", async () => {
    const { stub, object } = newAggregator();
    await stub.apply([message(minutes(20))]);
    const away = vi.spyOn(Object.getPrototypeOf(env.DB), "prepare").mockImplementation(() => {
      throw new Error("the store is away");
    });
    await stub.requestRebuild({ from: T0, to: T0 + HOUR }, "events_1h");
    await expect.poll(async () => (await stub.listRebuilds())[0]?.error).toContain("away");
    away.mockRestore();
    await expect
      .poll(
        async () => {
          await runInDurableObject(object, (instance: WindowAggregator) => instance.alarm());
          return (await stub.listRebuilds())[0]?.state;
        },
        { timeout: 10_000 },
      )
      .toBe("done");
  });
});

describe("a stored definition that no longer compiles", () => {
  test("does not keep the object from starting, is named as disabled, and can be replaced or deleted", async () => {
    const { id, adminKey } = await makeTenant();
    const stub = windowAggregator(env, id);
    const object = env.WINDOW_AGGREGATOR.getByName(aggregatorName(id, 0));
    await stub.putAggregation(byKind, { mode: "create" });
    await stub.putAggregation({ ...byKind, name: "other" }, { mode: "create" });
    await stub.apply([message(minutes(10))]);
    await runInDurableObject(object, (_, { storage }) => {
      storage.sql.exec(
        "update definitions set body = ? where body like '%by_kind%'",
        '{"name":"by_kind","filter":"((("}',
      );
      storage.sql.exec(
        "update definitions set body = ? where body like '%other%'",
        '{"name":"other","window":{"type":"spiral"}}',
      );
    });
    await evictDurableObject(object);
    expect(await stub.apply([message(minutes(10, "more"))])).toMatchObject({ fresh: 10 });
    const get = (path: string): Promise<Answer> => call("GET", path, { key: adminKey });
    const { data } = await get("/api/v1/aggregations");
    const disabled = (data["aggregations"] as Record<string, unknown>[]).filter((one) => "disabled" in one);
    expect(disabled).toEqual([
      { name: "by_kind", version: 1, built_in: false, disabled: expect.any(String) },
      { name: "other", version: 1, built_in: false, disabled: expect.any(String) },
    ]);
    expect((await get("/api/v1/aggregations/by_kind/windows")).status).toBe(409);
    expect((await get("/metrics")).text).toMatch(/^streamflow_aggregation_disabled\{aggregation="other"\} 1$/m);
    expect(await stub.putAggregation(byKind, { mode: "replace" })).toMatchObject({
      ok: true,
      aggregation: { version: 2 },
    });
    expect(await stub.deleteAggregation("other")).toBe("deleted");
    await isOver(stub);
    expect(((await shown(stub)) as unknown[][]).map((one) => one.slice(0, 4))).toEqual([
      [0, "a", 12, false],
      [0, "b", 8, false],
    ]);
    await evictDurableObject(object);
    expect((await stub.listAggregations()).map(({ definition }) => definition.name)).not.toContain("other");
  });
});

describe("over HTTP", () => {
  let editor: string;
  let viewer: string;
  let tenant: string;
  const ask = (json: unknown, key = editor): Promise<Answer> => call("POST", "/api/v1/windows/rebuild", { key, json });

  beforeAll(async () => {
    const made = await makeTenant();
    tenant = made.id;
    editor = (await makeKey(made.adminKey, "editor")).key;
    viewer = (await makeKey(made.adminKey, "viewer")).key;
    await windowAggregator(env, tenant).apply([message(minutes(130))]);
  });

  test("an editor asks for a rebuild, and everybody sees how far it is", async () => {
    const asked = await ask({ from: new Date(T0).toISOString(), to: T0 + 2 * HOUR, aggregation: "events_1h" });
    expect(asked.status).toBe(202);
    const { id } = asked.data;
    const job = (): Promise<Answer> => call("GET", `/api/v1/windows/rebuild/${String(id)}`, { key: viewer });
    await expect
      .poll(async () => (await job()).data)
      .toMatchObject({
        state: "done",
        progress: 1,
        kind: "rebuild",
        aggregations: [{ name: "events_1h", version: 1 }],
        error: null,
      });
    expect((await call("GET", "/api/v1/windows/rebuild", { key: viewer })).data["rebuilds"]).toHaveLength(1);
    expect((await call("GET", "/api/v1/windows/rebuild/77", { key: viewer })).status).toBe(404);
  });

  test.each([
    [{ to: 5 }, "from"],
    [{ from: "yesterday", to: 5 }, "from"],
    [{ from: 5, to: 5 }, "to"],
    [{ from: 1, to: 5, aggregation: 7 }, "aggregation"],
    [{ from: 1, to: 5, agregation: "x" }, "agregation"],
    [[], "body"],
  ])("%j is refused by its field", async (json, field) => {
    const answer = await ask(json);
    expect(answer.status).toBe(400);
    expect(answer.body["details"]).toMatchObject({ field });
  });

  test("an unknown aggregation is not found, and only so many rebuilds may wait", async () => {
    expect((await ask({ from: 1, to: 5, aggregation: "nope" })).status).toBe(404);
    const object = env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant, 0));
    const answers = await runInDurableObject(object, async (instance: WindowAggregator) => {
      const list = [];
      for (let k = 0; k < 30; k++) list.push((await instance.requestRebuild({ from: T0, to: T0 + HOUR }, null)).ok);
      return list;
    });
    expect(answers.filter(Boolean).length).toBeGreaterThanOrEqual(20);
    expect(answers.at(-1)).toBe(false);
  });

  test("backfill is asked for with the definition, and a past version is read by its number", async () => {
    const path = "/api/v1/aggregations/mine";
    const json = { name: "mine", window: byKind.window, measures: byKind.measures };
    const made = await call("POST", "/api/v1/aggregations", { key: editor, json: { ...json, backfill: true } });
    expect(made.status).toBe(201);
    const counts = async (query: string): Promise<unknown[]> => {
      const { data } = await call("GET", `${path}/windows?${query}`, { key: viewer });
      return (data["windows"] as { values: Record<string, unknown> }[]).map(({ values }) => values["n"] ?? values["m"]);
    };
    await expect.poll(async () => await counts("")).toEqual([60, 60, 10]);
    const changed = await call("PUT", path, { key: editor, json: { ...json, measures: { m: { fn: "count" } } } });
    expect(changed.data).toMatchObject({ version: 2, past_versions: [{ version: 1, measures: byKind.measures }] });
    expect(await counts("version=1")).toEqual([60, 60]);
    await expect.poll(async () => await counts("version=2")).toEqual([10]);
    const total = await call("GET", `${path}/query?version=1`, { key: viewer });
    expect(total.data["rows"]).toMatchObject([{ values: { n: 120 } }]);
    const wrong = await call("GET", `${path}/windows?version=9`, { key: viewer });
    expect([wrong.status, wrong.body["details"]]).toMatchObject([400, { field: "version" }]);
    const bad = await call("PUT", path, { key: editor, json: { ...json, backfill: "yes" } });
    expect([bad.status, bad.body["details"]]).toMatchObject([400, { field: "backfill" }]);
  });
});
