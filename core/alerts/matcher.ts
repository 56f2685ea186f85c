// Which alerts a silence or an inhibition is about.
//
// Rule: a matcher compares one name of an alert with a text; an alert matches when all matchers do. What an alert does not
// have is the empty text, and a regular expression must match the whole text: both as in Alertmanager (pkg/labels/matcher.go).
// Regular expressions are RE2 (core/expressions/pattern.ts), for a pattern is a user's and must not hang the tenant's alerts.
import { z } from "zod";
import { compilePattern } from "../expressions/pattern.ts";
import type { Pattern } from "../expressions/pattern.ts";
import { CompileError } from "../expressions/position.ts";
import { groupKey } from "./group.ts";
import type { Group } from "./group.ts";
import { MAX_MATCHERS } from "./limits.ts";

export const OPERATORS = ["=", "!=", "=~", "!~"] as const;
export type Operator = (typeof OPERATORS)[number];

/** One comparison. `name` is `rule`, `rule_id`, `level`, a label or a path of the group. */
export interface Matcher {
  readonly name: string;
  readonly op: Operator;
  readonly value: string;
}

/** What matchers see of an alert. */
export interface Matchable {
  readonly ruleId: string;
  readonly ruleName: string;
  readonly level: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly group: Group;
}

// Of a trimmed text: with blanks at its end, two runs of `\s*` would meet, and a text of nothing else take quadratic time.
const WRITTEN = /^([^\s=!~"]+)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|((?![=~])[^\s"]*))$/;

/** Reads `data.host=~"web-.*"`; the quotes may be left out around a word. @returns null when the text is no matcher */
export function parseMatcher(text: string): Matcher | null {
  const match = WRITTEN.exec(text.trim());
  const [, name, sign, quoted, bare] = match ?? [];
  const op = OPERATORS.find((known) => known === sign);
  if (name === undefined || op === undefined) return null;
  return { name, op, value: quoted === undefined ? (bare ?? "") : quoted.replaceAll(/\\(.)/g, "$1") };
}

const matcherSchema = z
  .preprocess(
    (value) => (typeof value === "string" ? (parseMatcher(value) ?? value) : value),
    z.strictObject(
      {
        name: z.string().min(1).max(256),
        op: z.enum(OPERATORS).default("="),
        value: z.string().max(1_000),
      },
      { error: 'must be like data.host="web-1" with =, !=, =~ or !~, or {name, op, value}' },
    ),
  )
  .superRefine((matcher, context) => {
    const problem = patternProblem(matcher);
    if (problem !== null) context.addIssue({ code: "custom", message: problem });
  });

/** Texts or objects; at least one, and one that does not match what is absent, or a slip would concern every alert. */
export const matchersSchema = z
  .array(matcherSchema)
  .min(1)
  .max(MAX_MATCHERS)
  .refine(
    (matchers) =>
      matchers.length === 0 ||
      matchers.some((matcher) => patternProblem(matcher) !== null || !holds(compiled(matcher), "")),
    {
      message: "at least one must not match an empty text, or they would match everything",
    },
  );

function patternProblem({ op, value }: Matcher): string | null {
  if (op === "=" || op === "!=") return null;
  try {
    compilePattern(anchored(value), 0);
    return null;
  } catch (error) {
    if (error instanceof CompileError) return error.message;
    throw error;
  }
}

interface CompiledMatcher extends Matcher {
  readonly pattern: Pattern | null;
}

function compiled(matcher: Matcher): CompiledMatcher {
  const isText = matcher.op === "=" || matcher.op === "!=";
  return { ...matcher, pattern: isText ? null : compilePattern(anchored(matcher.value), 0) };
}

function anchored(source: string): string {
  return `^(?s:${source})$`;
}

function holds({ op, value, pattern }: CompiledMatcher, text: string): boolean {
  const isMatch = pattern === null ? text === value : pattern.test(text);
  return isMatch === (op === "=" || op === "=~");
}

/** Makes matchers ready to be asked. @throws CompileError when a pattern is bad, which `matchersSchema` rules out */
export function compileMatchers(matchers: readonly Matcher[]): (alert: Matchable) => boolean {
  const all = matchers.map(compiled);
  return (alert) => all.every((matcher) => holds(matcher, textOf(alert, matcher.name)));
}

/** What an alert has under a name; empty when it has nothing. The rule's own names come first, then labels, then the group. */
export function textOf({ ruleId, ruleName, level, labels, group }: Matchable, name: string): string {
  if (name === "rule") return ruleName;
  if (name === "rule_id") return ruleId;
  if (name === "level") return level;
  if (Object.hasOwn(labels, name)) return labels[name] ?? "";
  const value = Object.hasOwn(group, name) ? group[name] : undefined;
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The alert's texts under some names, as one text that two alerts share only when they agree in all of them. */
export function agreementOf(alert: Matchable, names: readonly string[]): string {
  return groupKey(Object.fromEntries(names.map((name) => [name, textOf(alert, name)])));
}
