/**
 * Regular expressions of filters come from users, and texts from anyone, so matching must be linear in the text: RE2
 * syntax, without backreferences and lookaround, by re2js. Its automata still cost in proportion to the pattern, so the
 * pattern is bounded by its compiled size, and a match by size times length.
 */
import { RE2JS, RE2JSException } from "re2js";
import { CompileError } from "./position.ts";

/** UTF-16 units. */
export const MAX_PATTERN_LENGTH = 256;
/** Instructions of the compiled pattern: `(\pL{1,30}){1,30}` is short to write and has 1,863. */
const MAX_PATTERN_SIZE = 1000;
/** Pattern instructions times text units that cost one step, measured where the automaton finds no state twice. */
const WORK_PER_STEP = 8;
/** Bytes of automaton states kept per pattern (the library's own bound is 8 MB, and an object may hold hundreds of patterns). */
const MAX_PATTERN_CACHE_BYTES = 1_048_576;

/** A compiled regular expression. */
export interface Pattern {
  /** True when the pattern is found anywhere in `text`. */
  test(text: string): boolean;
  /** Steps that matching against a text of `length` UTF-16 units costs at most. */
  steps(length: number): number;
}

/** @throws CompileError at `offset` when the pattern is not RE2 syntax, or too large */
export function compilePattern(source: string, offset: number): Pattern {
  if (source.length > MAX_PATTERN_LENGTH) {
    throw new CompileError(offset, `the pattern is longer than ${MAX_PATTERN_LENGTH} characters`);
  }
  const compiled = compile(source, offset);
  const size = compiled.programSize();
  if (size > MAX_PATTERN_SIZE) throw new CompileError(offset, "the pattern repeats too much");
  const { dfa } = compiled.re2();
  dfa.stateBudget = MAX_PATTERN_CACHE_BYTES;
  dfa.memBudget = MAX_PATTERN_CACHE_BYTES;
  return { test: (text) => compiled.test(text), steps: (length) => Math.ceil((length * size) / WORK_PER_STEP) };
}

function compile(source: string, offset: number): RE2JS {
  try {
    return RE2JS.compile(source);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    throw new CompileError(offset, `bad pattern: ${error.message.replace("error parsing regexp: ", "")}`);
  }
}
