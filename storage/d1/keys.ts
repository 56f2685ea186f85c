/** One row of `api_keys`. Times are epoch ms. */
export interface KeyRecord {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly role: string;
  /** Hex SHA-256 of the whole key as shown once to its owner. */
  readonly hash: string;
  readonly created_at: number;
  readonly last_used_at: number | null;
  readonly revoked_at: number | null;
}

/** One row of `tenants`. */
export interface TenantRecord {
  readonly id: string;
  readonly name: string;
  /** Epoch ms. */
  readonly created_at: number;
}

const KEY_COLUMNS = "id, tenant, name, role, hash, created_at, last_used_at, revoked_at";

/** The key of this id, revoked or not; null when there is none. The only lookup that is not given a tenant: it finds it. */
export async function findKey(db: D1Database, id: string): Promise<KeyRecord | null> {
  return await db.prepare(`select ${KEY_COLUMNS} from api_keys where id = ?`).bind(id).first<KeyRecord>();
}

/** The tenant's keys that are not revoked, oldest first. */
export async function listKeys(db: D1Database, tenant: string): Promise<KeyRecord[]> {
  const sql = `select ${KEY_COLUMNS} from api_keys where tenant = ? and revoked_at is null order by created_at, id`;
  return (await db.prepare(sql).bind(tenant).all<KeyRecord>()).results;
}

/** Adds a key unless the tenant already has `maxKeys` unrevoked ones, in one statement so that two requests cannot pass together. @returns whether it was added */
export async function insertKey(db: D1Database, key: KeyRecord, maxKeys: number): Promise<boolean> {
  const sql =
    "insert into api_keys (id, tenant, name, role, hash, created_at) select ?1, ?2, ?3, ?4, ?5, ?6 " +
    "where (select count(*) from api_keys where tenant = ?2 and revoked_at is null) < ?7";
  const result = await db
    .prepare(sql)
    .bind(key.id, key.tenant, key.name, key.role, key.hash, key.created_at, maxKeys)
    .run();
  return result.meta.changes > 0;
}

/**
 * Revokes one of the tenant's keys, but not its last admin key unless `canBeLast`: nobody could make another.
 * @returns `not_found` when the tenant has no such unrevoked key
 */
export async function revokeKey(
  db: D1Database,
  { tenant, id, nowMs, canBeLast }: { tenant: string; id: string; nowMs: number; canBeLast: boolean },
): Promise<"revoked" | "not_found" | "last_admin"> {
  const sql =
    "update api_keys set revoked_at = ?1 where tenant = ?2 and id = ?3 and revoked_at is null and (?4 or role <> 'admin' " +
    "or exists (select 1 from api_keys where tenant = ?2 and id <> ?3 and role = 'admin' and revoked_at is null))";
  const { meta } = await db
    .prepare(sql)
    .bind(nowMs, tenant, id, canBeLast ? 1 : 0)
    .run();
  if (meta.changes > 0) return "revoked";
  return (await activeKeyIds(db, tenant, [id])).has(id) ? "last_admin" : "not_found";
}

/** Notes that a key was used; callers keep it rare, because it is a row written. */
export async function touchKey(db: D1Database, id: string, nowMs: number): Promise<void> {
  await db.prepare("update api_keys set last_used_at = ? where id = ?").bind(nowMs, id).run();
}

/** Whether the tenant has an unrevoked admin key. */
export async function hasAdminKey(db: D1Database, tenant: string): Promise<boolean> {
  const sql = "select 1 from api_keys where tenant = ? and role = 'admin' and revoked_at is null limit 1";
  return (await db.prepare(sql).bind(tenant).first()) !== null;
}

/** Which of these ids are unrevoked keys of the tenant. */
export async function activeKeyIds(
  db: D1Database,
  tenant: string,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const sql =
    "select id from api_keys where tenant = ? and revoked_at is null and id in (select value from json_each(?))";
  const { results } = await db.prepare(sql).bind(tenant, JSON.stringify(ids)).all<{ id: string }>();
  return new Set(results.map((row) => row.id));
}

/** Every tenant, by id. */
export async function listTenants(db: D1Database): Promise<TenantRecord[]> {
  return (await db.prepare("select id, name, created_at from tenants order by id").all<TenantRecord>()).results;
}

/** Whether there is such a tenant, beside the operator's own. */
export async function tenantExists(db: D1Database, id: string): Promise<boolean> {
  const row = await db.prepare("select 1 from tenants where id = ?").bind(id).first();
  return row !== null;
}

/** Adds a tenant and its first admin key together. @returns false, adding nothing, when the id is taken */
export async function insertTenant(db: D1Database, tenant: TenantRecord, adminKey: KeyRecord): Promise<boolean> {
  const insertTenantSql = "insert into tenants (id, name, created_at) values (?, ?, ?) on conflict (id) do nothing";
  // Key rows are never deleted, so a tenant without one was made by the statement before, in this transaction.
  const insertKeySql =
    "insert into api_keys (id, tenant, name, role, hash, created_at) select ?1, ?2, ?3, ?4, ?5, ?6 " +
    "where not exists (select 1 from api_keys where tenant = ?2)";
  const [added] = await db.batch([
    db.prepare(insertTenantSql).bind(tenant.id, tenant.name, tenant.created_at),
    db
      .prepare(insertKeySql)
      .bind(adminKey.id, adminKey.tenant, adminKey.name, adminKey.role, adminKey.hash, adminKey.created_at),
  ]);
  return (added?.meta.changes ?? 0) > 0;
}
