import type { JsonValue } from "../events/event.ts";

export type JsonMap = { readonly [key: string]: JsonValue };

/**
 * An evaluation that went wrong, as a value: an event without the field is as frequent as one with it, and throwing
 * for each costs a hundred times a comparison.
 */
export class Failure {
  /** UTF-16 index into the source. */
  readonly offset: number;
  readonly #problem: string;
  readonly #operands: readonly JsonValue[];

  constructor(offset: number, problem: string, ...operands: readonly JsonValue[]) {
    this.offset = offset;
    this.#problem = problem;
    this.#operands = operands;
  }

  /** What went wrong, with the kinds of the operands, without a position. */
  describe(): string {
    if (this.#operands.length === 0) return this.#problem;
    return `${this.#problem}, got ${this.#operands.map(kindOf).join(" and ")}`;
  }
}

/** What evaluating a part of an expression gives; an absent value is null. */
export type Value = JsonValue | Failure;

/** @returns the first operand that failed, else a new failure about all of them */
export function failed(offset: number, problem: string, ...operands: readonly Value[]): Failure {
  const sound: JsonValue[] = [];
  for (const operand of operands) {
    if (operand instanceof Failure) return operand;
    sound.push(operand);
  }
  return new Failure(offset, problem, ...sound);
}

export function isList(value: Value): value is readonly JsonValue[] {
  return Array.isArray(value);
}

export function isMap(value: Value): value is JsonMap {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Failure);
}

/** Own properties only, so that `constructor` and `__proto__` are keys like any other. */
export function ownValue(map: JsonMap, key: string): JsonValue | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

/** Names the kind of a value for messages. */
export function kindOf(value: JsonValue): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return String(value);
  if (typeof value !== "object") return typeof value === "number" ? "a number" : "a string";
  return isList(value) ? "a list" : "a map";
}
