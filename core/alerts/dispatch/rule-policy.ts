import { durationMs } from "../../windows/duration.ts";
import { agreementOf, compileMatchers } from "../matcher.ts";
import type { Matchable } from "../matcher.ts";
import { MuteCalendar } from "../mute-times.ts";
import type { RuleSpec } from "../rule.ts";
import type { BundlePolicy } from "./bundle.ts";
import type { FlapPolicy } from "./track.ts";

const MINUTE_MS = 60_000;
/** Alertmanager's own default: a bundle with an interval of none would tell each change by itself. */
const DEFAULT_GROUP_INTERVAL_MS = 300_000;
const DEFAULT_GROUP_WAIT_MS = 30_000;

/** Alerts of other rules that make this rule's unimportant. */
export interface Inhibition {
  readonly matches: (source: Matchable) => boolean;
  /** A source counts for alerts that agree with it in this. */
  readonly agreement: (alert: Matchable) => string;
}

/** How the alerts of a rule are told of. Lengths in ms. */
export interface RulePolicy {
  readonly ruleId: string;
  /** Paths and labels; null: each alert by itself. */
  readonly groupBy: readonly string[] | null;
  readonly bundle: BundlePolicy;
  /** 0: none. */
  readonly suppressionMs: number;
  readonly flap: FlapPolicy | null;
  readonly escalation: { readonly everyMs: number; readonly channels: readonly string[] } | null;
  readonly calendar: MuteCalendar | null;
  readonly inhibitions: readonly Inhibition[];
}

/** How the alerts of a valid rule are told of. */
export function policyOf(ruleId: string, spec: RuleSpec): RulePolicy {
  const isBundled = spec.group_by !== undefined;
  return {
    ruleId,
    groupBy: spec.group_by ?? null,
    bundle: {
      waitMs: isBundled ? msOf(spec.group_wait, DEFAULT_GROUP_WAIT_MS) : 0,
      intervalMs: isBundled ? msOf(spec.group_interval, DEFAULT_GROUP_INTERVAL_MS) : 0,
      repeatMs: spec.repeat_interval === undefined ? null : durationMs(spec.repeat_interval),
      tellsEnds: spec.notify_resolved,
    },
    suppressionMs: (spec.suppression_minutes ?? 0) * MINUTE_MS,
    flap: spec.flapping === undefined ? null : { ...spec.flapping, withinMs: durationMs(spec.flapping.within) },
    escalation:
      spec.escalation_minutes === undefined
        ? null
        : { everyMs: spec.escalation_minutes * MINUTE_MS, channels: spec.escalation_channels ?? [] },
    calendar: spec.mute_times === undefined || spec.mute_times.length === 0 ? null : new MuteCalendar(spec.mute_times),
    inhibitions: (spec.inhibited_by ?? []).map(({ matchers, equal }) => ({
      matches: compileMatchers(matchers),
      agreement: (alert) => agreementOf(alert, equal),
    })),
  };
}

function msOf(text: string | undefined, otherwise: number): number {
  return text === undefined ? otherwise : durationMs(text);
}
