import type { JsonValue } from "../events/event.ts";
import { Failure, isList, type Value } from "./value.ts";

/**
 * Value of `expression.paths[path]` for the row at hand, undefined where the row has none.
 * Must not evaluate the expression that is asking.
 */
export type ValueOf = (path: number) => JsonValue | undefined;

/**
 * Work one evaluation may do: a step is one node inside a macro, or as much work on text and lists. Used up in 1–2 ms, by
 * patterns that keep no automaton state for long in 50 ms (two shared cores).
 */
const MAX_STEPS = 100_000;
/** Levels of lists and maps that are followed when two values are compared. */
export const MAX_DATA_DEPTH = 256;

/** What one evaluation needs at hand; reused from one to the next, so that simple expressions allocate nothing. */
export interface Frame {
  valueOf: ValueOf;
  /** Variables of the enclosing macros, outermost first. */
  readonly locals: JsonValue[];
  steps: number;
}

/** Evaluates one part. What goes wrong is a Failure, not a throw. */
export type Evaluate = (frame: Frame) => Value;

/** One part of an expression, ready to run. */
export interface Code {
  readonly run: Evaluate;
  /** Its value when that is the same for every event. */
  readonly constant: JsonValue | undefined;
  /** Nodes in it: what one iteration over it costs. */
  readonly nodes: number;
  /** UTF-16 index into the source, for messages. */
  readonly offset: number;
}

/** @returns false when the evaluation has used up its steps: the caller must stop with `outOfSteps` */
export function spend(frame: Frame, steps: number): boolean {
  frame.steps += steps;
  return frame.steps <= MAX_STEPS;
}

/** The failure of an evaluation that has done all the work it may. @param offset of the part that would need more */
export function outOfSteps(offset: number): Failure {
  return new Failure(offset, `takes more than ${MAX_STEPS} steps, or goes deeper than ${MAX_DATA_DEPTH} levels`);
}

/**
 * Counts the values inside `value` as steps: lists built by nested macros may share parts and so be
 * exponentially larger written out than in memory.
 * @returns false when there are more than the evaluation may still spend, or they are nested too deeply
 */
export function spendOnSize(frame: Frame, value: JsonValue, depth = 0): boolean {
  if (!spend(frame, 1) || depth > MAX_DATA_DEPTH) return false;
  if (typeof value !== "object" || value === null) return true;
  const parts = isList(value) ? value : Object.values(value);
  return parts.every((part) => spendOnSize(frame, part, depth + 1));
}
