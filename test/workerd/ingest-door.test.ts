import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import { rateControllerName } from "../../core/events/names.ts";
import { setDraining } from "../../workers/ingest/draining.ts";
import { makeTenant } from "./http-client.ts";
import { FakeQueue, event, send } from "./ingest-door.ts";

afterEach(() => {
  setDraining(false);
});

function integer(headers: Headers, name: string): number {
  const value = headers.get(name) ?? "";
  expect(value, name).toMatch(/^\d+$/);
  return Number(value);
}

/** Uses up a tenant's whole quota, as a busy isolate elsewhere would. */
async function exhaust(tenant: string): Promise<void> {
  const used = { events: 4_000_000, bytes: 0 };
  await env.RATE_CONTROLLER.getByName(rateControllerName(tenant)).lease({ isolate: "elsewhere", used, want: 0 });
}

/** Enough noise that a few hundred events need several calls to the queue. */
function noisyEvents(): Record<string, unknown>[] {
  return Array.from({ length: 150 }, (_, row) => event({ id: `e${row}`, data: { noise: noise() } }));
}

function noise(): string {
  return Array.from({ length: 200 }, () => crypto.randomUUID()).join("");
}

describe("the rate limit headers", () => {
  test.each([
    ["an accepted event", "/events", event(), {}, 200],
    ["an accepted batch", "/events/batch", [event()], {}, 200],
    ["a rejected event", "/events", {}, {}, 422],
    ["an unreadable body", "/events", "{", {}, 400],
    ["a wrong content type", "/events", "x", { "Content-Type": "text/plain" }, 415],
    ["a large body", "/events", "x".repeat(10_000_001), {}, 413],
  ])("are on the answer to %s", async (_, path, body, headers, status) => {
    const { adminKey } = await makeTenant();
    const sent = await send(path, body, { headers, key: adminKey });
    expect(sent.status).toBe(status);
    const limit = integer(sent.headers, "X-RateLimit-Limit");
    expect(integer(sent.headers, "X-RateLimit-Remaining")).toBeLessThanOrEqual(limit);
    expect(integer(sent.headers, "X-RateLimit-Reset")).toBeGreaterThan(Date.now() / 1000 - 60);
  });

  test("count down by event", async () => {
    const { adminKey } = await makeTenant();
    const first = await send("/events", event(), { key: adminKey });
    const second = await send("/events/batch", [event(), event(), {}], { key: adminKey });
    const used = integer(first.headers, "X-RateLimit-Remaining") - integer(second.headers, "X-RateLimit-Remaining");
    expect(used).toBe(2);
  });
});

