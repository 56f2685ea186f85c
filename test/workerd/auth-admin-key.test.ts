import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import worker from "../../workers/index.ts";

const LONG_KEY = "bootstrap-0123456789abcdef0123456789abcdef";

/** What `GET /api/v1/me` answers under another configuration. */
async function me(settings: Partial<Env>, credential: string): Promise<{ status: number; data: unknown }> {
  const ctx = createExecutionContext();
  const request = new Request<unknown, IncomingRequestCfProperties>("http://streamflow.test/api/v1/me", {
    headers: { Authorization: `Bearer ${credential}` },
  });
  const response = await worker.fetch(request, { ...env, ...settings }, ctx);
  await waitOnExecutionContext(ctx);
  const body = await response.json<{ data?: unknown }>();
  return { status: response.status, data: body.data };
}

async function addAdminKey(tenant: string): Promise<void> {
  const sql = "insert into api_keys (id, tenant, name, role, hash, created_at) values (?, ?, 'n', 'admin', 'h', 0)";
  await env.DB.prepare(sql).bind(crypto.randomUUID(), tenant).run();
}

describe("the key in ADMIN_KEY", () => {
  afterEach(async () => {
    await env.DB.prepare("delete from api_keys").run();
  });

  test("is the admin key of tenant default in local mode, whatever other keys there are", async () => {
    await addAdminKey("default");
    const answer = await me({ STREAMFLOW_MODE: "local", ADMIN_KEY: "short" }, "short");
    expect(answer).toEqual({ status: 200, data: { tenant: "default", role: "admin", key_id: "admin" } });
  });

  test("bootstraps production until tenant default has an admin key", async () => {
    const production = { STREAMFLOW_MODE: "production", ADMIN_KEY: LONG_KEY };
    expect((await me(production, LONG_KEY)).status).toBe(200);
    await addAdminKey("another");
    expect((await me(production, LONG_KEY)).status).toBe(200);
    await addAdminKey("default");
    expect((await me(production, LONG_KEY)).status).toBe(401);
  });

  test("is refused in production when it is short enough to guess", async () => {
    expect((await me({ STREAMFLOW_MODE: "production", ADMIN_KEY: "short" }, "short")).status).toBe(401);
  });

  test("empty means there is none", async () => {
    expect((await me({ ADMIN_KEY: "" }, "")).status).toBe(401);
    expect((await me({ ADMIN_KEY: "" }, "undefined")).status).toBe(401);
  });
});
