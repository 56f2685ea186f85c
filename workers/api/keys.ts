import { Hono } from "hono";
import { liveHubName, TENANT_ID } from "../../core/events/names.ts";
import { rfc3339, rfc3339OrNull } from "../../core/events/rfc3339.ts";
import { insertKey, insertTenant, listKeys, listTenants, revokeKey } from "../../storage/d1/keys.ts";
import type { KeyRecord, TenantRecord } from "../../storage/d1/keys.ts";
import { toHex } from "../../storage/d1/base64.ts";
import { makeApiKey, sha256 } from "../auth/api-key.ts";
import { authenticate, DEFAULT_TENANT, forgetKey, identify, requireRole } from "../auth/index.ts";
import { signToken, TOKEN_SECONDS } from "../auth/jwt.ts";
import { isRole } from "../auth/roles.ts";
import { ApiError, ok, readJson } from "../http.ts";
import type { AppContext, AppEnv, Role } from "../http.ts";
import { logError } from "../log.ts";

/** Unrevoked keys a tenant may have. */
const MAX_KEYS_PER_TENANT = 100;
const MAX_NAME_LENGTH = 100;

/** Tenants, their keys, and tokens made from keys. */
export const keyRoutes = new Hono<AppEnv>()
  .post("/auth/token", async (c) => {
    const { principal, by } = await identify(c.req.raw, c.env);
    c.set("principal", principal);
    // Renewing a token with a token would let one stolen token live for ever.
    if (by !== "key") throw new ApiError("forbidden", "A token is made from an API key, not from another token.");
    const token = await signToken(principal, c.env.JWT_SECRET, Date.now());
    return ok(c, {
      token,
      token_type: "Bearer",
      expires_in: TOKEN_SECONDS,
      role: principal.role,
      tenant: principal.tenant,
    });
  })
  .get("/api/v1/me", async (c) => {
    const principal = await authenticate(c.req.raw, c.env);
    c.set("principal", principal);
    return ok(c, { tenant: principal.tenant, role: principal.role, key_id: principal.keyId });
  })
  .post("/api/v1/keys", requireRole("admin"), async (c) => {
    const body = await readObject(c);
    const { record, key } = await newKey(c.get("principal").tenant, readName(body), readRole(body));
    if (!(await insertKey(c.env.DB, record, MAX_KEYS_PER_TENANT))) {
      throw new ApiError("conflict", `A tenant may have ${MAX_KEYS_PER_TENANT} keys; revoke one first.`, {
        max_keys: MAX_KEYS_PER_TENANT,
      });
    }
    return ok(c, { ...keyJson(record), key }, "This key is shown only now.", 201);
  })
  .get("/api/v1/keys", requireRole("admin"), async (c) => {
    const keys = await listKeys(c.env.DB, c.get("principal").tenant);
    return ok(c, { keys: keys.map(keyJson) });
  })
  .delete("/api/v1/keys/:id", requireRole("admin"), async (c) => {
    const id = c.req.param("id");
    const { tenant } = c.get("principal");
    // The operator's own tenant can be entered again with ADMIN_KEY.
    const canBeLast = tenant === DEFAULT_TENANT;
    const result = await revokeKey(c.env.DB, { tenant, id, nowMs: Date.now(), canBeLast });
    if (result === "not_found") throw new ApiError("not_found", "There is no such key.");
    if (result === "last_admin")
      throw new ApiError("conflict", "This is the tenant's last admin key; make another first.");
    forgetKey(id);
    await closeSockets(c, tenant, id);
    return ok(c, { id }, "The key is revoked.");
  })
  .post("/api/v1/tenants", requireRole("admin"), async (c) => {
    requireOperator(c);
    const body = await readObject(c);
    const tenant: TenantRecord = { id: readTenantId(body), name: readName(body), created_at: Date.now() };
    const { record, key } = await newKey(tenant.id, "first admin", "admin");
    if (tenant.id === DEFAULT_TENANT || !(await insertTenant(c.env.DB, tenant, record))) {
      throw new ApiError("conflict", "There is a tenant with this id.", { field: "id" });
    }
    return ok(c, { tenant: tenantJson(tenant), admin_key: key }, "The admin key is shown only now.", 201);
  })
  .get("/api/v1/tenants", requireRole("admin"), async (c) => {
    requireOperator(c);
    const tenants = await listTenants(c.env.DB);
    // The operator's own tenant exists from the start, without a row.
    const listed = [{ id: DEFAULT_TENANT, name: DEFAULT_TENANT, created_at: null }, ...tenants.map(tenantJson)];
    return ok(c, { tenants: listed });
  });

function requireOperator(c: AppContext): void {
  if (c.get("principal").tenant !== DEFAULT_TENANT) {
    throw new ApiError("forbidden", `Tenants are managed by an admin of tenant ${DEFAULT_TENANT}.`);
  }
}

/** The hub looks for revoked keys by itself too, so a hub that cannot be reached now costs seconds, not the revocation. */
async function closeSockets(c: AppContext, tenant: string, keyId: string): Promise<void> {
  try {
    await c.env.LIVE_HUB.getByName(liveHubName(tenant)).revoke(keyId);
  } catch (error) {
    logError("revoke_sockets_failed", error, { tenant, correlation_id: c.get("correlationId") });
  }
}

async function newKey(tenant: string, name: string, role: Role): Promise<{ record: KeyRecord; key: string }> {
  const { id, key } = makeApiKey(role);
  const hash = toHex(await sha256(key));
  const record = { id, tenant, name, role, hash, created_at: Date.now(), last_used_at: null, revoked_at: null };
  return { record, key };
}

async function readObject(c: AppContext): Promise<Record<string, unknown>> {
  const body = await readJson(c);
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new ApiError("bad_request", "The body must be a JSON object.");
  }
  return Object.fromEntries(Object.entries(body));
}

function readName(body: Record<string, unknown>): string {
  const name = typeof body["name"] === "string" ? body["name"].trim() : "";
  if (name.length > 0 && name.length <= MAX_NAME_LENGTH) return name;
  throw badField("name", `must be a text of 1 to ${MAX_NAME_LENGTH} characters`);
}

function readRole(body: Record<string, unknown>): Role {
  if (isRole(body["role"])) return body["role"];
  throw badField("role", "must be ingest, viewer, editor or admin");
}

function readTenantId(body: Record<string, unknown>): string {
  const id = body["id"];
  if (typeof id === "string" && TENANT_ID.test(id)) return id;
  throw badField("id", "must be 1 to 40 lower-case letters, digits and dashes, not starting with a dash");
}

function badField(field: string, reason: string): ApiError {
  return new ApiError("bad_request", `${field} ${reason}.`, { field, reason });
}

function keyJson(key: KeyRecord): Record<string, string | null> {
  return {
    id: key.id,
    name: key.name,
    role: key.role,
    created_at: rfc3339(key.created_at),
    last_used_at: rfc3339OrNull(key.last_used_at),
  };
}

function tenantJson(tenant: TenantRecord): { id: string; name: string; created_at: string } {
  return { id: tenant.id, name: tenant.name, created_at: rfc3339(tenant.created_at) };
}
