import { env } from "cloudflare:workers";
import { evictDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test } from "vitest";
import type { StreamEvent } from "../../core/events/event.ts";
import { aggregatorName } from "../../core/events/names.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { event, packed } from "./event-messages.ts";
import { type Answer, call, makeKey, makeTenant } from "./http-client.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const T0 = Date.parse("2026-10-24T20:00:00Z");

let tenant: string;
let key: string;
let made = 0;

beforeEach(async () => {
  const { id, adminKey } = await makeTenant();
  tenant = id;
  key = (await makeKey(adminKey, "editor")).key;
});

/** An event of just now, so that no source counts as silent. */
function at(atMs: number, kind = "x", fields: Partial<StreamEvent> = {}): StreamEvent {
  return event(`e-${made++}`, atMs, { receivedAt: Date.now(), data: { kind }, user_id: `u${made % 3}`, ...fields });
}

async function define(window: unknown, more: Record<string, unknown> = {}): Promise<Answer> {
  const measures = { n: { fn: "count" }, users: { fn: "distinct", field: "user_id" } };
  const json = { name: "mine", window, group_by: ["data.kind"], measures, idle_timeout: "1d", ...more };
  return await call("POST", "/api/v1/aggregations", { key, json });
}

async function apply(...events: readonly StreamEvent[]): Promise<void> {
  await windowAggregator(env, tenant).apply([{ id: "m", body: packed(events) }]);
}

/** Writes a checkpoint and drops everything from memory. */
async function restart(): Promise<void> {
  await windowAggregator(env, tenant).flush();
  await evictDurableObject(env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant, 0)));
}

/** Looks up what waits for it. */
async function resolved(): Promise<void> {
  await expect.poll(async () => (await windowAggregator(env, tenant).metrics())["events_late_pending"]).toBe(0);
}

interface Listed {
  readonly start: string;
  readonly end: string;
  readonly status: string;
  readonly revision: number;
  readonly group: Readonly<Record<string, unknown>>;
  readonly values: Readonly<Record<string, number>>;
}

/** Every entry, read page by page. */
async function listed(query = ""): Promise<Listed[]> {
  const found: Listed[] = [];
  let cursor: unknown = null;
  do {
    const more = typeof cursor === "string" ? `&cursor=${cursor}` : "";
    const { data } = await call("GET", `/api/v1/aggregations/mine/windows?limit=2${query}${more}`, { key });
    found.push(...(data["windows"] as Listed[]));
    cursor = data["next_cursor"];
  } while (cursor !== null);
  return found;
}

/** Minutes from T0 to the start and to the end, status, revision, group and count. */
const brief = (list: readonly Listed[]): unknown[] =>
  list.map(({ start, end, status, revision, group, values }) => [
    (Date.parse(start) - T0) / MINUTE,
    (Date.parse(end) - T0) / MINUTE,
    status,
    revision,
    group["data.kind"],
    values["n"],
  ]);

async function range(query: string): Promise<unknown[]> {
  const { data } = await call("GET", `/api/v1/aggregations/mine/query?${query}`, { key });
  return (data["rows"] as Listed[]).map(({ start, end, values }) => [
    (Date.parse(start) - T0) / MINUTE,
    (Date.parse(end) - T0) / MINUTE,
    values["n"],
  ]);
}

describe("hopping windows", () => {
  test("overlap, survive an eviction, and a late event revises each closed one it falls into", async () => {
    expect((await define({ type: "hopping", size: "10m", slide: "5m" })).status).toBe(201);
    await apply(at(T0 + MINUTE), at(T0 + 6 * MINUTE), at(T0 + 6 * MINUTE, "y"));
    await apply(at(T0 + 12 * MINUTE));
    const before = [
      [-5, 5, "closed", 0, "x", 1],
      [0, 10, "closed", 0, "x", 2],
      [0, 10, "closed", 0, "y", 1],
      [5, 15, "open", 0, "x", 2],
      [5, 15, "open", 0, "y", 1],
      [10, 20, "open", 0, "x", 1],
    ];
    expect(brief(await listed())).toEqual(before);
    await restart();
    expect(brief(await listed())).toEqual(before);
    await apply(at(T0 + 7 * MINUTE));
    await resolved();
    await restart();
    expect(brief(await listed())).toEqual([
      [-5, 5, "closed", 0, "x", 1],
      [0, 10, "closed", 1, "x", 3],
      [0, 10, "closed", 1, "y", 1],
      [5, 15, "open", 0, "x", 3],
      [5, 15, "open", 0, "y", 1],
      [10, 20, "open", 0, "x", 1],
    ]);
    expect(brief(await listed("&status=open&group.data.kind=y"))).toEqual([[5, 15, "open", 0, "y", 1]]);
  });

  test("close after an eviction although nothing touched them since", async () => {
    await define({ type: "hopping", size: "10m", slide: "5m" });
    await apply(at(T0 + MINUTE));
    await restart();
    await apply(at(T0 + HOUR));
    const { data } = await call("GET", "/api/v1/aggregations/mine", { key });
    expect(data["open_windows"]).toBe(2);
    expect(brief(await listed("&status=closed"))).toEqual([
      [-5, 5, "closed", 0, "x", 1],
      [0, 10, "closed", 0, "x", 1],
    ]);
  });

  test("are merged over a range without counting anything twice", async () => {
    await define({ type: "hopping", size: "10m", slide: "5m" }, { group_by: [] });
    await apply(...Array.from({ length: 30 }, (_, k) => at(T0 + k * MINUTE)));
    expect(await range("step=total")).toEqual([[0, 30, 30]]);
    expect(await range(`from=${T0}&to=${T0 + 20 * MINUTE}&step=10m`)).toEqual([
      [0, 10, 10],
      [10, 20, 10],
    ]);
    const refused = await call("GET", "/api/v1/aggregations/mine/query?step=7m", { key });
    expect([refused.status, refused.body["details"]]).toEqual([400, { field: "step", message: expect.any(String) }]);
  });
});

