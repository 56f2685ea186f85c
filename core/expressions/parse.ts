import { type ASTNode, Environment, ParseError } from "@marcbachmann/cel-js";
import { CompileError } from "./position.ts";

/** Characters (UTF-16 units) of an expression; longer ones are lists of values that belong in a group or a measure. */
export const MAX_SOURCE_LENGTH = 2000;
/** Operators, calls, literals and names of an expression, with what macros expand to. */
export const MAX_NODES = 1000;
/** Levels of brackets, calls and selections. */
export const MAX_NESTING = 64;

/** One node of the parse tree of `@marcbachmann/cel-js`. */
export type Node = ASTNode;

const environment = new Environment({
  limits: { maxAstNodes: MAX_NODES, maxDepth: MAX_NESTING, maxListElements: MAX_NODES, maxMapEntries: MAX_NODES },
});

/**
 * Parses CEL syntax. Only the library's grammar is used: its evaluator has other rules for numbers and missing fields.
 * @throws CompileError
 */
export function parse(source: string): Node {
  if (source.length > MAX_SOURCE_LENGTH) {
    throw new CompileError(MAX_SOURCE_LENGTH, `longer than ${MAX_SOURCE_LENGTH} characters`);
  }
  if (source.trim() === "") throw new CompileError(0, "the expression is empty");
  try {
    return environment.parse(source).ast;
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    const start = error.range?.start ?? 0;
    throw new CompileError(start, messageOf(error, foundAt(source, start, error.range?.end ?? start)));
  }
}

/** What people who know another language write, and what CEL has instead. */
const HINTS = new Map([
  ["=", "== compares"],
  ["&", "&& is and"],
  ["|", "|| is or"],
  ["and", "&& is and"],
  ["AND", "&& is and"],
  ["or", "|| is or"],
  ["OR", "|| is or"],
]);

/** The library names tokens by the names of its constants. */
const TOKENS = new Map([
  ["EOF", "the end"],
  ["IDENTIFIER", "a name"],
  ["LPAREN", "'('"],
  ["RPAREN", "')'"],
  ["LBRACKET", "'['"],
  ["RBRACKET", "']'"],
  ["LBRACE", "'{'"],
  ["RBRACE", "'}'"],
  ["COLON", "':'"],
]);

/** The text at the place of an error; the library cuts a character outside the BMP in half. */
function foundAt(source: string, start: number, end: number): string {
  const codePoint = source.codePointAt(start) ?? 0;
  return end === start + 1 && codePoint > 0xffff ? String.fromCodePoint(codePoint) : source.slice(start, end);
}

function messageOf(error: ParseError, found: string): string {
  switch (error.code) {
    case "unexpected_character":
    case "unexpected_token": {
      if (found === "") return "the expression ends too early";
      const hint = HINTS.get(found);
      return `unexpected '${found}'${hint === undefined ? "" : ` (${hint})`}`;
    }
    case "expected_token": {
      const wanted = /^Expected ([A-Z]+)/.exec(error.summary)?.[1] ?? "";
      return `expected ${TOKENS.get(wanted) ?? wanted.toLowerCase()}, found ${found === "" ? "the end" : `'${found}'`}`;
    }
    case "limit_exceeded":
      return error.summary.includes("maxDepth")
        ? `more than ${MAX_NESTING} levels of brackets and selections`
        : `more than ${MAX_NODES} operators, names and values`;
    default:
      return error.summary.charAt(0).toLowerCase() + error.summary.slice(1);
  }
}
