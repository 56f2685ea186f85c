import type { JsonValue } from "../events/event.ts";
import { type Code, type Evaluate, type Frame, outOfSteps, spend } from "./frame.ts";
import { Failure, failed, isList, isMap, type Value } from "./value.ts";

/** A macro over the elements of a list (or the keys of a map), with its parts compiled. */
export interface Loop {
  readonly over: Code;
  /** Where in `frame.locals` its variable lives. */
  readonly slot: number;
  /** What `all`, `exists`, `exists_one` and `filter` ask, and the middle argument of a three-argument `map`. */
  readonly predicate: Code | undefined;
  /** What `map` makes. */
  readonly transform: Code | undefined;
}

type Step = (item: JsonValue, frame: Frame) => Value | undefined;

/**
 * `all` (`decisive` false) and `exists` (true): the first decisive element decides, whatever others fail.
 * @see https://github.com/google/cel-spec/blob/master/doc/langdef.md#macros
 */
export function quantifier(loop: Loop, decisive: boolean): Evaluate {
  return (frame) => {
    let failure: Failure | undefined;
    const stopped = iterate(loop, frame, (_, frame) => {
      const holds = ask(loop, frame);
      if (holds === decisive) return decisive;
      if (holds instanceof Failure) failure ??= holds;
      return undefined;
    });
    return stopped ?? failure ?? !decisive;
  };
}

/** True when the predicate holds for exactly one element; any failure is one of the whole. */
export function existsOne(loop: Loop): Evaluate {
  return (frame) => {
    let found = 0;
    const stopped = iterate(loop, frame, (_, frame) => {
      const holds = ask(loop, frame);
      if (holds === true) found++;
      return holds instanceof Failure ? holds : undefined;
    });
    return stopped ?? found === 1;
  };
}

/** `filter`, and `map` with and without a filter; any failure is one of the whole. */
export function collect(loop: Loop): Evaluate {
  return (frame) => {
    const items: JsonValue[] = [];
    const stopped = iterate(loop, frame, (item, frame) => {
      const holds = ask(loop, frame);
      if (holds !== true) return holds instanceof Failure ? holds : undefined;
      const made = loop.transform === undefined ? item : loop.transform.run(frame);
      if (made instanceof Failure) return made;
      items.push(made);
      return undefined;
    });
    return stopped ?? items;
  };
}

/** @returns what the first step that gave something gave */
function iterate(loop: Loop, frame: Frame, step: Step): Value | undefined {
  const items = itemsOf(loop.over.run(frame), loop.over.offset);
  if (items instanceof Failure) return items;
  const steps = 1 + (loop.predicate?.nodes ?? 0) + (loop.transform?.nodes ?? 0);
  for (const item of items) {
    if (!spend(frame, steps)) return outOfSteps(loop.over.offset);
    frame.locals[loop.slot] = item;
    const result = step(item, frame);
    if (result !== undefined) return result;
  }
  return undefined;
}

function itemsOf(value: Value, offset: number): readonly JsonValue[] | Failure {
  if (isList(value)) return value;
  return isMap(value) ? Object.keys(value) : failed(offset, "a macro needs a list or a map", value);
}

function ask({ predicate }: Loop, frame: Frame): boolean | Failure {
  if (predicate === undefined) return true;
  const holds = predicate.run(frame);
  return typeof holds === "boolean"
    ? holds
    : failed(predicate.offset, "a macro needs a condition that is true or false", holds);
}
