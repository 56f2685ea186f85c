import { rfc3339, rfc3339OrNull } from "../events/rfc3339.ts";
import type { MuteReason } from "./dispatch/mutes.ts";
import type { Group, Values, WindowTime } from "./group.ts";
import type { Instance } from "./instance.ts";
import type { Level } from "./level.ts";
import type { RuleSpec } from "./rule.ts";

export const ALERT_STATUSES = ["pending", "firing", "acknowledged", "resolved", "suppressed"] as const;
export type AlertStatus = (typeof ALERT_STATUSES)[number];

/**
 * Why an alert ended: the condition no longer held, its group had no data any more, its group has data again, somebody
 * resolved it, or its rule was changed, disabled or deleted.
 */
export type EndReason =
  | "condition"
  | "no_data"
  | "returned"
  | "manual"
  | "rule_changed"
  | "rule_disabled"
  | "rule_deleted";

/** An alert as it is kept. Times are epoch ms of our clock; `window` is event time. */
export interface AlertRecord {
  readonly id: string;
  readonly ruleId: string;
  readonly ruleName: string;
  /** Its group has no data; absent when its condition holds. */
  readonly kind?: "no_data" | undefined;
  readonly level: Level;
  readonly status: AlertStatus;
  readonly group: Group;
  /** The newest window in which the condition held, and what it held for. */
  readonly window: WindowTime;
  readonly values: Values;
  readonly startedAt: number;
  readonly firedAt: number | null;
  readonly acknowledgedAt: number | null;
  readonly acknowledgedBy: string | null;
  readonly resolvedAt: number | null;
  readonly endReason: EndReason | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Ids of the channels that hear of it: those of the rule when the alert opened, so that who heard it fire hears it end. */
  readonly channels: readonly string[];
  readonly message: string;
  /** What keeps it quiet; absent or empty: nothing. */
  readonly mutedBy?: readonly MuteReason[];
  /** When it was first told of, epoch ms. */
  readonly toldAt?: number | null;
  /** Key of the bundle it is told in; absent while it has not fired. */
  readonly bundle?: string;
  /** By which its messages go: its own id, or its bundle's. */
  readonly thread?: string;
  /** Who else is told, one after the other, unless somebody takes it; null when its rule escalates nothing. */
  readonly escalation?: Escalation | null;
  /** It made its group flap. */
  readonly isFlapping?: boolean;
  /** When it must be looked at again though nothing happens, epoch ms; null: never. */
  readonly nextAt?: number | null;
}

/** Where an alert stands in its chain of channels. */
export interface Escalation {
  readonly channels: readonly string[];
  readonly everyMs: number;
  /** Channels told so far. */
  readonly step: number;
  /** When the next one is told, epoch ms; null: before it was told at all, once it is taken, and at the chain's end. */
  readonly at: number | null;
}

/** An alert as the API, the live topic and webhooks show it: times RFC 3339. */
export type AlertJson = {
  readonly id: string;
  readonly rule: { readonly id: string; readonly name: string };
  /** `no_data` tells of a group that was seen and went quiet. */
  readonly kind: "condition" | "no_data";
  readonly level: Level;
  readonly status: AlertStatus;
  readonly group: Group;
  readonly values: Values;
  readonly window: { readonly start: string; readonly end: string };
  readonly started_at: string;
  readonly fired_at: string | null;
  readonly resolved_at: string | null;
  readonly reason: EndReason | null;
  readonly acknowledged_by: string | null;
  /** Why it is kept quiet: `silence:<id>`, `inhibited:<alert id>`, `mute_time`, `suppression`, `flapping`. */
  readonly muted_by: readonly MuteReason[];
  readonly notified_at: string | null;
  /** Channels of its chain told so far. */
  readonly escalation_step: number;
  readonly flapping: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly message: string;
};

/** One line for people: `Too many 404s: requests = 213 for data.status = 404 (requests > threshold, threshold 100)`. */
export function alertMessage(
  rule: RuleSpec,
  { kind, group, values }: Pick<Instance, "kind" | "group" | "values">,
): string {
  const seen = pairs(values);
  const where = pairs(group);
  if (kind === "no_data") return `${rule.name}: no data${where === "" ? "" : ` for ${where}`}`;
  const threshold = rule.threshold === undefined ? "" : `, threshold ${rule.threshold}`;
  const what = `${seen === "" ? "condition met" : seen}${where === "" ? "" : ` for ${where}`}`;
  return `${rule.name}: ${what} (${rule.condition}${threshold})`;
}

function pairs(map: Group | Values): string {
  const texts = Object.entries(map).map(
    ([name, value]) => `${name} = ${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return texts.join(", ");
}

/** @param instance the open alert's live state, which is newer than the record; undefined when it is resolved */
export function alertJson(record: AlertRecord, instance?: Instance): AlertJson {
  const window = instance?.window ?? record.window;
  return {
    id: record.id,
    rule: { id: record.ruleId, name: record.ruleName },
    kind: record.kind ?? "condition",
    level: record.level,
    status: record.status,
    group: record.group,
    values: instance?.values ?? record.values,
    window: { start: rfc3339(window.start), end: rfc3339(window.end) },
    started_at: rfc3339(record.startedAt),
    fired_at: rfc3339OrNull(record.firedAt),
    resolved_at: rfc3339OrNull(record.resolvedAt),
    reason: record.endReason,
    acknowledged_by: record.acknowledgedBy,
    muted_by: record.mutedBy ?? [],
    notified_at: rfc3339OrNull(record.toldAt ?? null),
    escalation_step: record.escalation?.step ?? 0,
    flapping: record.isFlapping ?? false,
    labels: record.labels,
    annotations: record.annotations,
    message: record.message,
  };
}
