import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { makeKey, makeTenant } from "./http-client.ts";
import { FakeQueue, event, send } from "./ingest-door.ts";

const GZIP = { "Content-Encoding": "gzip" };
const LINES = { "Content-Type": "application/x-ndjson" };

/** `count` events with ids e0, e1 … */
function events(count: number): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, row) => event({ id: `e${row}` }));
}

/** `[ … ]` of exactly `bytes` bytes, holding one event. */
function bodyOf(bytes: number): string {
  return JSON.stringify([event({ id: "e0" })]).padEnd(bytes, " ");
}

/** gzip whose checksum, the four bytes before the length at its end, is wrong. */
function badChecksum(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(gzipSync(text));
  return bytes.fill(0, bytes.length - 8, bytes.length - 4);
}

describe("a single event", () => {
  test("is answered with its id and is on the queue", async () => {
    const sent = await send("/events", event({ id: "e1", data: { a: 1 } }));
    expect(sent.status).toBe(200);
    expect(sent.body).toMatchObject({ success: true, data: { event_id: "e1" } });
    expect(sent.queued).toMatchObject([{ id: "e1", data: { a: 1 } }]);
  });

  test("without an id gets a UUIDv7 of its own timestamp", async () => {
    const sent = await send("/events", event({ timestamp: "2026-01-02T03:04:05.678Z" }));
    expect(sent.body.data).toEqual({ event_id: expect.stringMatching(/^019b7ca9-8f2e-7/) });
    expect(sent.queued).toMatchObject([{ timestamp: Date.UTC(2026, 0, 2, 3, 4, 5, 678) }]);
  });

  test("that is bad is 422 with the reason", async () => {
    const sent = await send("/events", event({ severity: "urgent" }));
    expect(sent.status).toBe(422);
    expect(sent.body).toMatchObject({
      error: "unprocessable",
      details: { results: [{ index: 0, result: "rejected", reason: "invalid_severity", field: "severity" }] },
    });
    expect(sent.queued).toEqual([]);
  });
});

describe("a batch", () => {
  test.each([
    ["an envelope", { events: events(3) }, {}],
    ["a bare array", events(3), {}],
    [
      "NDJSON",
      events(3)
        .map((one) => JSON.stringify(one))
        .join("\n"),
      LINES,
    ],
    ["gzip of an envelope", gzipSync(JSON.stringify({ events: events(3) })), GZIP],
    [
      "gzip of NDJSON",
      gzipSync(
        events(3)
          .map((one) => JSON.stringify(one))
          .join("\n"),
      ),
      { ...GZIP, ...LINES },
    ],
    ["an envelope with a byte order mark", `\ufeff${JSON.stringify({ events: events(3) })}`, {}],
    ["JSON with a charset", JSON.stringify(events(3)), { "Content-Type": 'Application/JSON; charset="UTF-8"' }],
  ])("may be %s", async (_, body, headers) => {
    const sent = await send("/events/batch", body, { headers });
    expect(sent.status).toBe(200);
    expect(sent.body.data).toEqual({ accepted: 3, rejected: 0, event_ids: ["e0", "e1", "e2"], results: [] });
    expect(sent.queued.map(({ id }) => id)).toEqual(["e0", "e1", "e2"]);
  });

  test("says of each event what became of it, and one bad event sinks no other", async () => {
    const sent = await send("/events/batch", [event({ id: "e0" }), event({ id: "bad id" }), 5, event({ id: "e3" })]);
    expect(sent.status).toBe(200);
    expect(sent.body.data).toEqual({
      accepted: 2,
      rejected: 2,
      event_ids: ["e0", "e3"],
      results: [
        { index: 1, result: "rejected", reason: "invalid_id", field: "id", message: expect.any(String) },
        { index: 2, result: "rejected", reason: "not_an_object", field: "", message: expect.any(String) },
      ],
    });
    expect(sent.queued.map(({ id }) => id)).toEqual(["e0", "e3"]);
  });

  test("lists every event with ?results=all", async () => {
    const sent = await send("/events/batch?results=all", [event({ id: "e0" }), event({ id: "e1", user_id: 5 })]);
    expect(sent.body.data).toMatchObject({
      results: [
        { index: 0, id: "e0", result: "accepted" },
        { index: 1, id: "e1", result: "rejected", reason: "wrong_type", field: "user_id" },
      ],
    });
  });

  test("of bad events only is 422 with the same results", async () => {
    const sent = await send("/events/batch", [{}, event({ nope: 1 })]);
    expect(sent.status).toBe(422);
    expect(sent.body).toMatchObject({
      error: "unprocessable",
      details: {
        accepted: 0,
        rejected: 2,
        event_ids: [],
        results: [
          { index: 0, reason: "missing_field", field: "type" },
          { index: 1, reason: "unknown_field", field: "nope" },
        ],
      },
    });
    expect(sent.queued).toEqual([]);
  });

  test("may be empty", async () => {
    const sent = await send("/events/batch", { events: [] });
    expect(sent.status).toBe(200);
    expect(sent.body.data).toEqual({ accepted: 0, rejected: 0, event_ids: [], results: [] });
  });

  test("with one id twice is accepted, both times", async () => {
    const sent = await send("/events/batch", [event({ id: "same" }), event({ id: "same" })]);
    expect(sent.body.data).toMatchObject({ accepted: 2, event_ids: ["same", "same"] });
    expect(sent.queued.map(({ id }) => id)).toEqual(["same", "same"]);
  });

  test("of 10,000 events fits, over several messages and in order", async () => {
    const list = Array.from({ length: 10_000 }, (_, row) =>
      event({ id: `e${row}`, data: { noise: crypto.randomUUID(), row } }),
    );
    const queue = new FakeQueue();
    const sent = await send("/events/batch", list, { queue });
    expect(sent.body.data).toMatchObject({ accepted: 10_000 });
    expect(sent.queued.map(({ id }) => id)).toEqual(list.map((one) => one["id"]));
    expect(queue.messages.length).toBeGreaterThan(1);
    expect(Math.max(...queue.messages.map(({ body }) => body.length))).toBeLessThanOrEqual(64_000);
  });
});

