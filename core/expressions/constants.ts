import type { JsonValue } from "../events/event.ts";
import type { Code, Evaluate } from "./frame.ts";
import { CompileError } from "./position.ts";
import { Failure } from "./value.ts";

/** The value of a literal of the parse tree: integers (as bigint) and unsigned ones become numbers. @throws CompileError */
/** Code of a constant. @param offset of its text in the source */
export function literalValue(value: unknown, offset: number): JsonValue {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (value instanceof Uint8Array) throw new CompileError(offset, "bytes are not supported: events are JSON");
  const number = Number(value);
  if (!Number.isFinite(number)) throw new CompileError(offset, "the number is too large");
  return number;
}

export function literal(offset: number, constant: JsonValue): Code {
  return { run: () => constant, constant, nodes: 1, offset };
}

/** Code made of parts; evaluated now when all of them are constant and it does not fail. */
export function compose(offset: number, parts: readonly Code[], run: Evaluate): Code {
  const nodes = parts.reduce((sum, part) => sum + part.nodes, 1);
  const varying: Code = { run, constant: undefined, nodes, offset };
  if (parts.some((part) => part.constant === undefined)) return varying;
  const value = run({ valueOf: () => undefined, locals: [], steps: 0 });
  return value instanceof Failure ? varying : { run: () => value, constant: value, nodes, offset };
}
