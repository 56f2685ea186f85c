import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import worker from "../../workers/index.ts";
import { call, makeTenant, OPERATOR_KEY } from "./http-client.ts";

/** The log lines written while `work` ran. */
async function linesOf(work: () => Promise<unknown>): Promise<Record<string, unknown>[]> {
  const write = vi.spyOn(console, "log").mockImplementation(() => undefined);
  await work();
  return write.mock.calls.map(([line]) => Object.fromEntries(Object.entries(JSON.parse(String(line)))));
}

/** Any answer of a Worker configured for this mode. */
async function answerIn(mode: string): Promise<Response> {
  const request = new Request<unknown, IncomingRequestCfProperties>("http://streamflow.test/api/v1/me");
  return await worker.fetch(request, { ...env, STREAMFLOW_MODE: mode }, createExecutionContext());
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("headers on every answer", () => {
  test.each([
    ["a success", "GET", "/api/v1/me", OPERATOR_KEY, 200],
    ["a refusal", "GET", "/api/v1/me", "nonsense", 401],
    ["an unknown path", "GET", "/api/v1/nowhere", OPERATOR_KEY, 404],
    ["an unknown verb", "PATCH", "/api/v1/keys", OPERATOR_KEY, 404],
  ])("%s is not sniffed, not stored, not framed, and sends no referrer", async (_name, method, path, key, status) => {
    const { headers, ...answer } = await call(method, path, { key });
    expect(answer.status).toBe(status);
    expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(headers.get("Cache-Control")).toBe("no-store");
    expect(headers.get("Referrer-Policy")).toBe("no-referrer");
    expect(headers.get("Content-Security-Policy")).toBe("default-src 'none'; frame-ancestors 'none'");
    expect(headers.get("Content-Type")).toContain("application/json");
  });

  test("transport security is demanded in production only", async () => {
    expect((await answerIn("local")).headers.get("Strict-Transport-Security")).toBeNull();
    expect((await answerIn("production")).headers.get("Strict-Transport-Security")).toBe("max-age=31536000");
  });
});

describe("envelopes", () => {
  test("a success has message, data, timestamp and correlation id", async () => {
    const { body } = await call("GET", "/api/v1/me", { key: OPERATOR_KEY });
    expect(Object.keys(body).sort()).toEqual(["correlation_id", "data", "message", "success", "timestamp"]);
    expect(body["success"]).toBe(true);
    expect(new Date(String(body["timestamp"])).toISOString()).toBe(body["timestamp"]);
  });

  test("a refusal has error, message, details, timestamp and correlation id", async () => {
    const { body } = await call("GET", "/api/v1/nowhere");
    expect(Object.keys(body).sort()).toEqual(["correlation_id", "details", "error", "message", "timestamp"]);
    expect(body["error"]).toBe("not_found");
  });

  test.each([
    ["D1_ERROR: database is locked: SQLITE_BUSY", 503, "1"],
    ["D1_ERROR: Network connection lost.", 503, "1"],
    ['D1_ERROR: near "selct": syntax error at offset 0: SQLITE_ERROR', 500, null],
  ])("a database that fails with %j answers %i", async (message, status, retryAfter) => {
    const away = new Proxy(env.DB, {
      get() {
        throw new Error(message);
      },
    });
    const headers = { Authorization: `Bearer adm_0123456789abcdee.${"z".repeat(43)}` };
    const request = new Request<unknown, IncomingRequestCfProperties>("http://streamflow.test/api/v1/me", { headers });
    const response = await worker.fetch(request, { ...env, DB: away }, createExecutionContext());
    expect([response.status, response.headers.get("Retry-After")]).toEqual([status, retryAfter]);
  });

  test("a surprise is 500 without details, and the stack goes to the log", async () => {
    const broken = new Proxy(env.DB, {
      get() {
        throw new Error("secret inner detail");
      },
    });
    const key = `adm_0123456789abcdef.${"z".repeat(43)}`;
    const request = new Request<unknown, IncomingRequestCfProperties>("http://streamflow.test/api/v1/me", {
      headers: { Authorization: `Bearer ${key}` },
    });
    let response: Response | undefined;
    const lines = await linesOf(async () => {
      response = await worker.fetch(request, { ...env, DB: broken }, createExecutionContext());
    });
    expect(response?.status).toBe(500);
    const text = (await response?.text()) ?? "";
    expect(text).toContain('"internal"');
    expect(text).not.toContain("secret inner detail");
    const failure = lines.find((line) => line["event"] === "request_failed");
    expect(failure?.["stack"]).toContain("secret inner detail");
    expect(failure?.["correlation_id"]).toBe(response?.headers.get("X-Correlation-ID"));
  });
});

describe("JSON bodies", () => {
  const path = "/api/v1/keys";
  test.each([
    ["no content type", 415, { body: '{"name":"n","role":"viewer"}', headers: { "Content-Type": "" } }],
    [
      "a form's content type",
      415,
      { body: "name=n", headers: { "Content-Type": "application/x-www-form-urlencoded" } },
    ],
    ["plain text, which a cross-site form can send", 415, { body: "{}", headers: { "Content-Type": "text/plain" } }],
    ["JSON cut short", 400, { body: '{"name":', headers: { "Content-Type": "application/json" } }],
    ["an empty body", 400, { body: "", headers: { "Content-Type": "application/json" } }],
    ["an array", 400, { json: [] }],
    ["null", 400, { json: null }],
    ["a body above the limit", 413, { json: { name: "x".repeat(256 * 1024) } }],
  ])("%s is %i", async (_name, status, options) => {
    expect((await call("POST", path, { key: OPERATOR_KEY, ...options })).status).toBe(status);
  });

  test("a charset parameter and upper case are fine", async () => {
    const { adminKey } = await makeTenant();
    const answer = await call("POST", path, {
      key: adminKey,
      body: '{"name":"n","role":"viewer"}',
      headers: { "Content-Type": "Application/JSON; charset=utf-8" },
    });
    expect(answer.status).toBe(201);
  });
});

describe("correlation ids", () => {
  test("a sane one is echoed in header and envelope", async () => {
    const sent = "order-42:retry.1_a";
    const answer = await call("GET", "/api/v1/me", { key: OPERATOR_KEY, headers: { "X-Correlation-ID": sent } });
    expect(answer.headers.get("X-Correlation-ID")).toBe(sent);
    expect(answer.body["correlation_id"]).toBe(sent);
  });

  test.each([
    ["none", undefined],
    ["spaces", "a b"],
    ["markup", "<script>"],
    ["129 characters", "x".repeat(129)],
    ["quotes", 'a"b'],
  ])("for %s one is made", async (_name, sent) => {
    const headers = sent === undefined ? {} : { "X-Correlation-ID": sent };
    const answer = await call("GET", "/api/v1/nowhere", { headers });
    expect(answer.headers.get("X-Correlation-ID")).toMatch(/^[0-9a-f-]{36}$/);
    expect(answer.body["correlation_id"]).toBe(answer.headers.get("X-Correlation-ID"));
  });

  test("128 characters are still echoed", async () => {
    const sent = "x".repeat(128);
    const answer = await call("GET", "/api/v1/nowhere", { headers: { "X-Correlation-ID": sent } });
    expect(answer.headers.get("X-Correlation-ID")).toBe(sent);
  });
});

describe("other sites' browsers", () => {
  const origin = { Origin: "https://shop.example" };

  test.each(["/events", "/events/batch"])(
    "may post to %s: the preflight allows every header ingest reads",
    async (path) => {
      const answer = await call("OPTIONS", path, {
        headers: {
          ...origin,
          "Access-Control-Request-Method": "POST",
          "Access-Control-Request-Headers": "authorization",
        },
      });
      expect(answer.status).toBe(204);
      expect(answer.headers.get("Access-Control-Allow-Origin")).toBe("*");
      expect(answer.headers.get("Access-Control-Allow-Methods")).toBe("POST");
      const allowed = (answer.headers.get("Access-Control-Allow-Headers") ?? "").toLowerCase().split(", ");
      expect(allowed).toEqual(
        expect.arrayContaining([
          "authorization",
          "content-type",
          "content-encoding",
          "idempotency-key",
          "x-correlation-id",
        ]),
      );
      expect(answer.headers.get("Access-Control-Allow-Credentials")).toBeNull();
    },
  );

  test("can read ingest's answer, also a refusal, and its quota headers", async () => {
    const answer = await call("POST", "/events", { headers: origin, json: {} });
    expect(answer.headers.get("Access-Control-Allow-Origin")).toBe("*");
    expect(answer.headers.get("Access-Control-Expose-Headers")).toContain("X-RateLimit-Remaining");
    expect(answer.headers.get("Access-Control-Allow-Credentials")).toBeNull();
  });

  test.each([
    ["GET", "/api/v1/me"],
    ["OPTIONS", "/api/v1/keys"],
    ["POST", "/auth/token"],
    ["GET", "/events/some-id"],
    ["OPTIONS", "/events/some-id"],
  ])("get no CORS headers from %s %s", async (method, path) => {
    const answer = await call(method, path, { key: OPERATOR_KEY, headers: origin });
    expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
  });
});

describe("the log", () => {
  test("has one JSON line per request, with the route's pattern and never a secret or a query string", async () => {
    const { id, adminKey } = await makeTenant();
    const lines = await linesOf(async () => {
      await call("DELETE", "/api/v1/keys/some-secret-id?token=hidden", {
        key: adminKey,
        headers: { "X-Correlation-ID": "log-test" },
      });
    });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      level: "info",
      event: "request",
      method: "DELETE",
      path: "/api/v1/keys/:id",
      status: 404,
      tenant: id,
      correlation_id: "log-test",
    });
    expect(typeof lines[0]?.["ms"]).toBe("number");
    const text = JSON.stringify(lines);
    for (const secret of [adminKey, "hidden", "some-secret-id"]) expect(text).not.toContain(secret);
  });

  test("names no path that a caller made up, and no tenant without a credential", async () => {
    const lines = await linesOf(() => call("GET", "/api/v1/made-up-path"));
    expect(lines[0]).toMatchObject({ path: "(none)", status: 404, tenant: null });
  });

  test("a refused role is logged under the tenant that asked", async () => {
    const { id, adminKey } = await makeTenant();
    const lines = await linesOf(() => call("GET", "/api/v1/tenants", { key: adminKey }));
    expect(lines[0]).toMatchObject({ path: "/api/v1/tenants", status: 403, tenant: id });
  });
});
