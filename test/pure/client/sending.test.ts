import { describe, expect, test } from "vitest";
import { MAX_EVENT_BYTES as PLATFORM_EVENT_BYTES } from "../../../core/events/validate.ts";
import { uuidv7Time } from "../../../core/events/uuid.ts";
import { createClient } from "../../../client/index.ts";
import type { Client, ClientOptions, EventInput, LostEvent, Trouble } from "../../../client/index.ts";
import { MAX_EVENT_BYTES } from "../../../client/event.ts";
import { MAX_WAITING } from "../../../client/custody.ts";
import { FakeClock, FakePlatform, START_MS } from "./world.ts";
import type { Behaviour } from "./world.ts";

interface World {
  readonly client: Client;
  readonly clock: FakeClock;
  readonly platform: FakePlatform;
  readonly rejected: LostEvent[];
  readonly dropped: LostEvent[];
  readonly troubles: Trouble[];
}

function world(behaviours: readonly Behaviour[] = [], options: Partial<ClientOptions> = {}): World {
  const clock = new FakeClock();
  const platform = new FakePlatform(() => clock.now(), behaviours);
  const [rejected, dropped, troubles]: [LostEvent[], LostEvent[], Trouble[]] = [[], [], []];
  const client = createClient({
    url: "https://platform.test",
    key: "ing_k.s",
    gzipFromBytes: Infinity,
    fetch: platform.fetch,
    clock,
    random: () => 0.5,
    onRejected: (event) => rejected.push(event),
    onDropped: (event) => dropped.push(event),
    onTrouble: (trouble) => troubles.push(trouble),
    ...options,
  });
  return { client, clock, platform, rejected, dropped, troubles };
}

function numbered(n: number, more: Partial<EventInput> = {}): EventInput {
  return { type: "test.event", source: "test", data: { n }, ...more };
}

function many(count: number, from = 0): EventInput[] {
  return Array.from({ length: count }, (_, index) => numbered(from + index));
}

/** The numbers in each request. */
function batches({ platform }: World): number[][] {
  return platform.requests.map(({ events }) => events.map(({ data }) => data.n));
}

describe("batching", () => {
  test("one event waits for others as long as it may, then goes", async () => {
    const w = world([], { maxWaitMs: 1000 });
    await w.client.track(numbered(1));
    await w.clock.advance(999);
    expect(batches(w)).toEqual([]);
    await w.client.track(numbered(2));
    await w.clock.advance(1);
    expect(batches(w)).toEqual([[1, 2]]);
    expect(w.client.ledger).toMatchObject({ offered: 2, delivered: 2, buffered: 0, inFlight: 0 });
  });

  test("a full batch goes at once and the rest waits", async () => {
    const w = world([], { maxBatchEvents: 3 });
    await w.client.send(many(7));
    await w.clock.advance(0);
    expect(batches(w)).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
    expect(w.client.ledger).toMatchObject({ delivered: 6, buffered: 1 });
  });

  test("a batch is no larger than its bytes allow", async () => {
    const w = world([], { maxBatchBytes: 32_000 });
    const big = Array.from({ length: 5 }, (_, n) => ({ ...numbered(n), metadata: { text: "x".repeat(12_000) } }));
    await w.client.send(big);
    await w.clock.until(w.client.flush());
    expect(batches(w)).toEqual([[0, 1], [2, 3], [4]]);
  });

  test("enough bytes for a batch go at once, however few events they are", async () => {
    const w = world([], { maxBatchBytes: 32_000 });
    await w.client.send([0, 1, 2].map((n) => numbered(n, { metadata: { text: "x".repeat(15_000) } })));
    await w.clock.advance(0);
    expect(batches(w)).toEqual([[0, 1]]);
    expect(w.client.ledger).toMatchObject({ delivered: 2, buffered: 1 });
  });

  test("flush sends what is there and tells when it is settled", async () => {
    const w = world();
    await w.client.send(many(2));
    expect(await w.clock.until(w.client.flush())).toBe(true);
    expect(batches(w)).toEqual([[0, 1]]);
    expect(w.clock.now()).toBeLessThan(START_MS + 1000);
  });

  test("flush of nothing ends at once, and that of an unreachable platform when its time is over", async () => {
    const w = world(Array.from({ length: 1000 }, (): Behaviour => "no_connection"));
    expect(await w.clock.until(w.client.flush())).toBe(true);
    await w.client.track(numbered(1));
    expect(await w.clock.until(w.client.flush(5000))).toBe(false);
    expect(w.client.ledger.buffered + w.client.ledger.inFlight).toBe(1);
  });
});