describe("session windows", () => {
  test("of an evicted object are joined by a late event, closed and open ones", async () => {
    await define({ type: "session", gap: "10m" });
    await apply(at(T0), at(T0 + 15 * MINUTE), at(T0 + 15 * MINUTE, "y"));
    await apply(at(T0 + 16 * MINUTE));
    await restart();
    expect(brief(await listed())).toEqual([
      [0, 10, "closed", 0, "x", 1],
      [15, 26, "open", 0, "x", 2],
      [15, 25, "open", 0, "y", 1],
    ]);
    await apply(at(T0 + 8 * MINUTE));
    await resolved();
    const joined = [
      [0, 26, "open", 1, "x", 4],
      [15, 25, "open", 0, "y", 1],
    ];
    expect(brief(await listed())).toEqual(joined);
    await restart();
    expect(brief(await listed())).toEqual(joined);
  });

  test("close after an eviction, and a range merges those that start in it", async () => {
    await define({ type: "session", gap: "10m" });
    await apply(at(T0), at(T0 + 5 * MINUTE), at(T0 + MINUTE, "y"));
    await restart();
    await apply(at(T0 + 3 * HOUR));
    expect(brief(await listed("&status=closed"))).toEqual([
      [0, 15, "closed", 0, "x", 2],
      [1, 11, "closed", 0, "y", 1],
    ]);
    expect(await range(`from=${T0}&to=${T0 + HOUR}&step=1h&group.data.kind=x`)).toEqual([[0, 60, 2]]);
    expect(await range("step=total&group.data.kind=x")).toEqual([[0, 190, 3]]);
  });

  test("one that goes on for hours is found by a late event in its middle, and listed in its place", async () => {
    await define({ type: "session", gap: "10m" });
    const walk = Array.from({ length: 48 }, (_, k) => at(T0 + k * 5 * MINUTE));
    await apply(at(T0 - HOUR, "before"), ...walk, at(T0 + HOUR, "within"));
    await restart();
    await apply(at(T0 + 2 * HOUR + MINUTE));
    await resolved();
    await restart();
    expect(brief(await listed())).toEqual([
      [-60, -50, "closed", 0, "before", 1],
      [0, 245, "open", 0, "x", 49],
      [60, 70, "closed", 0, "within", 1],
    ]);
  });

  test("pages of a hundred sessions that start together come each once", async () => {
    await define({ type: "session", gap: "10m" });
    await apply(...Array.from({ length: 100 }, (_, k) => at(T0 + (k % 3) * MINUTE, `kind${k}`)));
    await restart();
    const kinds = (await listed()).map(({ group }) => group["data.kind"]);
    expect([kinds.length, new Set(kinds).size]).toEqual([100, 100]);
  });
});

describe("windows of a calendar", () => {
  const berlin = { type: "tumbling", size: "1d", timezone: "Europe/Berlin" };

  test("a day on which the clock goes back has 25 hours", async () => {
    const { data } = await define(berlin, { group_by: [] });
    expect(data["window"]).toEqual(berlin);
    const hours = Array.from({ length: 48 }, (_, k) => at(T0 + k * HOUR));
    await apply(...hours);
    await restart();
    expect((await listed()).map(({ start, end, values }) => [start, end, values["n"]])).toEqual([
      ["2026-10-23T22:00:00.000Z", "2026-10-24T22:00:00.000Z", 2],
      ["2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z", 25],
      ["2026-10-25T23:00:00.000Z", "2026-10-26T23:00:00.000Z", 21],
    ]);
  });

  test("are merged by weeks and months of the same zone, and by nothing else", async () => {
    await define(berlin, { group_by: [] });
    await apply(...Array.from({ length: 48 }, (_, k) => at(T0 + k * HOUR)));
    expect(await range("step=1w")).toEqual([
      [(Date.parse("2026-10-18T22:00:00Z") - T0) / MINUTE, (Date.parse("2026-10-25T23:00:00Z") - T0) / MINUTE, 27],
      [(Date.parse("2026-10-25T23:00:00Z") - T0) / MINUTE, (Date.parse("2026-11-01T23:00:00Z") - T0) / MINUTE, 21],
    ]);
    expect((await range("step=1mo")).length).toBe(1);
    expect((await call("GET", "/api/v1/aggregations/mine/query?step=1h", { key })).status).toBe(400);
  });

  test("a zone that nobody knows is refused by name", async () => {
    const answer = await define({ ...berlin, timezone: "Europe/Bärlin" });
    expect(answer.status).toBe(400);
    expect(answer.body["details"]).toEqual([{ field: "window.timezone", message: expect.any(String) }]);
  });
});