describe("NDJSON", () => {
  test("counts physical lines from 0, skips blank ones, takes CRLF and a byte order mark, and rejects a line alone", async () => {
    const body = `\ufeff${JSON.stringify(event({ id: "e0" }))}\r\n\r\n  \n{"type":\n${JSON.stringify(event({ id: "e4" }))}\n7\n`;
    const sent = await send("/events/batch", body, { headers: LINES });
    expect(sent.body.data).toMatchObject({
      accepted: 2,
      rejected: 2,
      event_ids: ["e0", "e4"],
      results: [
        { index: 3, reason: "invalid_json" },
        { index: 5, reason: "not_an_object" },
      ],
    });
    expect(sent.queued.map(({ id }) => id)).toEqual(["e0", "e4"]);
  });

  test("is not fooled by two events on a line", async () => {
    const one = JSON.stringify(event());
    const sent = await send("/events/batch", `${one},${one}`, { headers: LINES });
    expect(sent.status).toBe(422);
    expect(sent.body.details).toMatchObject({ results: [{ index: 0, reason: "invalid_json" }] });
  });

  test("of ten million blank lines is no event at all", async () => {
    const sent = await send("/events/batch", "\n".repeat(10_000_000), { headers: LINES });
    expect(sent.body.data).toMatchObject({ accepted: 0, rejected: 0 });
  });

  test("of 10,001 lines is 413, whether they parse or not", async () => {
    expect((await send("/events/batch", "{\n".repeat(10_001), { headers: LINES })).status).toBe(413);
    const fits = await send("/events/batch", "{\n".repeat(10_000), { headers: LINES });
    expect(fits.status).toBe(422);
  });
});

