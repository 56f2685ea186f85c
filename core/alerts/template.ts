// Placeholders in annotations: `{{ values.requests }} requests for {{ group.data.status }}`.
//
// Problem: a text for people wants the values of the alert at hand, and values come from anyone who sends events.
// Rule: a placeholder is a name, nothing more: no expressions, no functions, no loops, so nothing can run or never end. It is replaced
// once, so that a value that looks like a placeholder stays as it is. What is not there reads `–`. Each channel escapes the
// finished text in its own way, as it does with every text that it is given.
import { rfc3339 } from "../events/rfc3339.ts";
import type { Group, Values, WindowTime } from "./group.ts";

const PLACEHOLDER = /\{\{\s*([^{}]*?)\s*\}\}/g;
/** A finished annotation is cut here: a group's value may be long. UTF-16 units. */
export const MAX_RENDERED_CHARS = 4_000;
const MISSING = "–";

/** What placeholders may name. */
export interface TemplateNames {
  readonly measures: readonly string[];
  /** Paths of the aggregation's `group_by`. */
  readonly paths: readonly string[];
  readonly labels: readonly string[];
}

/** What they stand for. */
export interface TemplateValues {
  readonly rule: string;
  readonly level: string;
  readonly threshold: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly group: Group;
  readonly values: Values;
  readonly window: WindowTime;
}

/** The first placeholder that names nothing, with what there is to name; null when all do. */
export function unknownPlaceholder(text: string, { measures, paths, labels }: TemplateNames): string | null {
  const known = [
    "rule",
    "level",
    "threshold",
    "window.start",
    "window.end",
    ...measures.map((name) => `values.${name}`),
    ...paths.map((path) => `group.${path}`),
    ...labels.map((name) => `labels.${name}`),
  ];
  for (const [written, name = ""] of text.matchAll(PLACEHOLDER)) {
    if (!known.includes(name)) return `${written} names nothing: known are ${known.join(", ")}`;
  }
  return null;
}

/** Replaces placeholders by what they stand for. */
export function rendered(text: string, values: TemplateValues): string {
  if (!text.includes("{{")) return text;
  const whole = text.replaceAll(PLACEHOLDER, (_, name: string) => shown(valueOf(name, values)));
  return whole.length <= MAX_RENDERED_CHARS ? whole : `${whole.slice(0, MAX_RENDERED_CHARS - 1)}…`.toWellFormed();
}

function valueOf(name: string, { rule, level, threshold, labels, group, values, window }: TemplateValues): unknown {
  if (name === "rule") return rule;
  if (name === "level") return level;
  if (name === "threshold") return threshold;
  const dot = name.indexOf(".");
  const rest = name.slice(dot + 1);
  switch (name.slice(0, dot)) {
    case "values":
      return own(values, rest);
    case "group":
      return own(group, rest);
    case "labels":
      return own(labels, rest);
    case "window":
      return rfc3339(rest === "start" ? window.start : window.end);
    default:
      return undefined;
  }
}

function own(map: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(map, name) ? map[name] : undefined;
}

/** Numbers with six digits that count, whole ones whole. */
function shown(value: unknown): string {
  if (value === undefined || value === null) return MISSING;
  if (typeof value === "string") return value;
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  return JSON.stringify(value);
}
