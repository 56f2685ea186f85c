import type { JsonValue } from "../events/event.ts";
import { type Code, type Evaluate, type Frame, MAX_DATA_DEPTH, outOfSteps, spend } from "./frame.ts";
import { Failure, failed, isList, isMap, type JsonMap, ownValue } from "./value.ts";

/** Comparisons of list elements that cost one step. */
const ELEMENTS_PER_STEP = 4;

/** `==`, or `!=` when `negated`: by value, of any two kinds; values of different kinds differ. */
export function equality(left: Code, right: Code, negated: boolean): Evaluate {
  if (isPrimitive(right.constant)) return equalityWith(left.run, right.constant, negated);
  if (isPrimitive(left.constant)) return equalityWith(right.run, left.constant, negated);
  const { offset } = left;
  return (frame) => {
    const a = left.run(frame);
    const b = right.run(frame);
    if (a instanceof Failure) return a;
    if (b instanceof Failure) return b;
    const same = areEqual(frame, a, b);
    return same === undefined ? outOfSteps(offset) : same !== negated;
  };
}

/** The comparison that nearly every filter is made of. */
function equalityWith(run: Evaluate, constant: JsonValue, negated: boolean): Evaluate {
  return (frame) => {
    const value = run(frame);
    if (value === constant) return !negated;
    return value instanceof Failure ? value : negated;
  };
}

/** `in`: an element of a list or a key of a map. */
export function membership(element: Code, container: Code): Evaluate {
  const { constant } = container;
  if (constant !== undefined && isList(constant) && constant.every(isPrimitive))
    return memberOf(element.run, new Set(constant));
  return (frame) => {
    const value = element.run(frame);
    const within = container.run(frame);
    if (value instanceof Failure) return value;
    if (isMap(within)) return typeof value === "string" && Object.hasOwn(within, value);
    if (isList(within)) return contains(frame, within, value) ?? outOfSteps(element.offset);
    return failed(container.offset, "in needs a list or a map on its right", within);
  };
}

function memberOf(run: Evaluate, members: ReadonlySet<JsonValue>): Evaluate {
  return (frame) => {
    const value = run(frame);
    return value instanceof Failure ? value : members.has(value);
  };
}

function contains(frame: Frame, list: readonly JsonValue[], value: JsonValue): boolean | undefined {
  if (!spend(frame, Math.ceil(list.length / ELEMENTS_PER_STEP))) return undefined;
  for (const item of list) {
    const same = areEqual(frame, item, value);
    if (same !== false) return same;
  }
  return false;
}

function isPrimitive(value: JsonValue | undefined): value is string | number | boolean | null {
  return value === null || (value !== undefined && typeof value !== "object");
}

/** @returns undefined when the evaluation runs out of steps, or the values are nested too deeply */
function areEqual(frame: Frame, a: JsonValue, b: JsonValue, depth = 0): boolean | undefined {
  if (a === b) return true;
  if (isPrimitive(a) || isPrimitive(b)) return false;
  if (!spend(frame, 1) || depth > MAX_DATA_DEPTH) return undefined;
  if (isList(a)) return isList(b) ? areListsEqual(frame, a, b, depth) : false;
  return isMap(a) && isMap(b) ? areMapsEqual(frame, a, b, depth) : false;
}

function areListsEqual(
  frame: Frame,
  a: readonly JsonValue[],
  b: readonly JsonValue[],
  depth: number,
): boolean | undefined {
  if (a.length !== b.length) return false;
  if (!spend(frame, Math.ceil(a.length / ELEMENTS_PER_STEP))) return undefined;
  for (const [position, item] of a.entries()) {
    const same = areEqual(frame, item, b[position] ?? null, depth + 1);
    if (same !== true) return same;
  }
  return true;
}

function areMapsEqual(frame: Frame, a: JsonMap, b: JsonMap, depth: number): boolean | undefined {
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  if (!spend(frame, keys.length)) return undefined;
  for (const key of keys) {
    const other = ownValue(b, key);
    const same = other === undefined ? false : areEqual(frame, a[key] ?? null, other, depth + 1);
    if (same !== true) return same;
  }
  return true;
}
