import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { insertDeadLetters } from "../../storage/d1/dead-letters.ts";
import { app } from "../../workers/app.ts";
import { roleAllows } from "../../workers/auth/roles.ts";
import type { Role } from "../../workers/http.ts";
import { addRule, minute, newTenant, wireUp } from "./alerts-bench.ts";
import { call, makeKey, makeTenant } from "./http-client.ts";
import { upgrade } from "./live-socket.ts";

const ROLES: readonly Role[] = ["ingest", "viewer", "editor", "admin"];
/** Answered to anyone. */
const OPEN = new Set(["GET /health", "GET /ready"]);
/** For whoever has a good credential. */
const ANY_ROLE = new Set(["POST /auth/token", "GET /api/v1/me", "POST /api/v1/tickets"]);
const INGEST = new Set(["POST /events", "POST /events/batch", "GET /ws"]);
/** Questions that are too long for a query string. */
const ASKS_BY_POST = new Set([
  "POST /api/v1/events/query",
  "POST /metrics/query",
  "POST /api/v1/rules/backtest",
  "POST /api/v1/rules/:id/backtest",
]);
const ADMIN_PATHS = /^\/api\/v1\/(?:keys|tenants|dead-letters)(?:\/|$)/;

interface Route {
  readonly method: string;
  readonly path: string;
}

/** Every route of the app, so that one added tomorrow is tested tomorrow. */
const routes: Route[] = [
  ...new Map(
    app.routes
      .filter(({ method, path }) => method !== "ALL" && !path.startsWith("/__local/"))
      .map(({ method, path }) => [`${method} ${path}`, { method, path }]),
  ).values(),
];

/** The role a route asks for: reading needs a viewer, changing an editor, what is listed above something else. */
function roleOf({ method, path }: Route): Role | "any" | "open" {
  const name = `${method} ${path}`;
  if (OPEN.has(name)) return "open";
  if (ANY_ROLE.has(name)) return "any";
  if (INGEST.has(name)) return "ingest";
  if (ADMIN_PATHS.test(path) || name === "PUT /api/v1/flow" || name === "PUT /api/v1/shards") return "admin";
  return method === "GET" || ASKS_BY_POST.has(name) ? "viewer" : "editor";
}

/** Calls a route with junk in its parameters and body. @returns the status */
async function status({ method, path }: Route, key?: string): Promise<number> {
  const filled = path.replaceAll(/:(\w+)/g, "no-such-$1");
  if (path === "/ws" || path.startsWith("/ws/")) {
    const response = await upgrade(filled, key === undefined ? {} : { Authorization: `Bearer ${key}` });
    response.webSocket?.accept();
    response.webSocket?.close(1000, "done");
    return response.status;
  }
  const body = method === "GET" || method === "DELETE" ? {} : { json: { nonsense: true } };
  return (await call(method, filled, { ...body, ...(key === undefined ? {} : { key }) })).status;
}

describe("every route", () => {
  test("is listed at all", () => {
    expect(routes.length).toBeGreaterThan(40);
  });

  test.each(routes)(
    "$method $path is 401 without a credential and with a bad one, if it is not open to all",
    async (route) => {
      const isOpen = roleOf(route) === "open";
      for (const key of [undefined, "nonsense", `adm_0123456789abcdef.${"x".repeat(43)}`]) {
        expect(await status(route, key)).toBe(isOpen ? 200 : 401);
      }
    },
  );

  test.each(routes)(
    "$method $path answers a role too low with 403, the others never, and junk never with 5xx",
    async (route) => {
      const tenant = await makeTenant();
      const needed = roleOf(route);
      for (const role of ROLES) {
        const { key } = await makeKey(tenant.adminKey, role);
        const answered = await status(route, key);
        // Tenants are the operator's: of another tenant not even an admin.
        const isOperators = route.path.startsWith("/api/v1/tenants");
        const isAllowed = needed === "open" || needed === "any" || (roleAllows(role, needed) && !isOperators);
        if (isAllowed) expect([role, [401, 403].includes(answered)]).toEqual([role, false]);
        else expect([role, answered]).toEqual([role, 403]);
        expect(answered).toBeLessThan(500);
      }
    },
  );
});

