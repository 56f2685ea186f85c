/** A place in a source text; both count from 1, columns in characters (a surrogate pair is one). */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** @param offset UTF-16 index into `source`, from 0 to its length */
export function positionOf(source: string, offset: number): Position {
  const before = source.slice(0, offset);
  const lines = before.split("\n");
  return { line: lines.length, column: [...(lines.at(-1) ?? "")].length + 1 };
}

/** Why a source text is not an expression. Thrown inside the compiler, a value at its door. */
export class CompileError extends Error {
  /** UTF-16 index into the source. */
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(message);
    this.name = "CompileError";
    this.offset = offset;
  }
}
