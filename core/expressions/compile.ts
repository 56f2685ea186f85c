/**
 * Turns the parse tree into closures. CEL's own rules for numbers and missing fields are replaced by simpler ones: all
 * numbers are doubles, and what is missing is null.
 */
import { listOf, mapOf } from "./collections.ts";
import { compose, literal, literalValue } from "./constants.ts";
import { equality, membership } from "./equality.ts";
import type { Code, Evaluate } from "./frame.ts";
import { FUNCTIONS } from "./functions.ts";
import { collect, existsOne, type Loop, quantifier } from "./macros.ts";
import { addition, arithmetic, comparison, conditional, logic, negation, not } from "./operators.ts";
import type { Node } from "./parse.ts";
import { CompileError } from "./position.ts";
import type { Scope } from "./scope.ts";
import { element, hasElement, hasPath, isIncomplete, readPath, referenceOf, selectionOf } from "./selection.ts";

/** Operators in each other, `a + b + c` counting two: evaluation recurses as deep. */
export const MAX_DEPTH = 256;

/** What is known at one node of the tree. */
interface Context {
  readonly scope: Scope;
  /** Paths read so far, by their JSON text, in order of appearance. */
  readonly paths: Map<string, readonly string[]>;
  /** Variables of the enclosing macros, outermost first. */
  readonly locals: readonly string[];
  readonly depth: number;
}

/** @throws CompileError */
export function compileTree(
  tree: Node,
  scope: Scope,
): { readonly code: Code; readonly paths: readonly (readonly string[])[] } {
  const paths = new Map<string, readonly string[]>();
  const code = compile(tree, { scope, paths, locals: [], depth: 0 });
  return { code, paths: [...paths.values()] };
}

function compile(node: Node, outer: Context): Code {
  if (outer.depth >= MAX_DEPTH) throw new CompileError(node.start, `more than ${MAX_DEPTH} operators in each other`);
  const context = { ...outer, depth: outer.depth + 1 };
  switch (node.op) {
    case "value":
      return literal(node.start, literalValue(node.args, node.start));
    case "id":
    case ".":
    case "[]":
      return compileSelection(node, context);
    case "call":
      return compileCall(node, context, node.args[0], node.args[1]);
    case "rcall":
      return compileMethod(node, context, node.args[0], node.args[1], node.args[2]);
    case "list":
      return compileList(node.start, node.args, context);
    case "map":
      return compileMap(node.start, node.args, context);
    case "?:": {
      const [condition, yes, no] = node.args;
      const parts = [compile(condition, context), compile(yes, context), compile(no, context)] as const;
      return compose(node.start, parts, conditional(...parts));
    }
    case "!_":
    case "-_": {
      const operand = compile(node.args, context);
      return compose(node.start, [operand], node.op === "!_" ? not(operand) : negation(operand));
    }
    case ".?":
    case "[?]":
      throw new CompileError(node.start, "optional selections are not supported: a missing field is null");
    default: {
      const left = compile(node.args[0], context);
      const right = compile(node.args[1], context);
      return compose(node.start, [left, right], binary(node.op, left, right));
    }
  }
}

type BinaryOperator = "||" | "&&" | "==" | "!=" | "in" | "<" | "<=" | ">" | ">=" | "+" | "-" | "*" | "/" | "%";

function binary(operator: BinaryOperator, left: Code, right: Code): Evaluate {
  switch (operator) {
    case "||":
    case "&&":
      return logic(left, right, operator === "||");
    case "==":
    case "!=":
      return equality(left, right, operator === "!=");
    case "in":
      return membership(left, right);
    case "+":
      return addition(left, right);
    case "<":
    case "<=":
    case ">":
    case ">=":
      return comparison(operator, left, right);
    default:
      return arithmetic(operator, left, right);
  }
}

function compileSelection(node: Node, context: Context): Code {
  const path = compilePath(node, context);
  if (path !== undefined) return { run: readPath(path), constant: undefined, nodes: 1, offset: node.start };
  if (node.op === "id") return local(node.args, node.start, context);
  const parts = compileElement(node, context);
  return compose(node.start, parts, element(...parts));
}

/** @returns the number of the path that the node reads, or undefined when it is none */
function compilePath(node: Node, { scope, locals, paths }: Context): number | undefined {
  const reference = referenceOf(node, scope, (name) => locals.includes(name));
  if (reference === undefined) return undefined;
  if (isIncomplete(reference)) {
    const written = node.input.slice(node.start, node.end);
    throw new CompileError(node.start, `${written} needs a name, written out, after it`);
  }
  const text = JSON.stringify(reference.path);
  paths.set(text, reference.path);
  return [...paths.keys()].indexOf(text);
}

