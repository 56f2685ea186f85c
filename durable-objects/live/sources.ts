import type { Topic, TopicSnapshot } from "../../core/live/protocol.ts";
import { activeKeyIds, hasAdminKey } from "../../storage/d1/keys.ts";
import { alertManager } from "../alerts/remote.ts";
import { windowAggregator } from "../remote.ts";

/** What the hub asks of the rest of the platform. */
export interface LiveSources {
  /** A topic's state now; null when there is no such topic. */
  snapshot(topic: Topic): Promise<TopicSnapshot | null>;
  /** Says which topics are followed, so that only these are reported, until `untilMs`. */
  watch(topics: readonly Topic[], untilMs: number): Promise<void>;
  /** Which of these keys are still good. */
  activeKeys(keyIds: readonly string[]): Promise<ReadonlySet<string>>;
}

/** The tenant's own objects, and the table of keys. Alerts are published whether followed or not: they are few. */
export function liveSources(env: Env, tenant: string): LiveSources {
  return {
    snapshot: async (topic) => {
      if (topic === "alerts") return await alertManager(env, tenant).snapshot();
      return await windowAggregator(env, tenant).snapshot(topic);
    },
    watch: async (topics, untilMs) => {
      const watched = topics.filter((topic) => topic !== "alerts");
      await windowAggregator(env, tenant).watch({ topics: watched, untilMs });
    },
    activeKeys: async (keyIds) => {
      const active = new Set(await activeKeyIds(env.DB, tenant, keyIds));
      if (keyIds.includes(BOOTSTRAP_KEY_ID) && (await isBootstrapEnabled(env, tenant))) active.add(BOOTSTRAP_KEY_ID);
      return active;
    },
  };
}

/** The id that sockets opened with ADMIN_KEY carry; it has no row. */
const BOOTSTRAP_KEY_ID = "admin";

async function isBootstrapEnabled(env: Env, tenant: string): Promise<boolean> {
  return env.STREAMFLOW_MODE === "local" || !(await hasAdminKey(env.DB, tenant));
}
