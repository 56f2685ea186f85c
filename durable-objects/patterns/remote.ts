import { patternKeeperName } from "../../core/events/names.ts";
import type { MatchEvent } from "../../core/patterns/match-event.ts";
import type { PatternKeeper } from "../pattern-keeper.ts";
import type { Remote } from "../remote.ts";
import type { SentAnswer } from "./match-sender.ts";

/** The way in for the platform's own events: the Worker's entrypoint of that name. */
export interface MatchGate {
  take(tenant: string, events: readonly MatchEvent[]): Promise<SentAnswer>;
}

/** One of a tenant's keepers. The platform's own stub type walks every result, and gives up on JSON's recursive type. */
export function patternKeeper(env: Env, tenant: string, keeper: number): Remote<PatternKeeper> {
  return env.PATTERN_KEEPER.getByName(patternKeeperName(tenant, keeper)) as unknown as Remote<PatternKeeper>;
}

/** Ingest, as the Worker that this object runs in exports it. */
export function matchGate(ctx: DurableObjectState): MatchGate {
  return ctx.exports.PlatformEvents as unknown as MatchGate;
}
