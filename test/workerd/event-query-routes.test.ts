import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { toEventJson } from "../../core/events/json.ts";
import { ALL_EVENTS } from "../../core/events/query.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { writeSegments } from "../../storage/d1/segment-store.ts";
import { event, packed } from "./event-messages.ts";
import { bruteForce, makeEvent, makeSegment } from "./event-store.ts";
import { T0, tenantWithEvents } from "./event-tenant.ts";
import { type Answer, call, makeKey, makeTenant } from "./http-client.ts";

const idsOf = (answer: Answer): string[] => eventsOf(answer).map((one) => String(one["id"]));
function eventsOf(answer: Answer): Record<string, unknown>[] {
  const { events } = answer.data;
  return Array.isArray(events) ? events : [];
}
const get = (key: string, query: string): Promise<Answer> => call("GET", `/api/v1/events?${query}`, { key });

/** When event i of `tenantWithEvents` happened. */
const at = (i: number): string => new Date(T0 + i * 60_000).toISOString();

describe("GET /api/v1/events", () => {
  test("the newest come first, sealed and unsealed alike, as they were sent", async () => {
    const { key, events } = await tenantWithEvents();
    const answer = await get(key, "limit=60");
    expect(answer.status).toBe(200);
    expect(answer.data["events"]).toEqual(events.toReversed().map(toEventJson));
    expect(answer.data["next_cursor"]).toBeNull();
  });

  test("every filter picks what it should, alone, as a list and together", async () => {
    const { key, events } = await tenantWithEvents();
    const cases: [string, Parameters<typeof bruteForce>[1]][] = [
      ["type=order.placed", { ...ALL_EVENTS, types: ["order.placed"] }],
      ["source=shop-0,shop-2", { ...ALL_EVENTS, sources: ["shop-0", "shop-2"] }],
      ["user_id=u1&user_id=u3", { ...ALL_EVENTS, userIds: ["u1", "u3"] }],
      ["session_id=s6", { ...ALL_EVENTS, sessionIds: ["s6"] }],
      ["correlation_id=c7,c45", { ...ALL_EVENTS, correlationIds: ["c7", "c45"] }],
      ["severity=critical", { ...ALL_EVENTS, severities: ["critical"] }],
      ["tag=t1", { ...ALL_EVENTS, tags: ["t1"] }],
      [`from=${at(10)}&to=${at(45)}`, { ...ALL_EVENTS, fromMs: T0 + 600_000, toMs: T0 + 2_700_000 }],
      [`from=${T0 + 600_000}&order=asc`, { ...ALL_EVENTS, fromMs: T0 + 600_000, order: "asc" }],
      [
        "type=page.view&user_id=u2&tag=t3&order=asc",
        { ...ALL_EVENTS, types: ["page.view"], userIds: ["u2"], tags: ["t3"], order: "asc" },
      ],
      ["user_id=nobody", { ...ALL_EVENTS, userIds: ["nobody"] }],
    ];
    for (const [query, meaning] of cases) {
      expect(idsOf(await get(key, `${query}&limit=100`)), query).toEqual(
        bruteForce(events, meaning).map(({ id }) => id),
      );
    }
  });

  test("following the cursor gives every event once, in both orders", async () => {
    const { key, events } = await tenantWithEvents();
    for (const order of ["desc", "asc"]) {
      const ids: string[] = [];
      let cursor = "";
      for (let pages = 0; pages < 30; pages++) {
        const answer = await get(key, `order=${order}&limit=7${cursor}`);
        ids.push(...idsOf(answer));
        if (answer.data["next_cursor"] === null) break;
        cursor = `&cursor=${String(answer.data["next_cursor"])}`;
      }
      expect(ids).toEqual((order === "asc" ? events : events.toReversed()).map(({ id }) => id));
    }
  });

  test("a tenant sees its own events only", async () => {
    const { key } = await tenantWithEvents();
    const other = await tenantWithEvents();
    await windowAggregator(env, other.id).apply([{ id: "m", body: packed([event("only-theirs", T0 + 9_000_000)]) }]);
    expect(idsOf(await get(key, "limit=100"))).not.toContain("only-theirs");
    expect((await call("GET", "/events/only-theirs", { key })).status).toBe(404);
    expect((await call("GET", "/events/only-theirs", { key: other.key })).status).toBe(200);
  });

  test("a page is cut where its events would be too many bytes, and its cursor leads on", async () => {
    const { id, adminKey } = await makeTenant();
    const big = "x".repeat(500_000);
    // Larger than ingest takes, to need few of them.
    const events = Array.from({ length: 20 }, (_, i) => makeEvent(`e${i}`, T0 + i, { data: { big } }));
    for (let i = 0; i < 20; i += 4) {
      const key = { tenant: id, shard: 0, incarnation: "old", seqFrom: i };
      await writeSegments(env.DB, [await makeSegment(key, events.slice(i, i + 4))], T0);
    }
    const first = await get(adminKey, "limit=100");
    expect(eventsOf(first)).toHaveLength(15);
    const rest = await get(adminKey, `limit=100&cursor=${String(first.data["next_cursor"])}`);
    expect(idsOf(rest)).toEqual(["e4", "e3", "e2", "e1", "e0"]);
    expect(rest.data["next_cursor"]).toBeNull();
  });

  test.for([
    ["limit=0", "limit"],
    ["limit=1001", "limit"],
    ["limit=ten", "limit"],
    ["limit=1&limit=2", "limit"],
    ["order=up", "order"],
    ["from=yesterday", "from"],
    ["to=2026-11-22", "to"],
    ["from=2026-11-22T10:00:00Z&to=2026-11-22T10:00:00Z", "to"],
    ["severity=fatal", "severity"],
    ["user_id=", "user_id"],
    ["tag=a,,b", "tag"],
    [`source=${"x".repeat(257)}`, "source"],
    [`type=${Array.from({ length: 21 }, (_, i) => `t${i}`).join(",")}`, "type"],
    ["userid=u1", "userid"],
    ["__proto__=1", "__proto__"],
    ["constructor=1", "constructor"],
    ["cursor=", "cursor"],
    ["cursor=abc", "cursor"],
    ["cursor=%00%ff", "cursor"],
  ])("%s is refused with the field %s", async ([query, field]) => {
    const { adminKey } = await makeTenant();
    const answer = await get(adminKey, query ?? "");
    expect(answer.status).toBe(400);
    expect(answer.body["details"]).toMatchObject({ field });
  });

  test("a cursor of another query, another tenant or with a changed letter is refused", async () => {
    const { key } = await tenantWithEvents();
    const other = await tenantWithEvents();
    const cursor = String((await get(key, "limit=5&type=page.view")).data["next_cursor"]);
    const changed = cursor.slice(0, 8) + (cursor[8] === "A" ? "B" : "A") + cursor.slice(9);
    const status = async (withKey: string, query: string): Promise<number> => (await get(withKey, query)).status;
    expect(await status(key, `limit=9&type=page.view&cursor=${cursor}`)).toBe(200);
    expect(await status(key, `limit=5&type=order.placed&cursor=${cursor}`)).toBe(400);
    expect(await status(key, `limit=5&type=page.view&order=asc&cursor=${cursor}`)).toBe(400);
    expect(await status(other.key, `limit=5&type=page.view&cursor=${cursor}`)).toBe(400);
    expect(await status(key, `limit=5&type=page.view&cursor=${changed}`)).toBe(400);
  });

  test("it needs a credential of at least a viewer", async () => {
    const { adminKey } = await makeTenant();
    const { key } = await makeKey(adminKey, "ingest");
    for (const path of ["/api/v1/events", "/events/e-1", "/api/v1/stats"]) {
      expect((await call("GET", path)).status).toBe(401);
      expect((await call("GET", path, { key })).status).toBe(403);
    }
    expect((await call("POST", "/api/v1/events/query", { key, json: {} })).status).toBe(403);
  });
});

