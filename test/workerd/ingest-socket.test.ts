import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { rateControllerName } from "../../core/events/names.ts";
import worker from "../../workers/index.ts";
import { ApiError } from "../../workers/http.ts";
import { setDraining } from "../../workers/ingest/draining.ts";
import { IngestSocket, type SocketDoor } from "../../workers/ingest/socket.ts";
import { call, makeKey, makeTenant } from "./http-client.ts";
import { FakeQueue, event } from "./ingest-door.ts";

afterEach(() => {
  setDraining(false);
});

/** An open socket that keeps what it is sent. */
class Producer {
  readonly answers: Record<string, unknown>[] = [];
  closed: { code: number; reason: string } | null = null;
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const frame: unknown = JSON.parse(String(data));
      this.answers.push(Object.fromEntries(Object.entries(frame ?? {})));
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.closed = { code, reason };
    });
    socket.accept();
  }

  send(frame: unknown): void {
    this.#socket.send(typeof frame === "string" || frame instanceof Uint8Array ? frame : JSON.stringify(frame));
  }

  async receives(count: number): Promise<Record<string, unknown>[]> {
    await vi.waitFor(() => expect(this.answers.length).toBeGreaterThanOrEqual(count), 5_000);
    return this.answers;
  }

  async isClosed(): Promise<{ code: number; reason: string }> {
    return await vi.waitUntil(() => this.closed, 5_000);
  }
}

async function upgrade(queue: FakeQueue, headers: Record<string, string>, query = ""): Promise<Response> {
  const request = new Request<unknown, IncomingRequestCfProperties>(`http://streamflow.test/ws${query}`, {
    headers: { Upgrade: "websocket", ...headers },
  });
  return await worker.fetch(request, queue.inEnv(), createExecutionContext());
}

/** A producer with a key of a tenant of its own. */
async function connect(
  queue: FakeQueue,
): Promise<{ producer: Producer; adminKey: string; keyId: string; tenant: string }> {
  const { id: tenant, adminKey } = await makeTenant();
  const { id: keyId, key } = await makeKey(adminKey, "ingest");
  const response = await upgrade(queue, { Authorization: `Bearer ${key}` });
  expect(response.status).toBe(101);
  if (response.webSocket === null) throw new Error("no socket");
  return { producer: new Producer(response.webSocket), adminKey, keyId, tenant };
}

describe("a producer's socket", () => {
  test("is told to wait, and for how long, when its tenant sends too much", async () => {
    const queue = new FakeQueue();
    const { producer, tenant } = await connect(queue);
    const used = { events: 4_000_000, bytes: 0 };
    await env.RATE_CONTROLLER.getByName(rateControllerName(tenant)).lease({ isolate: "elsewhere", used, want: 0 });
    await vi.waitFor(
      async () => {
        const before = producer.answers.length;
        producer.send({ type: "event", event: event() });
        const answer = (await producer.receives(before + 1)).at(-1);
        expect(answer).toMatchObject({ type: "error", error: "too_many_requests", retry_after: expect.any(Number) });
      },
      { timeout: 15_000, interval: 200 },
    );
  });

  test("answers an event, a batch and a ping, one answer each, in order", async () => {
    const queue = new FakeQueue();
    const { producer, tenant } = await connect(queue);
    producer.send({ type: "event", event: event({ id: "e1" }) });
    producer.send({ type: "ping" });
    producer.send({ type: "batch", events: [event({ id: "e2" }), event({ id: "no no" }), event({ id: "e3" })] });
    producer.send({ type: "event", event: 5 });
    expect(await producer.receives(4)).toEqual([
      { type: "ack", event_ids: ["e1"], rejected: [] },
      { type: "pong" },
      { type: "ack", event_ids: ["e2", "e3"], rejected: [expect.objectContaining({ index: 1, reason: "invalid_id" })] },
      { type: "ack", event_ids: [], rejected: [expect.objectContaining({ index: 0, reason: "not_an_object" })] },
    ]);
    expect(queue.events().map(({ id }) => id)).toEqual(["e1", "e2", "e3"]);
    expect(new Set(queue.messages.map((message) => message.tenant))).toEqual(new Set([tenant]));
  });

  test("puts what arrives in a burst on the queue together", async () => {
    const queue = new FakeQueue();
    queue.latencyMs = 10;
    const { producer } = await connect(queue);
    for (let n = 0; n < 2_000; n++) producer.send({ type: "event", event: event({ id: `e${n}` }) });
    const answers = await producer.receives(2_000);
    expect(answers.map((answer) => answer["event_ids"])).toEqual(Array.from({ length: 2_000 }, (_, n) => [`e${n}`]));
    expect(queue.events()).toHaveLength(2_000);
    expect(queue.messages.length).toBeLessThan(200);
  });

  test.each<[string, string]>([
    ["no JSON", "{"],
    ["null", "null"],
    ["a list", "[]"],
    ["no type", "{}"],
    ["another type", '{"type":"subscribe"}'],
    ["an event frame without one", '{"type":"event"}'],
    ["a batch without a list", '{"type":"batch","events":{}}'],
  ])("answers %s with an error and goes on", async (_, frame) => {
    const queue = new FakeQueue();
    const { producer } = await connect(queue);
    producer.send(frame);
    producer.send({ type: "event", event: event({ id: "after" }) });
    expect(await producer.receives(2)).toMatchObject([
      { type: "error", error: "bad_request", message: expect.stringMatching(/\w/) },
      { type: "ack", event_ids: ["after"] },
    ]);
  });

  test("answers a batch of 10,001 with an error and takes one of 10,000", async () => {
    const queue = new FakeQueue();
    const { producer } = await connect(queue);
    const small = { type: "a", source: "s" };
    producer.send({ type: "batch", events: Array.from({ length: 10_001 }, () => small) });
    producer.send({ type: "batch", events: Array.from({ length: 10_000 }, () => small) });
    expect(await producer.receives(2)).toMatchObject([{ type: "error", error: "payload_too_large" }, { type: "ack" }]);
    expect(queue.events()).toHaveLength(10_000);
  });

  test("closes on a frame over 1 MB or of bytes, and loses nothing that was sent before", async () => {
    for (const [frame, code] of [
      ["x".repeat(1_000_001), 1009],
      [new Uint8Array([123, 125]), 1003],
    ] as const) {
      const queue = new FakeQueue();
      const { producer } = await connect(queue);
      producer.send({ type: "event", event: event({ id: "before" }) });
      await producer.receives(1);
      producer.send(frame);
      expect(await producer.isClosed()).toMatchObject({ code });
      expect(queue.events().map(({ id }) => id)).toEqual(["before"]);
    }
  });

  test("rejects as unavailable what the queue does not take, and takes it later", async () => {
    const queue = new FakeQueue();
    queue.refuses = (attempt) => attempt === 0;
    const { producer } = await connect(queue);
    producer.send({ type: "event", event: event({ id: "e1" }) });
    expect(await producer.receives(1)).toMatchObject([
      { type: "ack", event_ids: [], rejected: [{ id: "e1", reason: "unavailable" }] },
    ]);
    producer.send({ type: "event", event: event({ id: "e1" }) });
    expect(await producer.receives(2)).toMatchObject([{}, { type: "ack", event_ids: ["e1"] }]);
  });

  test("answers events with an error while the platform stops", async () => {
    const queue = new FakeQueue();
    const { producer } = await connect(queue);
    setDraining(true);
    producer.send({ type: "event", event: event() });
    producer.send({ type: "ping" });
    expect(await producer.receives(2)).toMatchObject([
      { type: "error", error: "unavailable", retry_after: 5 },
      { type: "pong" },
    ]);
    expect(queue.messages).toEqual([]);
  });

  test("closes with 4401 when its key is revoked", async () => {
    const queue = new FakeQueue();
    const { producer, adminKey, keyId } = await connect(queue);
    await call("DELETE", `/api/v1/keys/${keyId}`, { key: adminKey });
    producer.send({ type: "event", event: event() });
    expect(await producer.isClosed()).toMatchObject({ code: 4401 });
    expect(queue.messages).toEqual([]);
  });
});

