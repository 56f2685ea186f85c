import { MAX_DURATION_MS, parseDuration } from "../windows/duration.ts";
import { type Code, type Evaluate, outOfSteps, spend } from "./frame.ts";
import { UNITS_PER_STEP } from "./operators.ts";
import { compilePattern } from "./pattern.ts";
import { CompileError } from "./position.ts";
import { failed, isList, isMap, type Value } from "./value.ts";

/** How a function may be written: `size(x)`, `x.size()`. */
export interface FunctionRule {
  readonly plain: boolean;
  readonly method: boolean;
  /** Arguments, the receiver of a method among them. */
  readonly arity: number;
  /** @throws CompileError when a constant argument cannot be */
  build(subject: Code, argument: Code, name: string): Evaluate;
}

/** Comparisons of two characters that cost one step, in the worst case of searching a text in a text. */
const COMPARISONS_PER_STEP = 128;
/** Longer texts are no numbers; keeps conversions cheap. */
const MAX_NUMBER_LENGTH = 64;
const INTEGER = /^[+-]?\d+$/;
const DECIMAL = /^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/;

/** The functions of the language, by name. */
export const FUNCTIONS: ReadonlyMap<string, FunctionRule> = new Map([
  ["size", { plain: true, method: true, arity: 1, build: ofOne("a string, a list or a map", sizeOf) }],
  [
    "contains",
    { plain: false, method: true, arity: 2, build: ofTexts((text, part) => text.includes(part), searchSteps) },
  ],
  ["startsWith", { plain: false, method: true, arity: 2, build: ofTexts((text, part) => text.startsWith(part)) }],
  ["endsWith", { plain: false, method: true, arity: 2, build: ofTexts((text, part) => text.endsWith(part)) }],
  ["matches", { plain: true, method: true, arity: 2, build: matches }],
  ["lowerAscii", { plain: false, method: true, arity: 1, build: ofOne("a string", lowerAscii) }],
  ["upperAscii", { plain: false, method: true, arity: 1, build: ofOne("a string", upperAscii) }],
  ["int", { plain: true, method: false, arity: 1, build: ofOne("a number, or a whole number as text", toInt) }],
  ["double", { plain: true, method: false, arity: 1, build: ofOne("a number, also as text", toDouble) }],
  ["string", { plain: true, method: false, arity: 1, build: ofOne("a string, a number or a boolean", toText) }],
  ["duration", { plain: true, method: false, arity: 1, build: duration }],
]);

/** @param compute undefined for an argument of the wrong kind */
function ofOne(wanted: string, compute: (value: Value) => Value | undefined): FunctionRule["build"] {
  return (subject, _, name) => {
    const problem = `${name}() needs ${wanted}`;
    return (frame) => {
      const value = subject.run(frame);
      if (typeof value === "string" && !spend(frame, Math.ceil(value.length / UNITS_PER_STEP))) {
        return outOfSteps(subject.offset);
      }
      return compute(value) ?? failed(subject.offset, problem, value);
    };
  };
}

function ofTexts(
  holds: (text: string, part: string) => boolean,
  steps: (text: string, part: string) => number = () => 0,
): FunctionRule["build"] {
  return (subject, argument, name) => {
    const problem = `${name}() needs two strings`;
    return (frame) => {
      const text = subject.run(frame);
      const part = argument.run(frame);
      if (typeof text !== "string" || typeof part !== "string") return failed(subject.offset, problem, text, part);
      return spend(frame, steps(text, part)) ? holds(text, part) : outOfSteps(subject.offset);
    };
  };
}

function searchSteps(text: string, part: string): number {
  return Math.ceil((text.length * part.length) / COMPARISONS_PER_STEP);
}

/** The pattern must be constant: compiling one per event would be slow, and a pattern from an event is an attack. */
function matches(subject: Code, argument: Code): Evaluate {
  if (typeof argument.constant !== "string") {
    throw new CompileError(argument.offset, "matches() needs a pattern that is the same for every event");
  }
  const pattern = compilePattern(argument.constant, argument.offset);
  return (frame) => {
    const text = subject.run(frame);
    if (typeof text !== "string") return failed(subject.offset, "matches() needs a string", text);
    return spend(frame, pattern.steps(text.length)) ? pattern.test(text) : outOfSteps(subject.offset);
  };
}

/** Milliseconds, to add to and subtract from timestamps. */
function duration(subject: Code, argument: Code, name: string): Evaluate {
  const { constant } = subject;
  if (constant !== undefined && (typeof constant !== "string" || parseDuration(constant) === null)) {
    throw new CompileError(
      subject.offset,
      `duration() needs text like '500ms', '5m' or '1h', ${MAX_DURATION_MS} ms at most`,
    );
  }
  return ofOne("text like '500ms', '5m' or '1h'", toMilliseconds)(subject, argument, name);
}

function toMilliseconds(value: Value): number | undefined {
  return typeof value === "string" ? (parseDuration(value) ?? undefined) : undefined;
}

/** Characters (code points) of a string, elements of a list, keys of a map. */
function sizeOf(value: Value): number | undefined {
  if (isList(value)) return value.length;
  if (isMap(value)) return Object.keys(value).length;
  if (typeof value !== "string") return undefined;
  let size = 0;
  for (const _ of value) size++;
  return size;
}

function lowerAscii(value: Value): string | undefined {
  return typeof value === "string" ? value.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : undefined;
}

function upperAscii(value: Value): string | undefined {
  return typeof value === "string" ? value.replace(/[a-z]+/g, (letters) => letters.toUpperCase()) : undefined;
}

/** Cuts a number towards zero. */
function toInt(value: Value): number | undefined {
  if (typeof value === "number") return Math.trunc(value);
  return numberIn(value, INTEGER);
}

function toDouble(value: Value): number | undefined {
  return typeof value === "number" ? value : numberIn(value, DECIMAL);
}

function numberIn(value: Value, form: RegExp): number | undefined {
  if (typeof value !== "string" || value.length > MAX_NUMBER_LENGTH || !form.test(value)) return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

function toText(value: Value): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}