function local(name: string, offset: number, { locals, scope }: Context): Code {
  const slot = locals.lastIndexOf(name);
  if (slot < 0) throw new CompileError(offset, `unknown name '${name}': ${scope.available}`);
  return { run: (frame) => frame.locals[slot] ?? null, constant: undefined, nodes: 1, offset };
}

/** The two parts of `a.b` and `a[b]`. */
function compileElement(node: Node, context: Context): readonly [Code, Code] {
  const selection = selectionOf(node);
  if (selection === undefined) throw new CompileError(node.start, "has() needs a field, as in has(event.data.status)");
  const from = compile(selection.from, context);
  if (selection.name !== undefined) return [from, literal(node.pos, selection.name)];
  return [from, compile(selection.index, context)];
}

function compileCall(node: Node, context: Context, name: string, args: readonly Node[]): Code {
  if (name === "has") return compileHas(node, context, args);
  if (name === "at" && compilePath(node, context) !== undefined) return compileSelection(node, context);
  const rule = FUNCTIONS.get(name);
  if (rule?.plain === true) return compileFunction(node, context, name, args);
  const wrong =
    rule === undefined ? `unknown function '${name}'` : `${name}() is written after its subject, as in x.${name}()`;
  throw new CompileError(node.start, wrong);
}

function compileHas(node: Node, context: Context, args: readonly Node[]): Code {
  const [field, extra] = args;
  if (field === undefined || extra !== undefined || selectionOf(field) === undefined) {
    throw new CompileError(node.start, "has() needs a field, as in has(event.data.status)");
  }
  const path = compilePath(field, context);
  if (path !== undefined) return { run: hasPath(path), constant: undefined, nodes: 1, offset: node.start };
  const parts = compileElement(field, context);
  return compose(node.start, parts, hasElement(...parts));
}

function compileMethod(node: Node, context: Context, name: string, receiver: Node, args: readonly Node[]): Code {
  if (MACROS.has(name)) return compileMacro(node, context, name, receiver, args);
  const rule = FUNCTIONS.get(name);
  if (rule?.method === true) return compileFunction(node, context, name, [receiver, ...args]);
  const wrong = rule === undefined ? `unknown function '${name}'` : `${name}() takes its argument in the parentheses`;
  throw new CompileError(nameOffset(node), wrong);
}

/** Where the name of a call is written. */
function nameOffset(node: Node): number {
  return node.op === "rcall" ? node.input.indexOf(node.args[0], node.args[1].end) : node.start;
}

function compileFunction(node: Node, context: Context, name: string, args: readonly Node[]): Code {
  const rule = FUNCTIONS.get(name);
  const parts = args.map((argument) => compile(argument, context));
  const [subject, argument = subject] = parts;
  if (rule === undefined || subject === undefined || argument === undefined || parts.length !== rule.arity) {
    throw new CompileError(nameOffset(node), `wrong number of arguments for ${name}()`);
  }
  return compose(node.start, parts, rule.build(subject, argument, name));
}

const MACROS: ReadonlyMap<string, { readonly arities: readonly number[]; readonly build: (loop: Loop) => Evaluate }> =
  new Map([
    ["all", { arities: [2], build: (loop: Loop) => quantifier(loop, false) }],
    ["exists", { arities: [2], build: (loop: Loop) => quantifier(loop, true) }],
    ["exists_one", { arities: [2], build: existsOne }],
    ["filter", { arities: [2], build: collect }],
    ["map", { arities: [2, 3], build: collect }],
  ]);

function compileMacro(node: Node, context: Context, name: string, receiver: Node, args: readonly Node[]): Code {
  const macro = MACROS.get(name);
  const [variable, first, second] = args;
  if (macro === undefined || !macro.arities.includes(args.length) || variable?.op !== "id" || first === undefined) {
    const example = `list.${name}(x, ${name === "map" ? "x * 2" : "x > 0"})`;
    throw new CompileError(nameOffset(node), `${name}() is written as ${example}`);
  }
  const over = compile(receiver, context);
  const inside = { ...context, locals: [...context.locals, variable.args] };
  const bodies = second === undefined ? [compile(first, inside)] : [compile(first, inside), compile(second, inside)];
  const loop = {
    over,
    slot: context.locals.length,
    predicate: name === "map" && bodies.length === 1 ? undefined : bodies[0],
    transform: name === "map" ? bodies.at(-1) : undefined,
  };
  return compose(node.start, [over, ...bodies], macro.build(loop));
}

function compileList(offset: number, items: readonly Node[], context: Context): Code {
  const parts = items.map((item) => compile(item, context));
  return compose(offset, parts, listOf(parts, offset));
}

function compileMap(offset: number, items: readonly (readonly [Node, Node])[], context: Context): Code {
  const entries = items.map(([key, value]) => [compile(key, context), compile(value, context)] as const);
  return compose(offset, entries.flat(), mapOf(entries, offset));
}
