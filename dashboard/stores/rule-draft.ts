import { list, text, type Fields } from "../live/decode.ts";
import type { RuleView } from "./rules.ts";

/** A rule while it is being written: every field as the text that stands in the form. */
export interface RuleDraft {
  readonly name: string;
  readonly description: string;
  readonly aggregation: string;
  readonly condition: string;
  readonly resolveCondition: string;
  readonly threshold: string;
  readonly for: string;
  readonly keepFiringFor: string;
  readonly level: string;
  readonly channels: readonly string[];
  readonly groupBy: string;
  readonly suppressionMinutes: string;
  readonly escalationMinutes: string;
  readonly escalationChannels: readonly string[];
  readonly isEnabled: boolean;
  /** Fields that the form does not show; they are sent back as they came. */
  readonly rest: Fields;
}

/** Fields of a rule that the form shows with what is wrong with them; `enabled` is a box that cannot be. */
export const FORM_FIELDS: readonly string[] = [
  "name",
  "description",
  "aggregation",
  "condition",
  "resolve_condition",
  "threshold",
  "for",
  "keep_firing_for",
  "level",
  "channels",
  "group_by",
  "suppression_minutes",
  "escalation_minutes",
  "escalation_channels",
];

const SHOWN = new Set([...FORM_FIELDS, "enabled"]);

/** The form's first state: that of a rule, or of a new one. */
export function draftOf(rule: RuleView | null, aggregation: string): RuleDraft {
  const body = rule?.body ?? {};
  const shown = (name: string, otherwise = ""): string => written(body[name]) || otherwise;
  return {
    name: shown("name"),
    description: shown("description"),
    aggregation: shown("aggregation", aggregation),
    condition: shown("condition", "count > threshold"),
    resolveCondition: shown("resolve_condition"),
    threshold: rule === null ? "100" : shown("threshold"),
    for: shown("for"),
    keepFiringFor: shown("keep_firing_for"),
    level: shown("level", "warning"),
    channels: texts(body["channels"]),
    groupBy: texts(body["group_by"]).join(", "),
    suppressionMinutes: shown("suppression_minutes"),
    escalationMinutes: shown("escalation_minutes"),
    escalationChannels: texts(body["escalation_channels"]),
    isEnabled: rule?.isEnabled ?? true,
    rest: Object.fromEntries(Object.entries(body).filter(([name]) => !SHOWN.has(name))),
  };
}

/** What to send: empty fields are left out, so that the server's defaults hold. */
export function bodyOf(draft: RuleDraft): Fields {
  const groupBy = draft.groupBy.split(/[\s,]+/).filter((path) => path !== "");
  const optional: Fields = {
    description: draft.description.trim(),
    resolve_condition: draft.resolveCondition.trim(),
    threshold: numeric(draft.threshold),
    for: draft.for.trim(),
    keep_firing_for: draft.keepFiringFor.trim(),
    suppression_minutes: numeric(draft.suppressionMinutes),
    escalation_minutes: numeric(draft.escalationMinutes),
    escalation_channels: draft.escalationChannels,
    group_by: groupBy,
  };
  return {
    ...draft.rest,
    name: draft.name.trim(),
    aggregation: draft.aggregation,
    condition: draft.condition.trim(),
    level: draft.level,
    channels: draft.channels,
    enabled: draft.isEnabled,
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => !isEmpty(value))),
  };
}

/** A number where it is one; otherwise the text, so that the server can say what is wrong with it. */
function numeric(text: string): number | string {
  const trimmed = text.trim();
  return trimmed === "" || Number.isNaN(Number(trimmed)) ? trimmed : Number(trimmed);
}

function isEmpty(value: unknown): boolean {
  return value === "" || (Array.isArray(value) && value.length === 0);
}

function written(value: unknown): string {
  return typeof value === "number" ? String(value) : text(value);
}

function texts(value: unknown): string[] {
  return list(value, (item) => text(item) || null);
}
