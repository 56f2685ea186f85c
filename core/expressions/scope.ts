import { parseDuration } from "../windows/duration.ts";
import { CompileError } from "./position.ts";

/**
 * A name that an expression can read from, and how far its static paths reach: `group['data.status'].x` is the path
 * ["group", "data.status"] and a lookup of "x" in its value.
 */
export interface Root {
  readonly path: readonly string[];
  /** Names that belong to the path after the root. */
  readonly least: number;
  readonly most: number;
  /** The only names that may come first; undefined when any may. */
  readonly names: readonly string[] | undefined;
}

/** The roots of one kind of expression. */
export interface Scope {
  /** @returns undefined when `name` is no root */
  root(name: string): Root | undefined;
  /** The root `at('7d')`. @returns undefined when the scope has none; @throws CompileError at `offset` on a bad duration */
  at(duration: string, offset: number): Root | undefined;
  /** Completes "unknown name 'x': …". */
  readonly available: string;
}

const EVENT: Root = { path: [], least: 0, most: Number.POSITIVE_INFINITY, names: undefined };

/** Expressions over one event. */
export const eventScope: Scope = {
  root: (name) => (name === "event" ? EVENT : undefined),
  at: () => undefined,
  available: "only event is known here, as in event.type or event.data.status",
};

/** Names that a rule expression has beside the measures. */
export const RULE_NAMES: readonly string[] = ["threshold", "group", "window", "previous", "at"];

/** Conditions of a rule, over the measures of its aggregation. */
export function ruleScope(measures: readonly string[]): Scope {
  const roots = new Map<string, Root>(measures.map((name) => [name, rootOf([name], undefined, 0)]));
  roots.set("threshold", rootOf(["threshold"], undefined, 0));
  roots.set("group", rootOf(["group"], undefined, 1));
  roots.set("window", rootOf(["window"], ["start", "end"], 1));
  roots.set("previous", rootOf(["previous"], measures, 1));
  return {
    root: (name) => roots.get(name),
    at(duration, offset) {
      const ms = parseDuration(duration);
      if (ms === null || ms === 0) throw new CompileError(offset, `'${duration}' is no duration like 5m, 1h or 7d`);
      return rootOf([`at:${duration}`], measures, 1);
    },
    available: `known are ${[...measures, ...RULE_NAMES.filter((name) => name !== "at"), "at('7d')"].join(", ")}`,
  };
}

function rootOf(path: readonly string[], names: readonly string[] | undefined, depth: number): Root {
  return { path, names, least: depth, most: depth };
}
