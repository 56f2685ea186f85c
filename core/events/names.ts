/** A tenant id: lower-case letters, digits and dashes, 1–40 characters. Nothing else ever reaches an object's name. */
export const TENANT_ID = /^[a-z0-9][a-z0-9-]{0,39}$/;

function named(tenant: string, kind: string): string {
  if (!TENANT_ID.test(tenant)) throw new RangeError(`not a tenant id: ${JSON.stringify(tenant.slice(0, 64))}`);
  return `t:${tenant}:${kind}`;
}

/** Name of the object that holds one shard of a tenant's windows. @param shard 0 is home */
export const aggregatorName = (tenant: string, shard: number): string => named(tenant, `windows:${shard}`);
export const alertManagerName = (tenant: string): string => named(tenant, "alerts");
export const liveHubName = (tenant: string): string => named(tenant, "live");
export const rateControllerName = (tenant: string): string => named(tenant, "rate");

/** The number in a name made by `aggregatorName`. @throws RangeError when it is not such a name */
export function shardOf(objectName: string | undefined): number {
  const shard = /^t:[a-z0-9-]+:windows:(\d{1,2})$/.exec(objectName ?? "")?.[1];
  if (shard === undefined) throw new RangeError(`not an aggregator: ${objectName ?? "(unnamed)"}`);
  return Number(shard);
}

/** The tenant in a name made by the functions above. @throws RangeError when it is not such a name */
export function tenantOf(objectName: string | undefined): string {
  const tenant = /^t:([a-z0-9][a-z0-9-]{0,39}):/.exec(objectName ?? "")?.[1];
  if (tenant === undefined) throw new RangeError(`not an object of a tenant: ${objectName ?? "(unnamed)"}`);
  return tenant;
}
