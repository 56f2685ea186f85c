import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { EventMessage } from "../../core/events/message.ts";
import { listDeadLetters } from "../../storage/d1/dead-letters.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { consumeDeadLetters } from "../../workers/dead-letters.ts";
import { MAX_REPLAYED, replayDeadLetters } from "../../workers/replay.ts";
import { eventMessage, events } from "./event-messages.ts";
import { type Answer, call, makeKey, makeTenant, OPERATOR_KEY } from "./http-client.ts";

const QUEUE = "streamflow-dead-letters";
const T0 = Date.UTC(2026, 10, 22);

interface Arrival {
  readonly id: string;
  readonly body: unknown;
  readonly at?: number;
  readonly attempts?: number;
}

const newId = (): string => crypto.randomUUID().replaceAll("-", "");

function batchOf(arrivals: readonly Arrival[]): MessageBatch {
  return createMessageBatch(
    QUEUE,
    arrivals.map(({ id, body, at = T0, attempts = 1 }) => ({ id, body, attempts, timestamp: new Date(at) })),
  );
}

/** Hands letters to the consumer and tells what it answered the queue. */
async function arrive(arrivals: readonly Arrival[], to: Env = env): Promise<{ acked: boolean; retried: number }> {
  const batch = batchOf(arrivals);
  await consumeDeadLetters(batch, to);
  const result = await getQueueResult(batch, createExecutionContext());
  return { acked: result.ackAll, retried: result.retryMessages.length };
}

const exhausted = (tenant: string, count = 3, prefix = newId()): Arrival => ({
  id: newId(),
  body: eventMessage(tenant, events(count, prefix)),
});
const poison = (tenant: string, reason: string): Arrival => ({
  id: newId(),
  body: { v: 1, kind: "poison", message: eventMessage(tenant, events(1, newId())), reason },
});
const list = (key: string, query = ""): Promise<Answer> => call("GET", `/api/v1/dead-letters${query}`, { key });
const replay = (key: string, json?: unknown): Promise<Answer> =>
  call("POST", "/api/v1/dead-letters/replay", { key, ...(json === undefined ? {} : { json }) });

function lettersOf(answer: Answer): Record<string, unknown>[] {
  const { dead_letters } = answer.data;
  return Array.isArray(dead_letters) ? dead_letters : [];
}

/** An environment whose events queue is this one. */
function withQueue(sendBatch: (messages: EventMessage[]) => Promise<void>): Env {
  const EVENTS = {
    ...env.EVENTS,
    sendBatch: (batch: Iterable<{ body: EventMessage }>) => sendBatch(Array.from(batch, ({ body }) => body)),
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only this method of the queue is called
  return { ...env, EVENTS: EVENTS as unknown as Queue };
}

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

describe("replaying dead letters", () => {
  test("replayed events are stored under their own ids, once, also when they were stored before", async () => {
    const { id, adminKey } = await makeTenant();
    const stored = exhausted(id, 4, "known");
    const stub = windowAggregator(env, id);
    await stub.apply([{ id: "m", body: eventMessage(id, events(4, "known")).body }]);
    await arrive([stored, exhausted(id, 6, "fresh")]);
    const answer = await replay(adminKey);
    expect(answer.data).toEqual({ replayed: 2, events: 10, failed: [], not_replayable: [], remaining: 0 });
    await expect.poll(async () => (await stub.stats()).total_events, { timeout: 10_000 }).toBe(10);
    expect(lettersOf(await list(adminKey))).toEqual([]);
  });

  test("only the ids asked for are replayed", async () => {
    const { id, adminKey } = await makeTenant();
    const letters = Array.from({ length: 4 }, () => exhausted(id, 1));
    await arrive(letters);
    const wanted = letters.slice(0, 2).map((letter) => letter.id);
    const answer = await replay(adminKey, { ids: [...wanted, "never-was"] });
    expect(answer.data).toMatchObject({ replayed: 2, remaining: 2 });
    expect(
      lettersOf(await list(adminKey))
        .map((letter) => letter["id"])
        .toSorted(),
    ).toEqual(
      letters
        .slice(2)
        .map((letter) => letter.id)
        .toSorted(),
    );
  });

  test("the queue's limits are kept, and the messages arrive as they were", async () => {
    const { id } = await makeTenant();
    const letters = Array.from({ length: 50 }, () => exhausted(id, 2));
    // Incompressible, so that few fit one call.
    const large = Array.from({ length: 6 }, () => ({
      id: newId(),
      body: { ...eventMessage(id, events(1, newId())), body: randomBytes(100_000) },
    }));
    await arrive([...letters, ...large]);
    const calls: EventMessage[][] = [];
    const result = await replayDeadLetters(
      withQueue(async (messages) => void calls.push(messages)),
      id,
      null,
    );
    expect(result).toEqual({ replayed: 56, events: 106, failed: [], notReplayable: [] });
    for (const messages of calls) {
      expect(messages.length).toBeLessThanOrEqual(100);
      expect(messages.reduce((bytes, message) => bytes + message.body.length, 0)).toBeLessThanOrEqual(256_000);
    }
    const sent = new Map(calls.flat().map((message) => [message.batch, message]));
    const expected = [...letters.map((letter) => letter.body), ...large.map((letter) => letter.body)];
    expect(sent.size).toBe(expected.length);
    for (const message of expected) expect(sent.get(batchId(message))).toEqual(message);
  });

  test("letters that the queue does not take stay", async () => {
    const { id, adminKey } = await makeTenant();
    await arrive(Array.from({ length: 45 }, () => exhausted(id, 1)));
    let calls = 0;
    const result = await replayDeadLetters(
      withQueue(async () => {
        calls++;
        if (calls > 1) throw new Error("Too Many Requests");
      }),
      id,
      null,
    );
    expect(result).toMatchObject({ replayed: 20, events: 20 });
    expect(result.failed).toHaveLength(20);
    expect((await list(adminKey)).data["total"]).toMatchObject({ letters: 25 });
  });

  test("one call replays a bounded number and says how many remain", async () => {
    const { id } = await makeTenant();
    const message = eventMessage(id, events(1, "same"));
    for (let i = 0; i < MAX_REPLAYED + 30; i += 53) {
      await arrive(Array.from({ length: 53 }, () => ({ id: newId(), body: message })));
    }
    const queue = withQueue(async () => undefined);
    expect((await replayDeadLetters(queue, id, null)).replayed).toBe(MAX_REPLAYED);
    expect((await replayDeadLetters(queue, id, null)).replayed).toBe(30);
    expect((await replayDeadLetters(queue, id, null)).replayed).toBe(0);
  });

  test.for([
    [[], "body"],
    [{ ids: [] }, "ids"],
    [{ ids: "all" }, "ids"],
    [{ ids: [1] }, "ids"],
    [{ ids: ["a b"] }, "ids"],
    [{ ids: Array.from({ length: MAX_REPLAYED + 1 }, (_, i) => `i${i}`) }, "ids"],
    [{ id: "x" }, "id"],
  ] as const)("%j is refused", async ([json, field]) => {
    const { adminKey } = await makeTenant();
    const answer = await replay(adminKey, json);
    expect(answer.status).toBe(400);
    expect(answer.body["details"]).toMatchObject({ field });
  });
});

function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
}

function batchId(message: unknown): string {
  return typeof message === "object" && message !== null && "batch" in message ? String(message.batch) : "";
}