describe("another tenant's objects", () => {
  /** Objects of `mine`, by the path that names them, with what a valid request would send. */
  const cases: { method: string; path: string; json?: unknown }[] = [];
  let mine = "";
  let theirs = "";

  beforeAll(async () => {
    wireUp();
    const tenant = await newTenant();
    mine = tenant.key;
    theirs = (await makeTenant()).adminKey;
    const definition = { name: "private", window: { type: "tumbling", size: "1m" }, measures: { n: { fn: "count" } } };
    expect((await call("POST", "/api/v1/aggregations", { key: mine, json: definition })).status).toBe(201);
    const rule = await addRule(tenant);
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    const { alerts } = (await call("GET", "/api/v1/alerts", { key: mine })).data;
    const alert = Array.isArray(alerts) ? String(alerts[0]?.id) : "";
    const letter = {
      tenant: tenant.tenant,
      id: crypto.randomUUID(),
      kind: "unreadable",
      reason: "r",
      attempts: 1,
    } as const;
    await insertDeadLetters(env.DB, [{ ...letter, events: 0, created_at: Date.now(), body: "{}" }]);
    const quiet = { matchers: ["type=web"], ends_at: new Date(Date.now() + 60_000).toISOString() };
    const silence = String((await call("POST", "/api/v1/silences", { key: mine, json: quiet })).data["id"]);
    const spare = await makeKey(mine, "viewer");
    cases.push(
      { method: "GET", path: "/api/v1/aggregations/private" },
      { method: "GET", path: "/api/v1/aggregations/private/windows" },
      { method: "GET", path: "/api/v1/aggregations/private/query?step=total" },
      { method: "GET", path: "/api/v1/analytics/windows/private" },
      { method: "PUT", path: "/api/v1/aggregations/private", json: definition },
      { method: "GET", path: `/api/v1/rules/${rule}` },
      {
        method: "PUT",
        path: `/api/v1/rules/${rule}`,
        json: { name: "busy", aggregation: "events_1m", condition: "count > 1", level: "error", channels: [] },
      },
      { method: "GET", path: `/api/v1/alerts/${alert}` },
      { method: "POST", path: `/api/v1/alerts/${alert}/acknowledge`, json: { by: "me" } },
      { method: "POST", path: `/api/v1/alerts/${alert}/resolve`, json: { by: "me" } },
      { method: "POST", path: `/api/v1/channels/${tenant.channelId}/test`, json: {} },
      { method: "DELETE", path: `/api/v1/silences/${silence}` },
      { method: "DELETE", path: `/api/v1/rules/${rule}` },
      { method: "DELETE", path: `/api/v1/channels/${tenant.channelId}` },
      { method: "DELETE", path: `/api/v1/dead-letters/${letter.id}` },
      { method: "DELETE", path: `/api/v1/keys/${spare.id}` },
      { method: "DELETE", path: "/api/v1/aggregations/private" },
    );
  });

  test("are 404 to an admin of another tenant on every route, and there for their own", async () => {
    const foreign: [string, number][] = [];
    for (const { method, path, json } of cases) {
      foreign.push([
        `${method} ${path}`,
        (await call(method, path, { key: theirs, ...(json === undefined ? {} : { json }) })).status,
      ]);
    }
    expect(foreign.filter(([, answered]) => answered !== 404)).toEqual([]);
    for (const { method, path, json } of cases) {
      const answer = await call(method, path, { key: mine, ...(json === undefined ? {} : { json }) });
      expect([`${method} ${path}`, answer.status]).not.toEqual([`${method} ${path}`, 404]);
    }
  });

  test("appear in none of their lists", async () => {
    const tenant = await newTenant();
    await addRule(tenant, { name: "secret-rule" });
    const definition = {
      name: "secret_counts",
      window: { type: "tumbling", size: "1m" },
      measures: { n: { fn: "count" } },
    };
    await call("POST", "/api/v1/aggregations", { key: tenant.key, json: definition });
    await makeKey(tenant.key, "viewer");
    const lists = routes.filter(
      ({ method, path }) =>
        method === "GET" && path.startsWith("/api/v1/") && !path.includes(":") && !path.includes("tenants"),
    );
    for (const { path } of lists) {
      const { text } = await call("GET", path, { key: theirs });
      expect([path, /secret-rule|secret_counts/.test(text) || text.includes(tenant.tenant)]).toEqual([path, false]);
    }
  });

  test("an event stored by one tenant is 404 to another", async () => {
    vi.restoreAllMocks();
    const tenant = await makeTenant();
    const sent = await call("POST", "/events", {
      key: tenant.adminKey,
      json: { type: "t.one", source: "s", data: { secret: "mine" } },
    });
    const path = `/events/${String(sent.data["event_id"])}`;
    await expect
      .poll(async () => (await call("GET", path, { key: tenant.adminKey })).status, { timeout: 10_000 })
      .toBe(200);
    expect((await call("GET", path, { key: theirs })).status).toBe(404);
    expect((await call("GET", "/api/v1/events", { key: theirs })).text).not.toContain("mine");
  });
});
