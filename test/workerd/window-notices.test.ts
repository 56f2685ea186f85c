import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import type { AggregationDelta, AggregationSnapshot } from "../../core/live/protocol.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { type AlertTenant, addRule, listen, MINUTE, newTenant, wireUp } from "./alerts-bench.ts";
import { event, packed } from "./event-messages.ts";
import { call } from "./http-client.ts";
import { openLive } from "./live-socket.ts";

const T0 = Date.parse("2026-10-24T20:00:00Z");
let tenant: AlertTenant;
let made = 0;

beforeEach(async () => {
  await wireUp();
  tenant = await newTenant();
});

async function apply(...events: readonly (readonly [atMs: number, kind: string])[]): Promise<void> {
  const list = events.map(([at, kind]) => event(`n-${made++}`, at, { receivedAt: Date.now(), data: { kind } }));
  await windowAggregator(env, tenant.tenant).apply([{ id: "m", body: packed(list) }]);
}

async function define(window: unknown): Promise<void> {
  const json = {
    name: "mine",
    window,
    group_by: ["data.kind"],
    measures: { n: { fn: "count" } },
    idle_timeout: "1d",
    out_of_orderness: "0s",
  };
  const answer = await call("POST", "/api/v1/aggregations", { key: tenant.key, json });
  expect(answer.status).toBe(201);
}

describe("rules", () => {
  test("see sessions that end at the same time together, each group by itself", async () => {
    await define({ type: "session", gap: "10m" });
    const receiver = listen(tenant);
    await addRule(tenant, { aggregation: "mine", condition: "n >= 2", threshold: 0 });
    await apply([T0, "a"], [T0 + MINUTE, "a"], [T0 + MINUTE / 2, "b"], [T0 + MINUTE, "b"], [T0 + MINUTE, "c"]);
    await apply([T0 + 60 * MINUTE, "z"]);
    // They resolve right after, as the time since has passed without events.
    await expect.poll(() => receiver.types.slice(0, 2)).toEqual(["alert.firing", "alert.firing"]);
    const groups = receiver.received.slice(0, 2).map(({ data }) => JSON.stringify(data["group"]));
    expect(groups.sort()).toEqual(['{"data.kind":"a"}', '{"data.kind":"b"}']);
  });

  test("see hopping windows in order of end", async () => {
    await define({ type: "hopping", size: "10m", slide: "5m" });
    const receiver = listen(tenant);
    await addRule(tenant, { aggregation: "mine", condition: "n >= 3", threshold: 0 });
    await apply([T0, "a"], [T0 + MINUTE, "a"], [T0 + 6 * MINUTE, "a"], [T0 + 60 * MINUTE, "a"]);
    await expect.poll(() => receiver.types).toEqual(["alert.firing", "alert.resolved"]);
    expect(receiver.received[0]?.data).toMatchObject({ values: { n: 3 } });
    expect(receiver.received[0]?.data["window"]).toEqual({
      start: new Date(T0).toISOString(),
      end: new Date(T0 + 10 * MINUTE).toISOString(),
    });
  });
});

test("live readers are told which sessions became part of another", async () => {
  await define({ type: "session", gap: "10m" });
  const socket = await openLive(tenant.key);
  socket.subscribe("aggregation:mine");
  expect((await socket.snapshot(1)).data).toMatchObject({ windows: [] } satisfies Partial<AggregationSnapshot>);
  await apply([T0 + 20 * MINUTE, "a"], [T0 + 5 * MINUTE, "a"]);
  const first = (await socket.delta(2)).data as AggregationDelta;
  expect(first.windows).toHaveLength(2);
  await apply([T0 + 12 * MINUTE, "a"], [T0, "a"]);
  const second = (await socket.delta(3)).data as AggregationDelta;
  expect(second.windows.map(({ start, values }) => [start, values["n"]])).toEqual([[new Date(T0).toISOString(), 4]]);
  const names = second.gone?.map(({ start }) => (Date.parse(start) - T0) / MINUTE);
  expect(names?.sort((a, b) => a - b)).toEqual([5, 20]);
});
