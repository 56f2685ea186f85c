// Whether a condition can only become truer while events are added to its window, so that it may fire before the close.
//
// Problem: `requests > 100` is decided the moment the 101st request comes; `errors / requests > 0.05` is not decided before the
// last one. Firing early on the second would page for what the whole window denies.
// Rule: each number is followed as rising, falling, constant or unknown while its window grows; comparisons, &&, || and !
// follow from that. What is not recognised is unknown, and an unknown condition waits for the close.
// Missing values do no harm: they are errors, an error is no pass, and a measure that has a value keeps one.
import type { MeasureName } from "../aggregates/measures.ts";
import { parse } from "../expressions/parse.ts";
import type { Node } from "../expressions/parse.ts";
import { CompileError } from "../expressions/position.ts";

/** How a value moves as events are added: numbers, and truth with false below true. */
type Trend = "rising" | "falling" | "constant" | "unknown";

/** A measure as far as its trend depends on it. */
export interface RisingMeasure {
  readonly fn: MeasureName;
  readonly field?: string | undefined;
  readonly filter?: string | undefined;
}

/** What a condition reads. */
export interface RisingMeans {
  readonly measures: Readonly<Record<string, RisingMeasure>>;
  readonly threshold: number | undefined;
  /** The aggregation's own filter. */
  readonly filter: string | undefined;
}

/** True when `condition`, once true in a window, stays true however many events are added to the window. */
export function canOnlyRise(condition: string, means: RisingMeans): boolean {
  const tree = parsed(condition);
  if (tree === null) return false;
  const trend = trendOf(tree, means);
  return trend === "rising" || trend === "constant";
}

function parsed(source: string): Node | null {
  try {
    return parse(source);
  } catch (error) {
    if (error instanceof CompileError) return null;
    throw error;
  }
}

function trendOf(node: Node, means: RisingMeans): Trend {
  switch (node.op) {
    case "value":
      return "constant";
    case "id":
      return trendOfName(node.args, means);
    case ".":
    case "[]":
      return isOwn(node) ? "constant" : "unknown";
    case "!_":
    case "-_":
      return opposite(trendOf(node.args, means));
    case "&&":
    case "||":
    case "+":
      return together(trendOf(node.args[0], means), trendOf(node.args[1], means));
    case "-":
    case ">":
    case ">=":
      return together(trendOf(node.args[0], means), opposite(trendOf(node.args[1], means)));
    case "<":
    case "<=":
      return together(opposite(trendOf(node.args[0], means)), trendOf(node.args[1], means));
    case "*":
    case "/":
      return scaled(node, means);
    case "==":
    case "!=":
    case "in":
    case "%": {
      const isConstant = node.args.every((part) => trendOf(part, means) === "constant");
      return isConstant ? "constant" : "unknown";
    }
    case "list":
      return node.args.every((part) => trendOf(part, means) === "constant") ? "constant" : "unknown";
    case "rcall": {
      const isPlain = PLAIN_FUNCTIONS.has(node.args[0]);
      const parts = [node.args[1], ...node.args[2]];
      return isPlain && parts.every((part) => trendOf(part, means) === "constant") ? "constant" : "unknown";
    }
    default:
      return "unknown";
  }
}

/** Functions of their arguments alone: no macros, whose variables could hide a measure. */
const PLAIN_FUNCTIONS: ReadonlySet<string> = new Set(["startsWith", "endsWith", "contains", "matches", "lowerAscii"]);

function trendOfName(name: string, means: RisingMeans): Trend {
  if (Object.hasOwn(means.measures, name)) return trendOfMeasure(means.measures[name], means);
  return name === "threshold" ? "constant" : "unknown";
}

function trendOfMeasure(measure: RisingMeasure | undefined, { filter }: RisingMeans): Trend {
  switch (measure?.fn) {
    case "count":
    case "rate":
    case "distinct":
    case "max":
      return "rising";
    case "min":
      return "falling";
    case "sum":
      return isNeverNegative(measure, filter) ? "rising" : "unknown";
    default:
      return "unknown";
  }
}

/** A sum rises only if a filter keeps negative values out: `event.data.bytes >= 0`. */
function isNeverNegative({ field, filter }: RisingMeasure, own: string | undefined): boolean {
  return [filter, own].some((source) => {
    const tree = source === undefined ? null : parsed(source);
    return tree !== null && conjuncts(tree).some((part) => keepsNegativesOut(part, field ?? ""));
  });
}

function conjuncts(node: Node): Node[] {
  return node.op === "&&" ? node.args.flatMap(conjuncts) : [node];
}

function keepsNegativesOut(node: Node, field: string): boolean {
  if (node.op !== ">" && node.op !== ">=") return false;
  const [path, bound] = node.args;
  return pathOf(path) === `event.${field}` && bound.op === "value" && (numberOf(bound) ?? -1) >= 0;
}

/** `event.data.bytes` as text; undefined for anything but names with dots between. */
function pathOf(node: Node): string | undefined {
  if (node.op === "id") return node.args;
  if (node.op !== ".") return undefined;
  const from = pathOf(node.args[0]);
  return from === undefined ? undefined : `${from}.${node.args[1]}`;
}

/** `group.x`, `group['x']` and `window.start` are the same as long as the window is. */
function isOwn(node: Node): boolean {
  if (node.op !== "." && node.op !== "[]") return false;
  const [from] = node.args;
  if (node.op === "[]" && node.args[1].op !== "value") return false;
  return from.op === "id" ? from.args === "group" || from.args === "window" : isOwn(from);
}

/** Times or divided by a number that is known: its sign decides. */
function scaled(node: Extract<Node, { op: "*" | "/" }>, means: RisingMeans): Trend {
  const [left, right] = node.args;
  const trends = [trendOf(left, means), trendOf(right, means)] as const;
  if (trends[0] === "constant" && trends[1] === "constant") return "constant";
  const factor = knownNumber(right, means) ?? (node.op === "*" ? knownNumber(left, means) : undefined);
  const moving = knownNumber(right, means) === undefined ? trends[1] : trends[0];
  if (factor === undefined || factor === 0 || Number.isNaN(factor)) return "unknown";
  return factor > 0 ? moving : opposite(moving);
}

function knownNumber(node: Node, { threshold }: RisingMeans): number | undefined {
  if (node.op === "id") return node.args === "threshold" ? threshold : undefined;
  if (node.op === "-_") {
    const number = node.args.op === "value" ? numberOf(node.args) : undefined;
    return number === undefined ? undefined : -number;
  }
  return node.op === "value" ? numberOf(node) : undefined;
}

function numberOf(node: Extract<Node, { op: "value" }>): number | undefined {
  const value: unknown = node.args;
  if (typeof value === "bigint" || typeof value === "number") return Number(value);
  // Unsigned literals are objects of the library.
  return undefined;
}

function opposite(trend: Trend): Trend {
  if (trend === "rising") return "falling";
  return trend === "falling" ? "rising" : trend;
}

function together(a: Trend, b: Trend): Trend {
  if (a === "constant") return b;
  return b === "constant" || a === b ? a : "unknown";
}
