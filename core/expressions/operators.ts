import { type Code, type Evaluate, type Frame, outOfSteps, spend } from "./frame.ts";
import { Failure, failed, isList, type Value } from "./value.ts";

/** UTF-16 units of a text that `+` may make; an event is at most 32 KB. */
export const MAX_TEXT_LENGTH = 65_536;
/** UTF-16 units copied for one step. */
export const UNITS_PER_STEP = 64;

/**
 * `||` (`decisive` true) and `&&` (false): the decisive value on either side decides, even if the other side fails.
 * @see https://github.com/google/cel-spec/blob/master/doc/langdef.md#logical-operators
 */
export function logic(left: Code, right: Code, decisive: boolean): Evaluate {
  const problem = `${decisive ? "||" : "&&"} needs true or false on both sides`;
  return (frame) => {
    const a = left.run(frame);
    if (a === decisive) return decisive;
    const b = right.run(frame);
    if (b === decisive) return decisive;
    if (typeof a !== "boolean") return failed(left.offset, problem, a);
    return typeof b === "boolean" ? b : failed(right.offset, problem, b);
  };
}

/** `!operand`. */
export function not(operand: Code): Evaluate {
  return (frame) => {
    const value = operand.run(frame);
    return typeof value === "boolean" ? !value : failed(operand.offset, "! needs true or false", value);
  };
}

/** `-operand`. */
export function negation(operand: Code): Evaluate {
  return (frame) => {
    const value = operand.run(frame);
    return typeof value === "number" ? -value : failed(operand.offset, "- needs a number", value);
  };
}

/** `condition ? yes : no`; only the branch taken is evaluated. */
export function conditional(condition: Code, yes: Code, no: Code): Evaluate {
  return (frame) => {
    const value = condition.run(frame);
    if (value === true) return yes.run(frame);
    return value === false ? no.run(frame) : failed(condition.offset, "?: needs true or false before the ?", value);
  };
}

export type Comparison = "<" | "<=" | ">" | ">=";

const HOLDS: { readonly [operator in Comparison]: (order: number) => boolean } = {
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
};

/** Orders two numbers, two strings (by UTF-16 units) or two booleans; anything else, null above all, is a failure. */
export function comparison(operator: Comparison, left: Code, right: Code): Evaluate {
  const holds = HOLDS[operator];
  const problem = `${operator} needs two numbers, two strings or two booleans`;
  return (frame) => {
    const a = left.run(frame);
    const b = right.run(frame);
    if (typeof a === "number" && typeof b === "number") return holds(a - b);
    if ((typeof a === "string" && typeof b === "string") || (typeof a === "boolean" && typeof b === "boolean")) {
      return holds(a < b ? -1 : Number(a > b));
    }
    return failed(left.offset, problem, a, b);
  };
}

export type Arithmetic = "-" | "*" | "/" | "%";

const COMPUTE: { readonly [operator in Arithmetic]: (a: number, b: number) => number } = {
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "%": (a, b) => a % b,
};

/** On two numbers; `/` is real division, `%` has the sign of its left side. No result is infinite or NaN. */
export function arithmetic(operator: Arithmetic, left: Code, right: Code): Evaluate {
  const compute = COMPUTE[operator];
  const divides = operator === "/" || operator === "%";
  return (frame) => {
    const a = left.run(frame);
    const b = right.run(frame);
    if (typeof a !== "number" || typeof b !== "number")
      return failed(left.offset, `${operator} needs two numbers`, a, b);
    if (divides && b === 0) return new Failure(right.offset, "division by zero");
    return finite(compute(a, b), left.offset);
  };
}

/** `+` adds two numbers, and joins two strings or two lists. */
export function addition(left: Code, right: Code): Evaluate {
  return (frame) => {
    const a = left.run(frame);
    const b = right.run(frame);
    if (typeof a === "number" && typeof b === "number") return finite(a + b, left.offset);
    if (typeof a === "string" && typeof b === "string") return joinTexts(frame, a, b, left.offset);
    if (isList(a) && isList(b)) return spend(frame, a.length + b.length) ? [...a, ...b] : outOfSteps(left.offset);
    return failed(left.offset, "+ needs two numbers, two strings or two lists", a, b);
  };
}

function joinTexts(frame: Frame, a: string, b: string, offset: number): Value {
  const length = a.length + b.length;
  if (length > MAX_TEXT_LENGTH) return new Failure(offset, `makes a text of more than ${MAX_TEXT_LENGTH} characters`);
  return spend(frame, Math.ceil(length / UNITS_PER_STEP)) ? a + b : outOfSteps(offset);
}

function finite(value: number, offset: number): Value {
  return Number.isFinite(value) ? value : new Failure(offset, "the result is too large for a number");
}
