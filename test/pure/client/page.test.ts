import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createClient } from "../../../client/index.ts";
import type { ClientOptions } from "../../../client/index.ts";
import { FakeClock, FakePlatform, turn } from "./world.ts";
import type { Behaviour } from "./world.ts";

/** A page that can be hidden. */
class FakeDocument extends EventTarget {
  visibilityState = "visible";
}

let page: FakeDocument;
let view: EventTarget;
beforeEach(() => {
  page = new FakeDocument();
  view = new EventTarget();
  vi.stubGlobal("document", page);
  vi.stubGlobal("addEventListener", view.addEventListener.bind(view));
  vi.stubGlobal("removeEventListener", view.removeEventListener.bind(view));
});
afterEach(() => vi.unstubAllGlobals());

function hide(): void {
  page.visibilityState = "hidden";
  page.dispatchEvent(new Event("visibilitychange"));
  view.dispatchEvent(new Event("pagehide"));
}

function start(behaviours: readonly Behaviour[] = [], options: Partial<ClientOptions> = {}) {
  const clock = new FakeClock();
  const platform = new FakePlatform(() => clock.now(), behaviours);
  const client = createClient({
    url: "https://platform.test/base/",
    key: "k",
    fetch: platform.fetch,
    clock,
    random: () => 0.5,
    ...options,
  });
  return { clock, platform, client };
}

function events(count: number, text = "") {
  return Array.from({ length: count }, (_, n) => ({ type: "t.e", source: "s", data: { n }, metadata: { text } }));
}

test("a page that is hidden sends what it has in one request that outlives it", async () => {
  const { platform, client } = start();
  void client.send(events(3));
  hide();
  // Before any other turn of the event loop: there may be none.
  await Promise.resolve();
  expect(platform.requests).toHaveLength(1);
  expect(platform.requests[0]?.init).toMatchObject({ keepalive: true, method: "POST" });
  expect(platform.requests[0]?.events.map(({ data }) => data.n)).toEqual([0, 1, 2]);
  await turn();
  expect(client.ledger).toMatchObject({ offered: 3, delivered: 3, buffered: 0 });
});

test("the body stays within what browsers allow; the rest follows if the page lives on", async () => {
  const { platform, client, clock } = start();
  void client.send(events(30, "ü".repeat(1500)));
  hide();
  await turn();
  const [farewell] = platform.requests;
  expect(new TextEncoder().encode(String(farewell?.init.body)).length).toBeLessThanOrEqual(60_000);
  expect(farewell?.events.length).toBeGreaterThan(15);
  await clock.until(client.flush());
  expect([...platform.counted.values()]).toEqual(Array.from({ length: 30 }, (_, n) => n));
  expect(client.ledger).toMatchObject({ offered: 30, delivered: 30 });
});

test("what is in flight goes along, and is counted once when both requests arrive", async () => {
  const gate = Promise.withResolvers<void>();
  const { platform, client, clock } = start([], { maxWaitMs: 0 });
  platform.gate = gate.promise;
  void client.send(events(2));
  await clock.advance(0);
  void client.track({ type: "t.e", source: "s", data: { n: 2 } });
  hide();
  await turn();
  expect(platform.requests.map((request) => request.events.map(({ data }) => data.n))).toEqual([
    [0, 1],
    [0, 1, 2],
  ]);
  gate.resolve();
  await clock.until(client.flush());
  expect([...platform.counted.values()]).toEqual([0, 1, 2]);
  expect(client.ledger).toMatchObject({ offered: 3, delivered: 3, buffered: 0, inFlight: 0 });
  expect(platform.requests).toHaveLength(2);
});

test("hiding does not break the wait that the platform asked for", async () => {
  const { platform, client, clock } = start([{ status: 429, retryAfter: "60" }]);
  void client.send(events(1));
  void client.flush();
  await clock.advance(0);
  hide();
  await clock.advance(59_000);
  expect(platform.requests).toHaveLength(1);
  await clock.advance(2000);
  expect(client.ledger.delivered).toBe(1);
});

test("a farewell that failed is sent again after a wait", async () => {
  const { platform, client, clock } = start([{ status: 503, retryAfter: "5" }]);
  void client.send(events(2));
  hide();
  await turn();
  const flushed = client.flush();
  await clock.advance(5000);
  expect(platform.requests).toHaveLength(1);
  await clock.until(flushed);
  expect(platform.requests).toHaveLength(2);
  expect(client.ledger).toMatchObject({ delivered: 2 });
});

test("a closed client no longer listens", async () => {
  const { platform, client } = start();
  await client.close();
  void client.track({ type: "t.e", source: "s" });
  hide();
  await turn();
  expect(platform.requests).toEqual([]);
});

/** A receipt for one event. */
const TAKEN = JSON.stringify({ data: { accepted: 1, rejected: 0, results: [] } });

test("large bodies go as gzip, small ones and those of a hidden page do not", async () => {
  const seen: { encoding: string | null; text: string; url: string }[] = [];
  const { client } = start([], {
    gzipFromBytes: 500,
    fetch: async (url, { headers, body }) => {
      const encoding = new Headers(headers).get("content-encoding");
      const text = body instanceof ArrayBuffer ? gunzipSync(new Uint8Array(body)).toString() : String(body);
      seen.push({ encoding, text, url });
      return new Response(TAKEN);
    },
  });
  void client.send(events(1, "x".repeat(500)));
  await client.flush();
  void client.send(events(1));
  await client.flush();
  void client.send(events(1, "x".repeat(500)));
  hide();
  await client.flush();
  expect(seen.map(({ encoding }) => encoding)).toEqual(["gzip", null, null]);
  expect(JSON.parse(seen[0]?.text ?? "")).toMatchObject({ events: [{ type: "t.e", data: { n: 0 } }] });
  expect(seen[0]?.url).toBe("https://platform.test/base/events/batch");
});

test("where gzip is refused the same request goes as plain JSON, and so do all later ones", async () => {
  const encodings: (string | null)[] = [];
  const { client } = start([], {
    gzipFromBytes: 1,
    fetch: async (_url, { headers }) => {
      const encoding = new Headers(headers).get("content-encoding");
      encodings.push(encoding);
      return encoding === null ? new Response(TAKEN) : new Response("{}", { status: 415 });
    },
  });
  for (let request = 0; request < 2; request++) {
    void client.send(events(1));
    await client.flush();
  }
  expect(encodings).toEqual(["gzip", null, null]);
  expect(client.ledger).toMatchObject({ offered: 2, delivered: 2, rejected: 0 });
});
