import { waitUntil } from "cloudflare:workers";
import type { MiddlewareHandler } from "hono";
import { findKey, hasAdminKey, touchKey } from "../../storage/d1/keys.ts";
import type { KeyRecord } from "../../storage/d1/keys.ts";
import { ApiError } from "../http.ts";
import type { AppEnv, Principal, Role } from "../http.ts";
import { apiKeyId, digestEquals, sha256 } from "./api-key.ts";
import { verifyToken } from "./jwt.ts";
import { KeyCache } from "./key-cache.ts";
import { isRole, roleAllows } from "./roles.ts";

/** The operator's own tenant. */
export const DEFAULT_TENANT = "default";
/** The key id of whoever presents ADMIN_KEY. */
export const ADMIN_KEY_ID = "admin";
/** Longer credentials than any of ours are refused unread. */
const MAX_CREDENTIAL_LENGTH = 2_048;
/** In production a shorter ADMIN_KEY is as good as none: it can be guessed. */
const MIN_PRODUCTION_ADMIN_KEY_LENGTH = 32;
/** `last_used_at` is written at most this often per key: it is a row written. */
const TOUCH_EVERY_MS = 60 * 60_000;

/** Who a request comes from and by what kind of credential. */
export interface Identity {
  readonly principal: Principal;
  readonly by: "key" | "token";
}

const keys = new KeyCache();

/** Makes this isolate look a key up again; other isolates follow within KEY_CACHE_MS. */
export function forgetKey(id: string): void {
  keys.forget(id);
}

/**
 * Who sends this request, by its `Authorization: Bearer` header.
 *
 * @throws ApiError `unauthorized` when the header is missing, malformed, unknown, revoked or expired: always the same answer
 */
export async function authenticate(request: Request, env: Env, nowMs = Date.now()): Promise<Principal> {
  return (await identify(request, env, nowMs)).principal;
}

/** As `authenticate`, and tells a key from a token. @throws ApiError `unauthorized` */
export async function identify(request: Request, env: Env, nowMs = Date.now()): Promise<Identity> {
  const credential = bearer(request);
  if (credential === null) throw new ApiError("unauthorized", "A Bearer credential is needed.");
  const identity = await recognise(credential, env, nowMs);
  if (identity === null) throw new ApiError("unauthorized", "The credential is not valid.");
  return identity;
}

/** Middleware: only for principals that may act as `role`; sets `c.var.principal`. @throws ApiError `unauthorized` or `forbidden` */
export function requireRole(role: Role): MiddlewareHandler<AppEnv> {
  return async function requireRoleMiddleware(c, next) {
    const principal = await authenticate(c.req.raw, c.env);
    c.set("principal", principal);
    if (!roleAllows(principal.role, role)) {
      throw new ApiError("forbidden", `This needs the role ${role}; the credential has ${principal.role}.`, {
        needed: role,
        held: principal.role,
      });
    }
    await next();
  };
}

/** The principal of a key that authenticated before; null when the key is no longer good. Uses the same cache as requests. */
export async function findPrincipal(
  env: Env,
  tenant: string,
  keyId: string,
  nowMs = Date.now(),
): Promise<Principal | null> {
  if (keyId === ADMIN_KEY_ID) {
    if (tenant !== DEFAULT_TENANT || !(await isAdminKeyEnabled(env))) return null;
    return { tenant, role: "admin", keyId };
  }
  const record = await activeKey(env, keyId, nowMs);
  return record === null || record.tenant !== tenant ? null : principalOf(record);
}

function bearer(request: Request): string | null {
  const header = request.headers.get("Authorization");
  if (header === null || header.length > MAX_CREDENTIAL_LENGTH) return null;
  return /^Bearer +(\S+) *$/i.exec(header)?.[1] ?? null;
}

async function recognise(credential: string, env: Env, nowMs: number): Promise<Identity | null> {
  const digest = await sha256(credential);
  if (await isAdminKey(digest, env)) {
    return { principal: { tenant: DEFAULT_TENANT, role: "admin", keyId: ADMIN_KEY_ID }, by: "key" };
  }
  const id = apiKeyId(credential);
  if (id === null) return await recogniseToken(credential, env, nowMs);
  const record = await activeKey(env, id, nowMs);
  if (record === null || !digestEquals(digest, record.hash)) return null;
  touchSometimes(env, record, nowMs);
  const principal = principalOf(record);
  return principal === null ? null : { principal, by: "key" };
}

/** A token is only as good as its key: role and tenant are read from the key's row, which also makes revocation work. */
async function recogniseToken(token: string, env: Env, nowMs: number): Promise<Identity | null> {
  const claims = await verifyToken(token, env.JWT_SECRET, nowMs);
  if (claims === null) return null;
  const principal = await findPrincipal(env, claims.tenant, claims.keyId, nowMs);
  return principal === null ? null : { principal, by: "token" };
}

async function activeKey(env: Env, id: string, nowMs: number): Promise<KeyRecord | null> {
  const record = await keys.find(id, (wanted) => findKey(env.DB, wanted), nowMs);
  return record === null || record.revoked_at !== null ? null : record;
}

function principalOf(record: KeyRecord): Principal | null {
  return isRole(record.role) ? { tenant: record.tenant, role: record.role, keyId: record.id } : null;
}

async function isAdminKey(digest: Uint8Array, env: Env): Promise<boolean> {
  if (!env.ADMIN_KEY) return false;
  const isSame = crypto.subtle.timingSafeEqual(digest, await sha256(env.ADMIN_KEY));
  return isSame && (await isAdminKeyEnabled(env));
}

/** Locally always; in production only until tenant `default` has a real admin key, so that the bootstrap secret cannot linger as a back door. */
async function isAdminKeyEnabled(env: Env): Promise<boolean> {
  if (!env.ADMIN_KEY) return false;
  if (env.STREAMFLOW_MODE === "local") return true;
  return env.ADMIN_KEY.length >= MIN_PRODUCTION_ADMIN_KEY_LENGTH && !(await hasAdminKey(env.DB, DEFAULT_TENANT));
}

function touchSometimes(env: Env, record: KeyRecord, nowMs: number): void {
  if (record.last_used_at !== null && nowMs - record.last_used_at < TOUCH_EVERY_MS) return;
  keys.noteUsed(record.id, nowMs);
  // A failure costs only a less exact "last used"; the request must not suffer for it.
  waitUntil(touchKey(env.DB, record.id, nowMs).catch(() => undefined));
}