describe("ids", () => {
  test("an event without an id and a timestamp gets both at the call, and they stay through every attempt", async () => {
    const w = world(["answer_lost", { status: 503 }]);
    const id = await w.client.track(numbered(1));
    await w.clock.until(w.client.flush());
    expect(uuidv7Time(id ?? "")).toBe(START_MS);
    expect(w.platform.requests).toHaveLength(3);
    expect(new Set(w.platform.requests.map(({ init }) => init.body)).size).toBe(1);
    expect(w.platform.requests[0]?.events[0]).toMatchObject({ id, timestamp: START_MS });
  });

  test("the caller's own id and timestamp are kept, and later changes to the event do not reach it", async () => {
    const w = world();
    const event = { ...numbered(1), id: "order-1", timestamp: "2026-01-01T00:00:00Z", tags: ["a"] };
    expect(await w.client.track(event)).toBe("order-1");
    event.tags.push("b");
    await w.clock.until(w.client.flush());
    expect(w.platform.requests[0]?.events[0]).toMatchObject({
      id: "order-1",
      timestamp: "2026-01-01T00:00:00Z",
      tags: ["a"],
    });
  });
});

describe("retrying", () => {
  /** Behaviour, and the wait after it with a jitter of one half. */
  test.each<[string, Behaviour, number]>([
    ["no connection", "no_connection", 100],
    ["an answer that never came", "answer_lost", 100],
    ["408", { status: 408 }, 100],
    ["429 without Retry-After", { status: 429 }, 100],
    ["429 with Retry-After", { status: 429, retryAfter: "7" }, 7100],
    ["429 with a Retry-After that is not an integer", { status: 429, retryAfter: "soon" }, 100],
    ["503 with Retry-After", { status: 503, retryAfter: "2" }, 2100],
    ["503 with an absurd Retry-After", { status: 503, retryAfter: "99999999" }, 3_600_100],
    ["500", { status: 500 }, 100],
    ["502", { status: 502 }, 100],
    ["a 200 that is not the platform's", "not_the_platform", 100],
    ["a 200 that does not account for the event", { status: 200, body: { data: { accepted: 7, results: [] } } }, 100],
    ["401", { status: 401 }, 22_500],
    ["403", { status: 403 }, 22_500],
    ["404", { status: 404 }, 22_500],
    ["a redirect", { status: 302 }, 22_500],
  ])("%s: the same event goes again after the wait", async (_, behaviour, waitMs) => {
    const w = world([behaviour], { maxWaitMs: 0 });
    await w.client.track(numbered(1));
    await w.clock.advance(waitMs - 1);
    expect(w.platform.requests).toHaveLength(1);
    expect(w.client.ledger).toMatchObject({ buffered: 1, delivered: 0 });
    await w.clock.advance(1);
    expect(w.client.ledger).toMatchObject({ offered: 1, delivered: 1, rejected: 0, dropped: 0, buffered: 0 });
    expect(w.platform.requests[1]?.events).toEqual(w.platform.requests[0]?.events);
    expect(w.troubles).toMatchObject([{ kind: "send", retryInMs: waitMs }]);
  });

  test("waits double with each failure in a row, up to 30 s, and begin anew after a success", async () => {
    const w = world([...Array.from({ length: 10 }, (): Behaviour => "no_connection"), "ok", "no_connection"]);
    await w.client.track(numbered(1));
    await w.clock.until(w.client.flush());
    await w.client.track(numbered(2));
    await w.clock.until(w.client.flush());
    const waits = w.troubles.map(({ retryInMs }) => retryInMs);
    expect(waits).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000, 100]);
  });

  test.each<[string, Behaviour]>([
    ["400", { status: 400, body: { error: "bad_request", message: "unreadable" } }],
    ["422 without results", { status: 422, body: { error: "bad_request", message: "unreadable" } }],
    ["415 for plain JSON", { status: 415, body: { error: "bad_request", message: "unreadable" } }],
  ])("%s ends it: every event of the request is reported and none goes again", async (_, behaviour) => {
    const w = world([behaviour]);
    await w.client.send(many(2));
    await w.clock.until(w.client.flush());
    await w.clock.advance(60_000);
    expect(w.platform.requests).toHaveLength(1);
    expect(w.rejected).toMatchObject([{ reason: "bad_request" }, { reason: "bad_request", message: "unreadable" }]);
    expect(w.client.ledger).toMatchObject({ offered: 2, rejected: 2, buffered: 0 });
  });

  test("a request without an answer is given up and made again", async () => {
    const clock = new FakeClock();
    let calls = 0;
    const w = world([], {
      clock,
      requestTimeoutMs: 5000,
      fetch: (_url, init) => {
        calls++;
        return new Promise((_resolve, reject) =>
          init.signal?.addEventListener("abort", () => reject(new Error("cut"))),
        );
      },
    });
    const flushed = w.client.flush();
    await w.client.track(numbered(1));
    void w.client.flush();
    await clock.advance(5100);
    await flushed;
    expect(calls).toBe(2);
    expect(w.troubles).toMatchObject([{ status: null, message: "no answer in time" }]);
  });

  test("the key is asked for with each request, so a new one takes over", async () => {
    let key = "old";
    const w = world([{ status: 401 }], { key: () => Promise.resolve(key) });
    await w.client.track(numbered(1));
    const flushed = w.client.flush();
    await w.clock.advance(0);
    key = "new";
    await w.clock.until(flushed);
    expect(w.platform.requests.map(({ init }) => new Headers(init.headers).get("authorization"))).toEqual([
      "Bearer old",
      "Bearer new",
    ]);
  });
});