describe("a bad body is refused whole, and the next one is taken", () => {
  const good = JSON.stringify({ events: events(2) });
  const bomb = gzipSync(new Uint8Array(100_000_000));

  test.each<[string, string | Uint8Array<ArrayBuffer>, Record<string, string>, number, string]>([
    ["truncated gzip", gzipSync(good).subarray(0, -10), GZIP, 400, "bad_request"],
    ["gzip with a wrong checksum", badChecksum(good), GZIP, 400, "bad_request"],
    ["what is not gzip at all", good, GZIP, 400, "bad_request"],
    ["a gzip bomb", bomb, GZIP, 413, "payload_too_large"],
    ["gzip inside gzip", gzipSync(gzipSync(good)), GZIP, 400, "bad_request"],
    ["another encoding", good, { "Content-Encoding": "br" }, 415, "unsupported_media_type"],
    ["invalid UTF-8", Uint8Array.of(0x5b, 0x22, 0xff, 0x22, 0x5d), {}, 400, "bad_request"],
    ["UTF-8 cut in a character", Uint8Array.of(0x5b, 0x22, 0xc3), {}, 400, "bad_request"],
    ["a surrogate in UTF-8", Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22), {}, 400, "bad_request"],
    ["no JSON", "{", {}, 400, "bad_request"],
    ["nothing", "", {}, 400, "bad_request"],
    ["neither an array nor an envelope", '{"event":{}}', {}, 400, "bad_request"],
    ["an envelope of something else", '{"events":{}}', {}, 400, "bad_request"],
    ["null", "null", {}, 400, "bad_request"],
    ["nesting without end", "[".repeat(5_000_000), {}, 400, "bad_request"],
    ["10 MB and a byte", bodyOf(10_000_001), {}, 413, "payload_too_large"],
    ["10 MB and a byte when inflated", gzipSync(bodyOf(10_000_001)), GZIP, 413, "payload_too_large"],
    [
      "10 MB and a byte under a Content-Length of 5",
      bodyOf(10_000_001),
      { "Content-Length": "5" },
      413,
      "payload_too_large",
    ],
    ["10,001 events", JSON.stringify(events(10_001)), {}, 413, "payload_too_large"],
    ["a form", good, { "Content-Type": "application/x-www-form-urlencoded" }, 415, "unsupported_media_type"],
    ["text", good, { "Content-Type": "text/plain;charset=UTF-8" }, 415, "unsupported_media_type"],
    ["no content type", good, { "Content-Type": "" }, 415, "unsupported_media_type"],
    ["another charset", good, { "Content-Type": "application/json; charset=latin1" }, 415, "unsupported_media_type"],
    ["an empty Idempotency-Key", good, { "Idempotency-Key": "" }, 400, "bad_request"],
    ["a long Idempotency-Key", good, { "Idempotency-Key": "x".repeat(256) }, 400, "bad_request"],
  ])("%s", async (_, body, headers, status, error) => {
    const [bad, neighbour] = await Promise.all([send("/events/batch", body, { headers }), send("/events/batch", good)]);
    expect([bad.status, bad.body.error]).toEqual([status, error]);
    expect(bad.body.message).toMatch(/\w/);
    expect(bad.queued).toEqual([]);
    expect(neighbour.status).toBe(200);
    expect(neighbour.queued).toHaveLength(2);
  });

  test("a body of exactly 10 MB is taken, inflated or not, whatever its Content-Length says", async () => {
    expect((await send("/events/batch", bodyOf(10_000_000))).status).toBe(200);
    expect((await send("/events/batch", gzipSync(bodyOf(10_000_000)), { headers: GZIP })).status).toBe(200);
    expect((await send("/events/batch", bodyOf(300_000), { headers: { "Content-Length": "5" } })).status).toBe(200);
    expect((await send("/events/batch", bodyOf(300_000), { headers: { "Content-Length": "9999999999" } })).status).toBe(
      200,
    );
    expect((await send("/events/batch", bodyOf(300_000), { headers: { "Content-Length": "nonsense" } })).status).toBe(
      200,
    );
  });

  test.each([70_000, 1_100_000, 4_300_000, 8_500_000, 9_999_999])(
    "gzip that inflates to %i bytes is taken",
    async (bytes) => {
      const noise = Array.from({ length: 40_000 }, (_, n) => Math.imul(n, 2_654_435_761).toString(36)).join("");
      const list = Array.from({ length: Math.floor(bytes / 20_200) }, (_, n) =>
        event({ data: { noise: noise.slice(n * 300, n * 300 + 20_000) } }),
      );
      const body = JSON.stringify(list.length === 0 ? [event()] : list).padEnd(bytes, " ");
      expect((await send("/events/batch", gzipSync(body), { headers: GZIP })).status).toBe(200);
    },
  );

  test("a thousand small ones at once are all taken", async () => {
    const answers = await Promise.all(Array.from({ length: 1_000 }, () => send("/events", event())));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  });

  test("more large bodies than an isolate can hold are told to come back, and nothing is left held", async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => send("/events/batch", bodyOf(9_000_000))));
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.length).toBeGreaterThan(0);
    for (const { status, headers } of refused) expect([status, headers.get("Retry-After")]).toEqual([503, "1"]);
    expect((await send("/events/batch", bodyOf(9_000_000))).status).toBe(200);
  });
});

