import { alertManagerName } from "../../core/events/names.ts";
import type { AlertManager } from "../alert-manager.ts";
import type { Remote } from "../remote.ts";

/** The object that holds a tenant's rules, channels and alerts. */
export function alertManager(env: Env, tenant: string): Remote<AlertManager> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as in ../remote.ts: the stub's own type gives up on recursive JSON
  return env.ALERT_MANAGER.getByName(alertManagerName(tenant)) as unknown as Remote<AlertManager>;
}
