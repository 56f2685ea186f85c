/** A tenant id: lower-case letters, digits and dashes, 1–40 characters. Nothing else ever reaches an object's name. */
export const TENANT_ID = /^[a-z0-9][a-z0-9-]{0,39}$/;

function named(tenant: string, kind: string): string {
  if (!TENANT_ID.test(tenant)) throw new RangeError(`not a tenant id: ${JSON.stringify(tenant.slice(0, 64))}`);
  return `t:${tenant}:${kind}`;
}

/** Name of the object that holds one shard of a tenant's windows. @param shard 0 is home */
export const aggregatorName = (tenant: string, shard: number): string => named(tenant, `windows:${shard}`);
/** Name of the object with a tenant's rules, channels and alerts. */
export const alertManagerName = (tenant: string): string => named(tenant, "alerts");
/** Name of the object that a tenant's live topics come from. */
export const liveHubName = (tenant: string): string => named(tenant, "live");
/** Name of the object that holds some keys of a tenant's patterns. @param keeper 0 … KEEPERS − 1 */
export const patternKeeperName = (tenant: string, keeper: number): string => named(tenant, `patterns:${keeper}`);
/** An object that holds more of a tenant's live sockets, fed by the one above. @param node from 1 */
export const liveNodeName = (tenant: string, node: number): string => named(tenant, `live:${node}`);
/** Name of the object that admits a tenant's events. */
export const rateControllerName = (tenant: string): string => named(tenant, "rate");
/** Name of the one object that divides what all tenants share. No tenant's object begins like it. */
export const CAPACITY_CONTROLLER_NAME = "platform:capacity";

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

/** The number in a name made by `liveNodeName`; 0 for any other name. */
export function liveNodeOf(objectName: string | undefined): number {
  return Number(/:live:([1-9][0-9]{0,3})$/.exec(objectName ?? "")?.[1] ?? 0);
}
