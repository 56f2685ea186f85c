import { env } from "cloudflare:workers";
import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { call, makeKey, makeTenant, OPERATOR_KEY } from "./http-client.ts";

const JWT_SECRET = "test-jwt-secret-0123456789abcdef0123456789";

/** A token as the platform signs it, with one thing changed. */
async function signedToken(
  keyId: string,
  tenant: string,
  change: {
    secret?: string;
    type?: string;
    issuer?: string;
    audience?: string;
    expiresAt?: number;
    algorithm?: string;
  } = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return await new SignJWT({ tenant, role: "admin" })
    .setProtectedHeader({ alg: change.algorithm ?? "HS256", typ: change.type ?? "at+jwt" })
    .setSubject(keyId)
    .setIssuer(change.issuer ?? "streamflow")
    .setAudience(change.audience ?? "streamflow-api")
    .setIssuedAt(now - 60)
    .setExpirationTime(change.expiresAt ?? now + 60)
    .sign(new TextEncoder().encode(change.secret ?? JWT_SECRET));
}

function base64url(value: unknown): string {
  return btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function me(credential: string): Promise<number> {
  return (await call("GET", "/api/v1/me", { key: credential })).status;
}

describe("who gets in", () => {
  test("a request without a credential is 401 and told how to authenticate", async () => {
    const answer = await call("GET", "/api/v1/me");
    expect(answer.status).toBe(401);
    expect(answer.error).toBe("unauthorized");
    expect(answer.headers.get("WWW-Authenticate")).toContain("Bearer");
  });

  test.each([
    ["another scheme", "Basic dXNlcjpwYXNz"],
    ["no token after the scheme", "Bearer "],
    ["two tokens", "Bearer one two"],
    ["a text of no known shape", "Bearer nonsense"],
    ["a key of the right shape that does not exist", `Bearer adm_0123456789abcdef.${"x".repeat(43)}`],
    ["an over-long credential", `Bearer ${"x".repeat(5_000)}`],
    ["only dots", "Bearer .."],
  ])("%s is 401", async (_name, header) => {
    const answer = await call("GET", "/api/v1/me", { headers: { Authorization: header } });
    expect(answer.status).toBe(401);
    expect(answer.error).toBe("unauthorized");
  });

  test("the same id with another secret is 401, also after the right one was used", async () => {
    const { adminKey } = await makeTenant();
    const { id, key } = await makeKey(adminKey, "viewer");
    expect(await me(key)).toBe(200);
    expect(await me(`vwr_${id}.${"A".repeat(43)}`)).toBe(401);
    expect(await me(`${key.slice(0, -1)}${key.endsWith("A") ? "B" : "A"}`)).toBe(401);
  });

  test("a key's prefix cannot be exchanged for a higher role's", async () => {
    const { adminKey } = await makeTenant();
    const { key } = await makeKey(adminKey, "viewer");
    expect(await me(key.replace("vwr_", "adm_"))).toBe(401);
  });

  test("me tells tenant, role and key id", async () => {
    const tenant = await makeTenant();
    const { id, key } = await makeKey(tenant.adminKey, "editor");
    const answer = await call("GET", "/api/v1/me", { key });
    expect(answer.data).toEqual({ tenant: tenant.id, role: "editor", key_id: id });
  });

  test("using a key writes down when, once", async () => {
    const { adminKey } = await makeTenant();
    const { id, key } = await makeKey(adminKey, "viewer");
    await me(key);
    await expect
      .poll(async () => {
        const row = await env.DB.prepare("select last_used_at from api_keys where id = ?").bind(id).first();
        return typeof row?.["last_used_at"];
      })
      .toBe("number");
  });
});

describe("keys", () => {
  test("only a hash of the key is stored, and lists never show it", async () => {
    const { adminKey } = await makeTenant();
    const { id, key } = await makeKey(adminKey, "ingest");
    expect(key).toMatch(/^ing_[0-9a-f]{16}\.[A-Za-z0-9_-]{43}$/);
    const row = await env.DB.prepare("select * from api_keys where id = ?").bind(id).first();
    expect(JSON.stringify(row)).not.toContain(key.split(".")[1]);
    const list = await call("GET", "/api/v1/keys", { key: adminKey });
    expect(list.text).toContain(id);
    expect(list.text).not.toContain(key.split(".")[1]);
    expect(list.text).not.toContain("hash");
  });

  test("a revoked key is 401 at once, and revoking it again is 404", async () => {
    const { adminKey } = await makeTenant();
    const { id, key } = await makeKey(adminKey, "viewer");
    expect(await me(key)).toBe(200);
    expect((await call("DELETE", `/api/v1/keys/${id}`, { key: adminKey })).status).toBe(200);
    expect(await me(key)).toBe(401);
    expect((await call("DELETE", `/api/v1/keys/${id}`, { key: adminKey })).status).toBe(404);
    expect((await call("GET", "/api/v1/keys", { key: adminKey })).text).not.toContain(id);
  });

  test("another tenant's key is neither listed nor revoked: 404, and it goes on working", async () => {
    const [mine, theirs] = [await makeTenant(), await makeTenant()];
    const { id, key } = await makeKey(theirs.adminKey, "viewer");
    expect((await call("DELETE", `/api/v1/keys/${id}`, { key: mine.adminKey })).status).toBe(404);
    expect((await call("GET", "/api/v1/keys", { key: mine.adminKey })).text).not.toContain(id);
    expect(await me(key)).toBe(200);
  });

  test("the last admin key of a tenant stays until there is another", async () => {
    const { adminKey } = await makeTenant();
    const own = String((await call("GET", "/api/v1/me", { key: adminKey })).data["key_id"]);
    expect((await call("DELETE", `/api/v1/keys/${own}`, { key: adminKey })).status).toBe(409);
    const other = await makeKey(adminKey, "admin");
    expect((await call("DELETE", `/api/v1/keys/${own}`, { key: other.key })).status).toBe(200);
  });

  test("a tenant named in the body is ignored: the key belongs to the credential's tenant", async () => {
    const [mine, theirs] = [await makeTenant(), await makeTenant()];
    const made = await call("POST", "/api/v1/keys", {
      key: mine.adminKey,
      json: { name: "n", role: "viewer", tenant: theirs.id },
    });
    const answer = await call("GET", "/api/v1/me", { key: String(made.data["key"]) });
    expect(answer.data["tenant"]).toBe(mine.id);
  });

  test.each(["ingest", "viewer", "editor"])("role %s may not manage keys: 403", async (role) => {
    const { adminKey } = await makeTenant();
    const { id, key } = await makeKey(adminKey, role);
    expect((await call("GET", "/api/v1/keys", { key })).status).toBe(403);
    expect((await call("POST", "/api/v1/keys", { key, json: { name: "n", role: "admin" } })).status).toBe(403);
    expect((await call("DELETE", `/api/v1/keys/${id}`, { key })).status).toBe(403);
  });

  test.each([
    ["a missing name", { role: "viewer" }, "name"],
    ["an empty name", { name: "  ", role: "viewer" }, "name"],
    ["a name of 101 characters", { name: "x".repeat(101), role: "viewer" }, "name"],
    ["a name that is no text", { name: 7, role: "viewer" }, "name"],
    ["a role that is none", { name: "n", role: "root" }, "role"],
    ["an inherited property as role", { name: "n", role: "toString" }, "role"],
  ])("%s is 400 and names the field", async (_name, json, field) => {
    const answer = await call("POST", "/api/v1/keys", { key: OPERATOR_KEY, json });
    expect(answer.status).toBe(400);
    expect(answer.body["details"]).toMatchObject({ field });
  });

  test("a tenant's 101st key is refused with 409", async () => {
    const { id, adminKey } = await makeTenant();
    const insert = env.DB.prepare(
      "insert into api_keys (id, tenant, name, role, hash, created_at) values (?, ?, 'n', 'viewer', 'h', 0)",
    );
    await env.DB.batch(Array.from({ length: 98 }, (_, at) => insert.bind(`${id}-${at}`, id)));
    const json = { name: "n", role: "viewer" };
    expect((await call("POST", "/api/v1/keys", { key: adminKey, json })).status).toBe(201);
    expect((await call("POST", "/api/v1/keys", { key: adminKey, json })).status).toBe(409);
  });
});

describe("tokens", () => {
  test("a key is exchanged for a token that works as the key does", async () => {
    const tenant = await makeTenant();
    const { id, key } = await makeKey(tenant.adminKey, "viewer");
    const exchanged = await call("POST", "/auth/token", { key });
    expect(exchanged.data).toMatchObject({ expires_in: 900, role: "viewer", tenant: tenant.id });
    const answer = await call("GET", "/api/v1/me", { key: String(exchanged.data["token"]) });
    expect(answer.data).toEqual({ tenant: tenant.id, role: "viewer", key_id: id });
  });

  test("a token cannot be made from a token", async () => {
    const token = String((await call("POST", "/auth/token", { key: OPERATOR_KEY })).data["token"]);
    expect((await call("POST", "/auth/token", { key: token })).status).toBe(403);
  });

  test("a token dies with its key", async () => {
    const { adminKey } = await makeTenant();
    const { id, key } = await makeKey(adminKey, "viewer");
    const token = String((await call("POST", "/auth/token", { key })).data["token"]);
    expect(await me(token)).toBe(200);
    await call("DELETE", `/api/v1/keys/${id}`, { key: adminKey });
    expect(await me(token)).toBe(401);
  });

  test("a role written into a token is not believed: the key's row says it", async () => {
    const tenant = await makeTenant();
    const { id } = await makeKey(tenant.adminKey, "viewer");
    const answer = await call("GET", "/api/v1/me", { key: await signedToken(id, tenant.id) });
    expect(answer.data["role"]).toBe("viewer");
  });

  test("a rightly signed token is accepted, so the refusals below are for the one thing each changes", async () => {
    const tenant = await makeTenant();
    const { id } = await makeKey(tenant.adminKey, "viewer");
    const other = await makeTenant();
    const past = Math.floor(Date.now() / 1000) - 1;
    const expected: [string, string, number][] = [
      ["unchanged", await signedToken(id, tenant.id), 200],
      ["expired", await signedToken(id, tenant.id, { expiresAt: past }), 401],
      [
        "another secret",
        await signedToken(id, tenant.id, { secret: "another-secret-0123456789abcdef-0123456789" }),
        401,
      ],
      ["another issuer", await signedToken(id, tenant.id, { issuer: "else" }), 401],
      ["another audience", await signedToken(id, tenant.id, { audience: "else" }), 401],
      ["another type", await signedToken(id, tenant.id, { type: "JWT" }), 401],
      ["another algorithm of the family", await signedToken(id, tenant.id, { algorithm: "HS512" }), 401],
      ["another tenant", await signedToken(id, other.id), 401],
      ["a key id that does not exist", await signedToken("0123456789abcdef", tenant.id), 401],
      ["the admin key's id in another tenant", await signedToken("admin", tenant.id), 401],
    ];
    for (const [name, token, status] of expected) expect([name, await me(token)]).toEqual([name, status]);
  });

  test("alg none is 401, with and without a signature part", async () => {
    const tenant = await makeTenant();
    const { id } = await makeKey(tenant.adminKey, "viewer");
    const now = Math.floor(Date.now() / 1000);
    const payload = base64url({
      sub: id,
      tenant: tenant.id,
      iss: "streamflow",
      aud: "streamflow-api",
      iat: now,
      exp: now + 60,
    });
    for (const alg of ["none", "None", "NONE"]) {
      const head = base64url({ alg, typ: "at+jwt" });
      expect(await me(`${head}.${payload}.`)).toBe(401);
      expect(await me(`${head}.${payload}.AAAA`)).toBe(401);
    }
  });
});

describe("tenants", () => {
  test("a new tenant comes with an admin key of its own", async () => {
    const tenant = await makeTenant();
    const answer = await call("GET", "/api/v1/me", { key: tenant.adminKey });
    expect(answer.data).toMatchObject({ tenant: tenant.id, role: "admin" });
    const list = await call("GET", "/api/v1/tenants", { key: OPERATOR_KEY });
    expect(list.text).toContain(`"${tenant.id}"`);
    expect(list.text).toContain('"default"');
  });

  test("a taken id is 409 and adds no key to that tenant", async () => {
    const tenant = await makeTenant();
    for (const id of [tenant.id, "default"]) {
      const answer = await call("POST", "/api/v1/tenants", { key: OPERATOR_KEY, json: { id, name: "again" } });
      expect(answer.status).toBe(409);
    }
    const keys = await call("GET", "/api/v1/keys", { key: tenant.adminKey });
    expect(keys.data["keys"]).toHaveLength(1);
  });

  test("an admin of another tenant may neither make nor see tenants", async () => {
    const { adminKey } = await makeTenant();
    expect((await call("POST", "/api/v1/tenants", { key: adminKey, json: { id: "mine", name: "n" } })).status).toBe(
      403,
    );
    expect((await call("GET", "/api/v1/tenants", { key: adminKey })).status).toBe(403);
  });

  test.each(["", "-a", "A", "a b", "a:b", "a/b", "x".repeat(41), "é", "a\n", 7, null])(
    "tenant id %j is 400",
    async (id) => {
      const answer = await call("POST", "/api/v1/tenants", { key: OPERATOR_KEY, json: { id, name: "n" } });
      expect(answer.status).toBe(400);
      expect(answer.body["details"]).toMatchObject({ field: "id" });
    },
  );
});
