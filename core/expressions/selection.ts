import type { JsonValue } from "../events/event.ts";
import type { Code, Evaluate } from "./frame.ts";
import type { Node } from "./parse.ts";
import { CompileError } from "./position.ts";
import type { Root, Scope } from "./scope.ts";
import { Failure, failed, isList, isMap, ownValue, type Value } from "./value.ts";

/** A part of an expression that reads a static path: the caller fetches its value, as a column for many events. */
export interface Reference {
  readonly path: readonly string[];
  readonly root: Root;
}

/**
 * Follows names down to a root of the scope.
 * @param isLocal names of macro variables, which hide roots
 * @returns undefined when the node is no static path
 * @throws CompileError when the root may not be read like that
 */
export function referenceOf(node: Node, scope: Scope, isLocal: (name: string) => boolean): Reference | undefined {
  const root = rootOf(node, scope, isLocal);
  if (root !== undefined) return { path: root.path, root };
  const selected = selectionOf(node);
  if (selected?.name === undefined) return undefined;
  const inner = referenceOf(selected.from, scope, isLocal);
  if (inner === undefined) return undefined;
  const depth = inner.path.length - inner.root.path.length;
  if (depth === inner.root.most) return undefined;
  const { names } = inner.root;
  if (depth === 0 && names !== undefined && !names.includes(selected.name)) {
    throw new CompileError(node.pos, `unknown name '${selected.name}': known are ${names.join(", ")}`);
  }
  return { path: [...inner.path, selected.name], root: inner.root };
}

/** True when a root like `previous` stands without the name it needs. */
export function isIncomplete({ path, root }: Reference): boolean {
  return path.length - root.path.length < root.least;
}

function rootOf(node: Node, scope: Scope, isLocal: (name: string) => boolean): Root | undefined {
  if (node.op === "id") return isLocal(node.args) ? undefined : scope.root(node.args);
  if (node.op !== "call" || node.args[0] !== "at") return undefined;
  const [argument, extra] = node.args[1];
  if (argument?.op !== "value" || typeof argument.args !== "string" || extra !== undefined) {
    throw new CompileError(node.start, "at() takes a duration written out, as in at('7d').requests");
  }
  return scope.at(argument.args, argument.start);
}

/** `a.b` and `a['b']` by their name, `a[b]` by the expression in the brackets. */
export type Selection =
  | { readonly from: Node; readonly name: string }
  | { readonly from: Node; readonly name: undefined; readonly index: Node };

/** @returns undefined when the node is no selection */
export function selectionOf(node: Node): Selection | undefined {
  if (node.op === ".") return { from: node.args[0], name: node.args[1] };
  if (node.op !== "[]") return undefined;
  const [from, index] = node.args;
  if (index.op === "value" && typeof index.args === "string") return { from, name: index.args };
  return { from, name: undefined, index };
}

/** Reads the path numbered `path`, null where it is absent. */
export function readPath(path: number): Evaluate {
  return (frame) => frame.valueOf(path) ?? null;
}

/** `has(…)`: whether the path numbered `path` is there; one that holds null is. */
export function hasPath(path: number): Evaluate {
  return (frame) => frame.valueOf(path) !== undefined;
}

/** `a[b]` (and `a.b`, with a constant key): null where there is no such element. */
export function element(from: Code, key: Code): Evaluate {
  return (frame) => {
    const found = lookUp(from.run(frame), key.run(frame), key.offset);
    return found === undefined ? null : found;
  };
}

/** `has(a.b)` where it is not a static path. */
export function hasElement(from: Code, key: Code): Evaluate {
  return (frame) => {
    const found = lookUp(from.run(frame), key.run(frame), key.offset);
    return found instanceof Failure ? found : found !== undefined;
  };
}

/**
 * A field of something that has no fields is absent, as on a static path: `event.data.x.y` where x is null or a number.
 * @returns undefined where there is no such element
 */
function lookUp(from: Value, key: Value, offset: number): JsonValue | Failure | undefined {
  if (from instanceof Failure) return from;
  if (typeof key === "string") return isMap(from) ? ownValue(from, key) : undefined;
  if (typeof key !== "number" || !Number.isInteger(key)) {
    return failed(offset, "an index must be a string or a whole number", key);
  }
  if (isMap(from)) return failed(offset, "the key of a map must be a string", key);
  return isList(from) ? from[key] : undefined;
}