describe("a bad event is rejected alone", () => {
  const far = new Date(Date.now() + 25 * 3_600_000).toISOString();
  const deep = `${"[".repeat(33)}${"]".repeat(33)}`;

  test.each([
    ["a bad id", '"id":"a b"', "invalid_id", "id"],
    ["an id of 65 characters", `"id":"${"x".repeat(65)}"`, "invalid_id", "id"],
    ["a far-future timestamp", `"timestamp":"${far}"`, "timestamp_in_future", "timestamp"],
    ["a timestamp in seconds", '"timestamp":1764000000', "timestamp_too_old", "timestamp"],
    ["deep nesting", `"data":{"a":${deep}}`, "too_deep", "data.a[0]"],
    [
      "nesting a million deep",
      `"data":{"a":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`,
      "too_deep",
      "data.a[0]",
    ],
    ["a __proto__ key", '"data":{"__proto__":{"admin":true}}', "forbidden_key", "data.__proto__"],
    [
      "a constructor key",
      '"metadata":{"a":{"constructor":{"prototype":{}}}}',
      "forbidden_key",
      "metadata.a.constructor",
    ],
    ["a __proto__ key of its own", '"__proto__":{"type":"x"}', "forbidden_key", "__proto__"],
    ["a wrong type", '"tags":"a,b"', "wrong_type", "tags"],
    ["data that is a list", '"data":[1]', "wrong_type", "data"],
    ["33 kB", `"data":{"a":"${"x".repeat(33_000)}"}`, "too_large", ""],
    ["a number beyond floats", '"data":{"a":1e400}', "number_out_of_range", "data.a"],
    ["half a surrogate pair as its user", '"user_id":"\\ud800"', "invalid_text", "user_id"],
  ])("%s", async (_, fields, reason, field) => {
    const body = `[${JSON.stringify(event({ id: "before" }))},{"type":"a","source":"s",${fields}},${JSON.stringify(event({ id: "after" }))}]`;
    const sent = await send("/events/batch", body);
    expect(sent.status).toBe(200);
    expect(sent.body.data).toMatchObject({ accepted: 2, results: [{ index: 1, result: "rejected", reason }] });
    expect(String(JSON.stringify(sent.body.data))).toContain(`"field":"${field.slice(0, 9)}`);
    expect(sent.queued.map(({ id }) => id)).toEqual(["before", "after"]);
    expect({}).not.toHaveProperty("admin");
  });
});

describe("an Idempotency-Key", () => {
  const batch = [event(), event({ id: "own" }), event()];

  test("gives events without an id the same one each time, and other keys others", async () => {
    const headers = { "Idempotency-Key": "order 7" };
    const first = await send("/events/batch", batch, { headers });
    const second = await send("/events/batch", batch, { headers });
    const other = await send("/events/batch", batch, { headers: { "Idempotency-Key": "order 8" } });
    const ids = first.queued.map(({ id }) => id);
    expect(ids[1]).toBe("own");
    expect(new Set(ids).size).toBe(3);
    expect(second.queued.map(({ id }) => id)).toEqual(ids);
    expect(other.queued.map(({ id }) => id).filter((id) => ids.includes(id))).toEqual(["own"]);
    for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9._:-]{1,64}$/);
  });

  test("marks times that a retry would change", async () => {
    const sent = await send("/events/batch", [event(), event({ timestamp: 1_700_000_000_000 })], {
      headers: { "Idempotency-Key": "k" },
    });
    expect(sent.queued.map(({ timestampAssigned }) => timestampAssigned)).toEqual([true, undefined]);
  });

  test("of one tenant makes no ids of another", async () => {
    const { adminKey } = await makeTenant();
    const headers = { "Idempotency-Key": "k" };
    const ours = await send("/events", event(), { headers });
    const theirs = await send("/events", event(), { headers, key: adminKey });
    expect(theirs.body.data).not.toEqual(ours.body.data);
  });
});

describe("who may send", () => {
  test("an ingest key may, a viewer or editor may not, and a stranger is unknown", async () => {
    const { adminKey } = await makeTenant();
    const statusOf = async (role: string): Promise<number> =>
      (await send("/events", event(), { key: (await makeKey(adminKey, role)).key })).status;
    expect(await statusOf("ingest")).toBe(200);
    expect(await statusOf("viewer")).toBe(403);
    expect(await statusOf("editor")).toBe(403);
    const stranger = await send("/events", event(), { key: "ing_0123456789.nothing" });
    expect([stranger.status, stranger.queued]).toEqual([401, []]);
  });

  test("events belong to the tenant of the key, whatever else the request says", async () => {
    const { id, adminKey } = await makeTenant();
    const queue = new FakeQueue();
    await send("/events?tenant=default", event({ data: { tenant: "default" } }), {
      key: adminKey,
      queue,
      headers: { "X-Tenant": "default" },
    });
    expect(queue.messages.map(({ tenant }) => tenant)).toEqual([id]);
  });
});