describe("a tenant that must wait", () => {
  test("gets 429 with whole seconds to wait, before its body is read", async () => {
    const { id, adminKey } = await makeTenant();
    await exhaust(id);
    const sent = await send("/events", "this is not even JSON", { key: adminKey });
    expect([sent.status, sent.body.error]).toEqual([429, "too_many_requests"]);
    expect(integer(sent.headers, "Retry-After")).toBeGreaterThanOrEqual(1);
    expect(integer(sent.headers, "X-RateLimit-Remaining")).toBe(0);
    expect(sent.queued).toEqual([]);
  });

  test("has not one byte of its body read", async () => {
    const { id, adminKey } = await makeTenant();
    await exhaust(id);
    let pulls = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          pulls++;
          controller.enqueue(new Uint8Array(1_000));
        },
      },
      { highWaterMark: 0 },
    );
    const sent = await send("/events/batch", body, { key: adminKey });
    expect([sent.status, pulls]).toEqual([429, 0]);
  });

  test("gets 429 for a rate of its own path as well, and is let in again when the queue has gone", async () => {
    const { id, adminKey } = await makeTenant();
    const controller = env.RATE_CONTROLLER.getByName(rateControllerName(id));
    await controller.lease({ isolate: "elsewhere", used: { events: 200_000, bytes: 0 }, want: 0 });
    const old = {
      oldestAgeMs: 5_000,
      windowsWritten: 0,
      storeMs: null,
      storeFailures: 0,
      storeCircuit: "closed",
    } as const;
    await controller.applied(100, 0, old);
    const sent = await send("/events", event(), { key: adminKey });
    expect([sent.status, sent.body.details]).toEqual([429, { reason: "congested" }]);
    expect(integer(sent.headers, "Retry-After")).toBeGreaterThanOrEqual(1);
    expect(integer(sent.headers, "X-RateLimit-Remaining")).toBe(0);
    await controller.applied(200_000, 0, { ...old, oldestAgeMs: 1 });
    await expect
      .poll(async () => (await send("/events", event(), { key: adminKey })).status, { timeout: 10_000 })
      .toBe(200);
  });

  test("over its bytes is told so", async () => {
    const { id, adminKey } = await makeTenant();
    const used = { events: 1, bytes: 50_000_000_000 };
    await env.RATE_CONTROLLER.getByName(rateControllerName(id)).lease({ isolate: "elsewhere", used, want: 0 });
    const sent = await send("/events", event(), { key: adminKey });
    expect(sent.status).toBe(429);
    expect(sent.body.message).toContain("bytes per second");
  });

  test("holds up no other", async () => {
    const [busy, calm] = [await makeTenant(), await makeTenant()];
    await exhaust(busy.id);
    expect((await send("/events", event(), { key: busy.adminKey })).status).toBe(429);
    expect((await send("/events", event(), { key: calm.adminKey })).status).toBe(200);
  });

  test("gets 503 while its events cannot be stored, and 200 once they can", async () => {
    const { id, adminKey } = await makeTenant();
    const controller = env.RATE_CONTROLLER.getByName(rateControllerName(id));
    await controller.setStopped("the event store is full");
    const sent = await send("/events/batch", [event()], { key: adminKey });
    expect([sent.status, sent.body.error]).toEqual([503, "unavailable"]);
    expect(integer(sent.headers, "Retry-After")).toBeGreaterThanOrEqual(1);
    await controller.setStopped(null);
    await expect
      .poll(async () => (await send("/events", event(), { key: adminKey })).status, { timeout: 5_000 })
      .toBe(200);
  });

  test("gets 503 while the platform stops", async () => {
    setDraining(true);
    const sent = await send("/events", event());
    expect([sent.status, sent.headers.get("Retry-After"), sent.queued]).toEqual([503, "5", []]);
  });
});

describe("when the queue fails", () => {
  test("in part, the events of that part are unavailable and the others accepted", async () => {
    const queue = new FakeQueue();
    queue.refuses = (attempt) => attempt === 1;
    const sent = await send("/events/batch", noisyEvents(), { queue });
    expect(queue.calls.length).toBeGreaterThan(2);
    expect(sent.status).toBe(200);
    const queued = sent.queued.map(({ id }) => id);
    const refused = noisyEvents().filter(({ id }) => !queued.includes(String(id)));
    expect(refused.length).toBeGreaterThan(0);
    expect(sent.body.data).toMatchObject({
      accepted: queued.length,
      rejected: refused.length,
      event_ids: queued,
      results: refused.map(({ id }) => ({
        index: Number(String(id).slice(1)),
        id,
        result: "rejected",
        reason: "unavailable",
      })),
    });
  });

  test("altogether, the answer is 503 with a time to come back", async () => {
    const queue = new FakeQueue();
    queue.refuses = () => true;
    const batch = await send("/events/batch", [event({ id: "e0" }), {}], { queue });
    expect([batch.status, batch.body.error, batch.headers.get("Retry-After")]).toEqual([503, "unavailable", "2"]);
    expect(batch.body.details).toMatchObject({
      accepted: 0,
      rejected: 2,
      results: [{ reason: "unavailable" }, { reason: "missing_field" }],
    });
    const single = await send("/events", event(), { queue });
    expect([single.status, single.headers.get("Retry-After")]).toEqual([503, "2"]);
  });
});