describe("POST /api/v1/events/query", () => {
  test("takes lists under their plural names, and continues by cursor", async () => {
    const { key, events } = await tenantWithEvents();
    const json = {
      types: ["page.view"],
      sources: ["shop-1", "shop-2"],
      user_ids: ["u1", "u3"],
      tags: ["all"],
      from: T0,
      order: "asc",
      limit: 3,
    };
    const expected = bruteForce(events, {
      ...ALL_EVENTS,
      types: ["page.view"],
      sources: ["shop-1", "shop-2"],
      userIds: ["u1", "u3"],
      order: "asc",
    });
    const ids: string[] = [];
    let cursor: unknown = null;
    do {
      const answer = await call("POST", "/api/v1/events/query", { key, json: { ...json, cursor } });
      expect(answer.status).toBe(200);
      ids.push(...idsOf(answer));
      cursor = answer.data["next_cursor"];
    } while (cursor !== null && ids.length < 100);
    expect(ids).toEqual(expected.map(({ id }) => id));
    expect(expected.length).toBeGreaterThan(3);
  });

  test("a value with a comma can be asked for here", async () => {
    const { id, adminKey } = await makeTenant();
    await windowAggregator(env, id).apply([
      { id: "m", body: packed([event("a", T0, { user_id: "Doe, Jane" }), event("b", T0)]) },
    ]);
    const answer = await call("POST", "/api/v1/events/query", { key: adminKey, json: { user_ids: ["Doe, Jane"] } });
    expect(idsOf(answer)).toEqual(["a"]);
  });

  test.for([
    [[], "body"],
    ["text", "body"],
    [{ types: "page.view", limits: 3 }, "limits"],
    [{ user_ids: [1] }, "user_ids"],
    [{ user_ids: [] }, "user_ids"],
    [{ user_ids: { a: 1 } }, "user_ids"],
    [{ tags: [["a"]] }, "tags"],
    [{ limit: 1.5 }, "limit"],
    [{ from: {} }, "from"],
    [{ from: true }, "from"],
    [{ cursor: 5 }, "cursor"],
    [{ order: ["asc"] }, "order"],
  ] as const)("%j is refused with the field %s", async ([json, field]) => {
    const { adminKey } = await makeTenant();
    const answer = await call("POST", "/api/v1/events/query", { key: adminKey, json });
    expect(answer.status).toBe(400);
    expect(answer.body["details"]).toMatchObject({ field });
  });
});