describe("the upgrade", () => {
  test("needs a credential that may send events, and an Upgrade header", async () => {
    const queue = new FakeQueue();
    const { adminKey } = await makeTenant();
    const viewer = (await makeKey(adminKey, "viewer")).key;
    const statusWith = async (headers: Record<string, string>): Promise<number> =>
      (await upgrade(queue, headers)).status;
    expect(await statusWith({})).toBe(401);
    expect(await statusWith({ Authorization: `Bearer ${viewer}` })).toBe(403);
    expect(await statusWith({ Authorization: `Bearer ${adminKey}`, Upgrade: "h2c" })).toBe(400);
  });

  test("takes a ticket instead of a header, once", async () => {
    const queue = new FakeQueue();
    const { adminKey, id } = await makeTenant();
    const { data } = await call("POST", "/api/v1/tickets", { key: adminKey });
    const query = `?ticket=${String(data["ticket"])}`;
    const response = await upgrade(queue, {}, query);
    expect(response.status).toBe(101);
    if (response.webSocket === null) throw new Error("no socket");
    const producer = new Producer(response.webSocket);
    producer.send({ type: "event", event: event({ id: "e1" }) });
    expect(await producer.receives(1)).toMatchObject([{ type: "ack", event_ids: ["e1"] }]);
    expect(queue.messages.map(({ tenant }) => tenant)).toEqual([id]);
    expect((await upgrade(queue, {}, query)).status).toBe(401);
    expect((await upgrade(queue, {}, "?ticket=forged")).status).toBe(401);
  });
});

test("frames of old events that are not let in yet get an error with the time to wait, and the socket goes on", async () => {
  const [client, server] = Object.values(new WebSocketPair());
  if (client === undefined || server === undefined) throw new Error("no pair");
  const taken: number[] = [];
  const refusal = new ApiError("too_many_requests", "later", { reason: "congested" }, 3);
  const door = {
    isAllowed: async () => true,
    assertOpen: async () => undefined,
    take: vi
      .fn<SocketDoor["take"]>()
      .mockRejectedValueOnce(refusal)
      .mockImplementation(async ({ values }) => {
        taken.push(values.length);
        return { accepted: [], acceptedIndexes: [], rejected: [] };
      }),
    onError: (error: unknown) => expect(error).toBeUndefined(),
  };
  new IngestSocket(server, door).accept();
  const producer = new Producer(client);
  const events = { type: "event", event: event({ timestamp: 1 }) };
  producer.send(events);
  const [answer] = await producer.receives(1);
  expect(answer).toMatchObject({ type: "error", error: "too_many_requests", retry_after: 3 });
  producer.send(events);
  const answers = await producer.receives(2);
  expect([answers[1]?.["type"], taken, producer.closed]).toEqual(["ack", [1], null]);
});
