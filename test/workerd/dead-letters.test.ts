import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { listDeadLetters } from "../../storage/d1/dead-letters.ts";
import { arrive, exhausted, lettersOf, list, newId, poison, replay, T0 } from "./dead-letter-arrivals.ts";
import { eventMessage, events } from "./event-messages.ts";
import { call, makeKey, makeTenant, OPERATOR_KEY } from "./http-client.ts";

describe("keeping dead letters", () => {
  test("exhausted and poison messages are kept with their reason, tenant and number of events", async () => {
    const { id, adminKey } = await makeTenant();
    const letters = [exhausted(id, 5), poison(id, "cannot fold e-1")];
    expect(await arrive(letters)).toEqual({ acked: true, retried: 0 });
    const answer = await list(adminKey);
    expect(answer.data["total"]).toEqual({ letters: 2, events: 6 });
    expect(lettersOf(answer).map((letter) => [letter["id"], letter["kind"], letter["events"]])).toEqual(
      letters
        .map((letter, i) => [letter.id, "events", i === 0 ? 5 : 1])
        .sort((a, b) => (String(a[0]) < String(b[0]) ? 1 : -1)),
    );
    const reasons = lettersOf(answer).map(({ reason }) => String(reason));
    expect(reasons).toContain("cannot fold e-1");
    expect(lettersOf(answer)[0]).toMatchObject({ created_at: new Date(T0).toISOString(), attempts: 1 });
  });

  test("a redelivered letter is one letter, and its events are settled once", async () => {
    const { id, adminKey } = await makeTenant();
    const letter = exhausted(id, 4);
    for (const attempts of [1, 2, 3]) await arrive([{ ...letter, attempts }]);
    expect((await list(adminKey)).data["total"]).toEqual({ letters: 1, events: 4 });
    expect((await windowAggregator(env, id).metrics())["events_applied"]).toBe(4);
  });

  test("when D1 is away nothing is acknowledged", async () => {
    const { id, adminKey } = await makeTenant();
    const DB = {
      ...env.DB,
      prepare: env.DB.prepare.bind(env.DB),
      batch: () => Promise.reject(new Error("D1 is away")),
    };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only these methods of the database are called
    const broken = { ...env, DB: DB as unknown as D1Database };
    const letters = [exhausted(id), exhausted(id)];
    expect(await arrive(letters, broken)).toEqual({ acked: false, retried: 2 });
    expect(await arrive(letters)).toEqual({ acked: true, retried: 0 });
    expect((await list(adminKey)).data["total"]).toMatchObject({ letters: 2 });
  });

  test("what is no event message goes to the operator, does not stop its neighbours and cannot be replayed", async () => {
    const { id, adminKey } = await makeTenant();
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    const strange = [
      null,
      undefined,
      7n,
      circular,
      "text",
      { v: 2, tenant: id },
      { ...eventMessage("Bad/Tenant", events(1)) },
    ];
    const arrivals = strange.map((body) => ({ id: newId(), body }));
    expect(await arrive([...arrivals, exhausted(id)])).toEqual({ acked: true, retried: 0 });
    expect((await list(adminKey)).data["total"]).toEqual({ letters: 1, events: 3 });
    const ids = arrivals.map((arrival) => arrival.id);
    const kinds = (await listDeadLetters(env.DB, "default", null, 1_000))
      .filter((letter) => ids.includes(letter.id))
      .map(({ kind }) => kind);
    expect(kinds).toEqual(strange.map(() => "unreadable"));
    const answer = await replay(OPERATOR_KEY, { ids });
    expect(answer.data).toMatchObject({ replayed: 0, not_replayable: ids.toSorted() });
  });

  test("an undelivered notification is not kept: its outbox has it", async () => {
    const { id, adminKey } = await makeTenant();
    const body = { v: 1, kind: "notification", tenant: id, messageId: "m", channelId: "c" };
    expect(await arrive([{ id: newId(), body }])).toEqual({ acked: true, retried: 0 });
    expect((await list(adminKey)).data["total"]).toEqual({ letters: 0, events: 0 });
  });
});

describe("listing dead letters", () => {
  test("pages go from the newest to the oldest, each letter once, also at equal times", async () => {
    const { id, adminKey } = await makeTenant();
    const arrivals = Array.from({ length: 23 }, (_, i) => ({
      ...exhausted(id, 1),
      at: T0 + Math.floor(i / 4) * 1_000,
    }));
    await arrive(arrivals);
    const seen: Record<string, unknown>[] = [];
    let cursor: unknown = null;
    do {
      const page = await list(adminKey, `?limit=5${cursor === null ? "" : `&cursor=${String(cursor)}`}`);
      seen.push(...lettersOf(page));
      cursor = page.data["next_cursor"];
    } while (cursor !== null && seen.length < 100);
    expect(seen.map((letter) => letter["id"]).toSorted()).toEqual(arrivals.map((letter) => letter.id).toSorted());
    const times = seen.map((letter) => String(letter["created_at"]));
    expect(times).toEqual(times.toSorted().toReversed());
  });

  test.for(["limit=0", "limit=1001", "cursor=x", "cursor=1_", "order=asc"])("%s is refused", async (query) => {
    const { adminKey } = await makeTenant();
    expect((await list(adminKey, `?${query}`)).status).toBe(400);
  });

  test("only an admin of the tenant sees, replays or deletes its letters", async () => {
    const { id, adminKey } = await makeTenant();
    const other = await makeTenant();
    const letter = exhausted(id);
    await arrive([letter]);
    const { key } = await makeKey(adminKey, "editor");
    expect((await list(key)).status).toBe(403);
    expect((await replay(key)).status).toBe(403);
    expect((await call("DELETE", `/api/v1/dead-letters/${letter.id}`, { key })).status).toBe(403);
    expect(lettersOf(await list(other.adminKey))).toEqual([]);
    expect((await replay(other.adminKey, { ids: [letter.id] })).data).toMatchObject({ replayed: 0, remaining: 0 });
    expect((await call("DELETE", `/api/v1/dead-letters/${letter.id}`, { key: other.adminKey })).status).toBe(404);
    expect((await list(adminKey)).data["total"]).toMatchObject({ letters: 1 });
  });

  test("a deleted letter is gone", async () => {
    const { id, adminKey } = await makeTenant();
    const letter = exhausted(id);
    await arrive([letter]);
    expect((await call("DELETE", `/api/v1/dead-letters/${letter.id}`, { key: adminKey })).status).toBe(200);
    expect((await call("DELETE", `/api/v1/dead-letters/${letter.id}`, { key: adminKey })).status).toBe(404);
    expect(lettersOf(await list(adminKey))).toEqual([]);
  });
});
