import type { JsonValue } from "../events/event.ts";
import { type Code, type Evaluate, outOfSteps, spend } from "./frame.ts";
import { Failure } from "./value.ts";

/** `[a, b]` */
export function listOf(parts: readonly Code[], offset: number): Evaluate {
  return (frame) => {
    if (!spend(frame, parts.length)) return outOfSteps(offset);
    const values: JsonValue[] = [];
    for (const part of parts) {
      const value = part.run(frame);
      if (value instanceof Failure) return value;
      values.push(value);
    }
    return values;
  };
}

/** `{a: b}`: keys are strings, as in JSON, and no key may come twice, as in CEL. */
export function mapOf(entries: readonly (readonly [Code, Code])[], offset: number): Evaluate {
  return (frame) => {
    if (!spend(frame, entries.length)) return outOfSteps(offset);
    const made = new Map<string, JsonValue>();
    for (const [key, value] of entries) {
      const name = key.run(frame);
      if (name instanceof Failure) return name;
      if (typeof name !== "string") return new Failure(key.offset, "the key of a map must be a string", name);
      if (made.has(name)) return new Failure(key.offset, "the same key twice in a map");
      const content = value.run(frame);
      if (content instanceof Failure) return content;
      made.set(name, content);
    }
    return Object.fromEntries(made);
  };
}