describe("receipts", () => {
  test("a rejected event is reported and not sent again; its neighbours are delivered", async () => {
    const w = world();
    await w.client.send([numbered(1), { ...numbered(2), id: "bad", data: { n: 2, bad: true } }, numbered(3)]);
    await w.clock.until(w.client.flush());
    expect([...w.platform.counted.values()]).toEqual([1, 3]);
    expect(w.platform.requests).toHaveLength(1);
    expect(w.rejected).toMatchObject([{ id: "bad", reason: "invalid_type", message: "because of invalid_type" }]);
    expect(JSON.parse(w.rejected[0]?.event ?? "")).toMatchObject({ id: "bad", data: { n: 2, bad: true } });
    expect(w.client.ledger).toMatchObject({ offered: 3, delivered: 2, rejected: 1 });
  });

  test("unavailable events go again, before all others", async () => {
    const w = world(["half_unavailable"], { maxBatchEvents: 4 });
    await w.client.send(many(6));
    await w.clock.until(w.client.flush());
    expect(batches(w)).toEqual([
      [0, 1, 2, 3],
      [0, 2, 4, 5],
    ]);
    expect(w.client.ledger).toMatchObject({ delivered: 6, rejected: 0 });
  });

  test("413 halves the batch for good, down to the one event that is too large by itself", async () => {
    const w = world();
    w.platform.maxBytes = 1000;
    const events = many(16).map((event, n) =>
      n === 5 ? { ...event, id: "big", metadata: { text: "x".repeat(2000) } } : event,
    );
    await w.client.send(events);
    await w.clock.until(w.client.flush());
    expect(w.rejected).toMatchObject([{ id: "big", reason: "too_large" }]);
    expect(w.client.ledger).toMatchObject({ offered: 16, delivered: 15, rejected: 1 });
    const before = w.platform.requests.length;
    await w.client.send(many(4, 16));
    await w.clock.until(w.client.flush());
    expect(w.platform.requests.slice(before).every(({ init }) => String(init.body).length <= 1000)).toBe(true);
    expect([...w.platform.counted.values()]).toEqual(Array.from({ length: 20 }, (_, n) => n).filter((n) => n !== 5));
  });

  test("an event that is no JSON or too large is rejected at once", async () => {
    const w = world();
    const loop: Record<string, never> = {};
    Object.assign(loop, { loop });
    expect(await w.client.track({ ...numbered(1), metadata: loop })).toBeNull();
    expect(await w.client.track({ ...numbered(2), metadata: { text: "x".repeat(MAX_EVENT_BYTES) } })).toBeNull();
    await w.clock.until(w.client.flush());
    expect(w.rejected).toMatchObject([{ reason: "not_json" }, { reason: "too_large" }]);
    expect(w.client.ledger).toMatchObject({ offered: 2, rejected: 2 });
    expect(w.platform.requests).toEqual([]);
  });

  test("the limit of one event is the platform's", () => {
    expect(MAX_EVENT_BYTES).toBe(PLATFORM_EVENT_BYTES);
  });
});

describe("a full buffer", () => {
  const away: readonly Behaviour[] = [{ status: 503, retryAfter: "60" }];

  test("DROP_OLDEST gives up the oldest, DROP_NEWEST the newest", async () => {
    for (const [overflow, kept] of [
      ["DROP_OLDEST", [3, 4, 5]],
      ["DROP_NEWEST", [0, 1, 2]],
    ] as const) {
      const w = world(away, { overflow, maxBufferedEvents: 3, maxBatchEvents: 3 });
      await w.client.send(many(3));
      await w.clock.advance(0);
      const ids = await w.client.send(many(3, 3));
      expect(ids.filter((id) => id === null)).toHaveLength(overflow === "DROP_NEWEST" ? 3 : 0);
      await w.clock.until(w.client.flush());
      expect([...w.platform.counted.values()]).toEqual(kept);
      expect(w.dropped.map(({ event }) => Number(JSON.parse(event ?? "").data.n))).toEqual(
        overflow === "DROP_OLDEST" ? [0, 1, 2] : [3, 4, 5],
      );
      expect(w.client.ledger).toMatchObject({ offered: 6, delivered: 3, dropped: 3 });
    }
  });

  test("DROP_OLDEST never touches what is in flight", async () => {
    const gate = Promise.withResolvers<void>();
    const w = world([], { maxBufferedEvents: 3, maxBatchEvents: 3 });
    w.platform.gate = gate.promise;
    await w.client.send(many(3));
    await w.clock.advance(0);
    expect(await w.client.track(numbered(3))).toBeNull();
    expect(w.client.ledger).toMatchObject({ inFlight: 3, dropped: 1 });
    gate.resolve();
    await w.clock.until(w.client.flush());
    expect(w.client.ledger).toMatchObject({ offered: 4, delivered: 3, dropped: 1 });
  });

  test("BLOCK lets the caller wait until there is room, in order", async () => {
    const w = world(away, { overflow: "BLOCK", maxBufferedEvents: 3, maxBatchEvents: 3 });
    let isIn = false;
    const sent = w.client.send(many(7)).then((ids) => (isIn = !ids.includes(null)));
    await w.clock.advance(30_000);
    expect(isIn).toBe(false);
    expect(w.client.ledger).toMatchObject({ offered: 4, buffered: 3, waiting: 1 });
    expect(await w.clock.until(sent)).toBe(true);
    await w.clock.until(w.client.flush());
    expect([...w.platform.counted.values()]).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(w.client.ledger).toMatchObject({ offered: 7, delivered: 7, dropped: 0, waiting: 0 });
  });

  test("BLOCK does not hold more callers than its limit", async () => {
    const w = world(away, { overflow: "BLOCK", maxBufferedEvents: 1 });
    const tracked = many(MAX_WAITING + 2).map((event) => w.client.track(event));
    expect(await tracked.at(-1)).toBeNull();
    expect(w.client.ledger).toMatchObject({ buffered: 1, waiting: MAX_WAITING, dropped: 1 });
    await w.clock.until(w.client.close(0));
  });

  test("bytes are a limit too", async () => {
    const w = world([], { maxBufferedBytes: 32_000, overflow: "DROP_NEWEST" });
    const big = { metadata: { text: "x".repeat(15_000) } };
    await w.client.send([numbered(0, big), numbered(1, big), numbered(2, big), numbered(3)]);
    expect(w.client.ledger).toMatchObject({ offered: 4, buffered: 3, dropped: 1 });
  });
});

describe("closing", () => {
  test("delivers what is there; what comes later is dropped", async () => {
    const w = world();
    await w.client.send(many(3));
    const ledger = await w.clock.until(w.client.close());
    expect(ledger).toMatchObject({ offered: 3, delivered: 3 });
    expect(await w.client.track(numbered(4))).toBeNull();
    expect(w.client.ledger).toMatchObject({ offered: 4, dropped: 1 });
    expect(await w.client.flush()).toBe(true);
  });

  test("drops and reports what could not be delivered in time, callers waiting for room included", async () => {
    const w = world([{ status: 429, retryAfter: "600" }], { overflow: "BLOCK", maxBufferedEvents: 2 });
    const waiting = w.client.send(many(3));
    expect(await w.clock.until(w.client.close(1000))).toMatchObject({
      offered: 3,
      dropped: 3,
      buffered: 0,
      waiting: 0,
    });
    expect((await waiting)[2]).toBeNull();
    expect(w.dropped.map(({ reason }) => reason)).toEqual(["closed", "closed", "closed"]);
    await w.clock.advance(3_600_000);
    expect(w.platform.requests).toHaveLength(1);
  });
});

test.each([
  [{ maxBatchEvents: 0 }, /maxBatchEvents must be an integer from 1 to 10000, not 0/],
  [{ maxBatchEvents: 10_001 }, /maxBatchEvents/],
  [{ maxBatchBytes: 1 }, /maxBatchBytes/],
  [{ maxWaitMs: -1 }, /maxWaitMs/],
  [{ maxBufferedEvents: 1.5 }, /maxBufferedEvents/],
  [{ url: "no url" }, /URL/],
])("the setting %o is refused", (options, message) => {
  expect(() => world([], options)).toThrow(message);
});
